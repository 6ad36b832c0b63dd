#include "appliance-hook/link/trunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "appliance-hook/link/line.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "dialogue/message.h"

#define EGRESS_MS      60000
#define DELAY_LEAST_MS 200
#define DELAY_MOST_MS  300000
#define BULK_TRIES     3
/* A refused stream is asked for again on the same connection: the hub may be waiting for its engine. */
#define AGAIN_FIRST_MS 200
#define AGAIN_MOST_MS  30000
/* A short question of the engine's is no refusal; a stream that ends at once all the same is asked for less often. */
#define SHORT_LIVED_MS 1000
#define SHORT_MOST_MS  2000

static const char *const subsystems[] = {
	[TRUNK_CONTROL] = "nightshift",
	[TRUNK_BULK] = "nightshift-bulk",
	[TRUNK_PULL] = "nightshift-pull",
};

struct trunk {
	const struct trunk_world *world;
	enum trunk_kind kind;
	char ticket[TRUNK_TICKET_MOST + 1];
	unsigned count; /* streams to ask for */
	bool lasting;
	int answer; /* of the way out, while it is sought */
	struct line *line;
	uint64_t timer;
	unsigned failures, refusals;
	unsigned streams, granted; /* asked for and not closed; granted on this connection */
	int64_t granted_at;
	bool over; /* the timer will report it */
};

static void start(void *context);

static void state(struct trunk *trunk, const char *name, const struct error *why)
{
	if (trunk->kind != TRUNK_BULK)
		trunk->world->events->state(trunk->world->context, trunk->kind, name, why);
}

static void on_over(void *context)
{
	struct trunk *trunk = context;

	trunk->timer = 0;
	trunk->world->events->done(trunk->world->context, trunk);
	trunk_free(&trunk);
}

static void end(struct trunk *trunk, const struct error *why)
{
	trunk->over = true;
	state(trunk, "closed", why);
	loop_cancel(trunk->world->loop, trunk->timer);
	trunk->timer = loop_after(trunk->world->loop, 0, on_over, trunk);
}

/* Full jitter: anywhere between now and a bound that doubles, so that ten thousand appliances do not come back
 * together. */
static int64_t draw_delay(int64_t first, int64_t most, unsigned failures)
{
	int64_t bound = first;
	uint64_t drawn;

	for (unsigned i = 0; i < failures && bound < most; i++)
		bound *= 2;
	if (bound > most)
		bound = most;
	secret_random(&drawn, sizeof drawn);
	return (int64_t)(drawn % (uint64_t)(bound + 1));
}

static void retry(struct trunk *trunk, const struct error *why)
{
	int64_t first = trunk->world->settings->jitter * 1000;
	/* Not the pinned hub, not joined: nothing that time heals. */
	bool wrong = why->code == ERROR_DATA || why->code == ERROR_CONFIG;

	log_failure("the hub", why);
	if (trunk->kind == TRUNK_PULL || (trunk->kind == TRUNK_BULK && trunk->failures + 1 >= BULK_TRIES) ||
	    (wrong && !trunk->lasting)) {
		end(trunk, why);
		return;
	}
	/* A permanent tunnel tries all the same, at the longest delay, and says so each time. */
	int64_t delay =
		wrong ? DELAY_MOST_MS
		      : draw_delay(first > DELAY_LEAST_MS ? first : DELAY_LEAST_MS, DELAY_MOST_MS, trunk->failures);
	trunk->failures++;
	state(trunk, "connecting", why);
	trunk->timer = loop_after(trunk->world->loop, delay, start, trunk);
}

static void ask(void *context)
{
	struct trunk *trunk = context;
	CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(LINE_FIRST_MOST);
	CLEANUP(jsonio_free) json_t *body = NULL;
	struct error error;
	int status = 0;

	trunk->timer = 0;
	if (trunk->kind == TRUNK_BULK) {
		body = json_pack("{s:s}", "ticket", trunk->ticket);
		status = message_write(&first, MESSAGE_FROM_HOOK, MESSAGE_STREAM, FRAME_EVENT, 1, body, &error);
	}
	for (unsigned i = 0; status == 0 && i < trunk->count; i++) {
		status = line_open(trunk->line, subsystems[trunk->kind], first.data, first.size, i, &error);
		if (status == 0)
			trunk->streams++;
	}
	if (status < 0) {
		log_failure("asking for a stream", &error);
		line_end(trunk->line);
	}
}

static void on_ready(void *context)
{
	struct trunk *trunk = context;

	trunk->failures = trunk->refusals = trunk->granted = trunk->streams = 0;
	state(trunk, "connected", NULL);
	ask(trunk);
}

static void on_opened(void *context, unsigned tag UNUSED, int fd)
{
	struct trunk *trunk = context;

	trunk->granted++;
	trunk->granted_at = clock_ticks_ms();
	trunk->world->events->stream(trunk->world->context, trunk->kind, trunk->ticket, fd);
}

static void on_closed(void *context, unsigned tag UNUSED)
{
	struct trunk *trunk = context;

	trunk->streams--;
	if (trunk->kind != TRUNK_CONTROL) {
		if (!trunk->streams)
			line_end(trunk->line);
		return;
	}
	/* The engine has let go, or is not there: the next HELLO goes over a new stream. */
	bool lived = trunk->granted && clock_ticks_ms() - trunk->granted_at >= SHORT_LIVED_MS;
	int64_t most = trunk->granted ? SHORT_MOST_MS : AGAIN_MOST_MS;
	trunk->refusals = lived ? 0 : trunk->refusals + 1;
	trunk->granted = 0;
	int64_t delay = AGAIN_FIRST_MS + draw_delay(AGAIN_FIRST_MS, most, trunk->refusals);
	trunk->timer = loop_after(trunk->world->loop, delay, ask, trunk);
}

static void on_ended(void *context, const struct error *why)
{
	struct trunk *trunk = context;

	trunk->line = NULL;
	loop_cancel(trunk->world->loop, trunk->timer);
	trunk->timer = 0;
	if (trunk->kind != TRUNK_CONTROL && trunk->granted) {
		/* It has done what it was for, well or ill: its streams tell. */
		end(trunk, NULL);
		return;
	}
	retry(trunk, why);
}

static const struct line_events line_events = {
	.ready = on_ready,
	.opened = on_opened,
	.closed = on_closed,
	.ended = on_ended,
};

static int take_line(struct trunk *trunk, struct error *error)
{
	CLEANUP(home_free) struct home home = HOME_INIT;
	int fd = -1;
	int answer = trunk->answer;

	loop_forget(trunk->world->loop, trunk->answer);
	trunk->answer = -1;
	int status = egress_finish_take(answer, &fd, error);
	if (status == 0)
		status = home_read(trunk->world->directory, trunk->world->settings, &home, error);
	if (status < 0) {
		file_close(&fd);
		return status;
	}
	const struct line_identity identity = {.key = (const char *)home.key.data, .host_key = home.host_key};
	return line_start_take(trunk->world->loop, fd, &identity, &line_events, trunk, &trunk->line, error);
}

static void on_answer(void *context, int fd UNUSED, uint32_t events UNUSED)
{
	struct trunk *trunk = context;
	struct error error;

	if (take_line(trunk, &error) < 0)
		retry(trunk, &error);
}

static int find_way(struct trunk *trunk, struct error *error)
{
	CLEANUP(home_free) struct home home = HOME_INIT;
	int status = home_read(trunk->world->directory, trunk->world->settings, &home, error);

	if (status < 0)
		return status;
	struct egress_route route = {
		.host = home.host,
		.port_count = home.port_count,
		.proxy = trunk->world->settings->proxy,
		.password = trunk->world->proxy_password,
	};
	memcpy(route.ports, home.ports, sizeof route.ports);
	status = egress_start(&route, clock_ticks_ms() + EGRESS_MS, &trunk->answer, error);
	if (status == 0)
		status = loop_watch(trunk->world->loop, trunk->answer, EPOLLIN, on_answer, trunk, error);
	if (status < 0)
		file_close(&trunk->answer);
	return status;
}

static void start(void *context)
{
	struct trunk *trunk = context;
	struct error error;

	trunk->timer = 0;
	if (find_way(trunk, &error) < 0)
		retry(trunk, &error);
}

int trunk_new(const struct trunk_world *world, const struct trunk_wish *wish, struct trunk **ret_trunk,
	      struct error *error)
{
	struct trunk *trunk = calloc(1, sizeof *trunk);

	if (!trunk || (wish->ticket && strlen(wish->ticket) > TRUNK_TICKET_MOST)) {
		free(trunk);
		return error_set(error, ERROR_DATA, "ticket", "a connection with such a ticket cannot be made");
	}
	*trunk = (struct trunk){
		.world = world,
		.kind = wish->kind,
		.count = wish->kind == TRUNK_BULK ? wish->count : 1,
		.lasting = wish->lasting,
		.answer = -1,
	};
	snprintf(trunk->ticket, sizeof trunk->ticket, "%s", wish->ticket ? wish->ticket : "");
	state(trunk, "connecting", NULL);
	trunk->timer = loop_after(world->loop, 0, start, trunk);
	*ret_trunk = trunk;
	return 0;
}

void trunk_free(struct trunk **trunk)
{
	struct trunk *old = *trunk;

	if (!old)
		return;
	loop_cancel(old->world->loop, old->timer);
	if (old->answer >= 0)
		loop_forget(old->world->loop, old->answer);
	file_close(&old->answer);
	line_free(&old->line);
	free(old);
	*trunk = NULL;
}

const char *trunk_ticket(const struct trunk *trunk)
{
	return trunk->ticket;
}

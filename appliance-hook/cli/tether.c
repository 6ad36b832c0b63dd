#include "appliance-hook/cli/tether.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/process.h"

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MOST_MS = 30000, STEADY_MS = 60000, STOP_MS = 5000, STOP_STEP_US = 20000 };

struct tether {
	struct loop *loop;
	const struct hook_settings *settings;
	const struct places *places;
	struct tether_watcher watcher;
	int hook_listener;
	pid_t pids[PARTS];  /* 0: not running */
	int sockets[PARTS]; /* our ends; -1 */
	bool up, stopping;
	int64_t backoff_ms, started; /* clock_ticks_ms of the last start */
};

int tether_new(struct loop *loop, const struct hook_settings *settings, const struct places *places, int hook_listener,
	       const struct tether_watcher *watcher, struct tether **ret_tether, struct error *error)
{
	struct tether *tether = calloc(1, sizeof(*tether));
	if (!tether)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to serve");
	*tether = (struct tether){
		.loop = loop,
		.settings = settings,
		.places = places,
		.watcher = *watcher,
		.hook_listener = hook_listener,
		.sockets = {-1, -1, -1},
	};
	*ret_tether = tether;
	return 0;
}

static bool is_running(const struct tether *tether)
{
	for (int part = 0; part < PARTS; part++)
		if (tether->pids[part] > 0)
			return true;
	return false;
}

static void let_go(struct tether *tether)
{
	for (int part = 0; part < PARTS; part++) {
		loop_forget(tether->loop, tether->sockets[part]);
		file_close(&tether->sockets[part]);
		if (tether->pids[part] > 0)
			kill(tether->pids[part], SIGTERM);
	}
	if (tether->up) {
		tether->up = false;
		tether->watcher.lost(tether->watcher.context);
	}
}

static void start_again(void *context)
{
	struct tether *tether = context;
	struct error error = {0};
	if (!tether->stopping && tether_start(tether, &error) < 0) {
		log_failure("starting link, check and act", &error);
		let_go(tether);
		if (!is_running(tether))
			loop_after(tether->loop, BACKOFF_MOST_MS, start_again, tether);
	}
}

static void on_part(void *context, int fd, uint32_t events UNUSED)
{
	struct tether *tether = context;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int passed = -1;
	struct error error = {0};
	int part = 0;
	while (part < PARTS && tether->sockets[part] != fd)
		part++;
	if (part == PARTS)
		return;
	if (packet_receive(fd, &packet, &passed, &error) == 0) {
		tether->watcher.packet(tether->watcher.context, (enum part)part, packet);
	} else {
		if (error.code != ERROR_UNREACHABLE)
			log_failure(part_titles[part], &error);
		let_go(tether);
	}
}

struct pairs {
	int serve[PARTS][2], link_check[2], check_act[2];
};

static void close_pairs(struct pairs *pairs)
{
	for (int i = 0; i < 2; i++) {
		for (int part = 0; part < PARTS; part++)
			file_close(&pairs->serve[part][i]);
		file_close(&pairs->link_check[i]);
		file_close(&pairs->check_act[i]);
	}
}

static int make_pairs(struct pairs *pairs, struct error *error)
{
	for (int part = 0; part < PARTS; part++)
		if (process_socketpair(false, pairs->serve[part], error) < 0)
			return -(int)error->code;
	if (process_socketpair(false, pairs->link_check, error) < 0 ||
	    process_socketpair(false, pairs->check_act, error) < 0)
		return -(int)error->code;
	return 0;
}

int tether_start(struct tether *tether, struct error *error)
{
	CLEANUP(close_pairs)
	struct pairs pairs = {{{-1, -1}, {-1, -1}, {-1, -1}}, {-1, -1}, {-1, -1}};
	if (make_pairs(&pairs, error) < 0)
		return -(int)error->code;
	const int link[] = {pairs.serve[PART_LINK][1], pairs.link_check[0], tether->places->link,
			    tether->hook_listener};
	const int check[] = {pairs.serve[PART_CHECK][1], pairs.link_check[1], pairs.check_act[0]};
	const int act[] = {pairs.serve[PART_ACT][1], pairs.check_act[1]};
	const struct {
		const int *fds;
		size_t count;
	} given[PARTS] = {{link, ARRAY_SIZE(link) - (tether->hook_listener < 0)},
			  {check, ARRAY_SIZE(check)},
			  {act, ARRAY_SIZE(act)}};
	tether->started = clock_ticks_ms();
	for (int part = 0; part < PARTS; part++) {
		if (part_start((enum part)part, tether->settings, given[part].fds, given[part].count,
			       &tether->pids[part], error) < 0 ||
		    loop_watch(tether->loop, pairs.serve[part][0], EPOLLIN, on_part, tether, error) < 0)
			return -(int)error->code;
		tether->sockets[part] = pairs.serve[part][0];
		pairs.serve[part][0] = -1;
	}
	tether->up = true;
	tether->watcher.started(tether->watcher.context);
	return 0;
}

int tether_pass_take(struct tether *tether, enum part part, json_t *packet, int fd, struct error *error)
{
	if (tether->up)
		return packet_send_take(tether->sockets[part], packet, fd, error);
	json_decref(packet);
	return error_set(error, ERROR_UNREACHABLE, "part", "link, check and act are being started anew: try again");
}

int tether_send_take(struct tether *tether, enum part part, json_t *packet, struct error *error)
{
	return tether_pass_take(tether, part, packet, -1, error);
}

/* Long enough up: the next loss is a first one. */
static int64_t next_delay(struct tether *tether)
{
	int64_t delay = clock_ticks_ms() - tether->started >= STEADY_MS ? 0 : tether->backoff_ms;
	int64_t next = delay == 0 ? BACKOFF_FIRST_MS : 2 * delay;
	tether->backoff_ms = next > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : next;
	return delay;
}

void tether_reap(struct tether *tether)
{
	bool ended = false;
	int status = 0;
	for (int part = 0; part < PARTS; part++) {
		if (tether->pids[part] <= 0 || waitpid(tether->pids[part], &status, WNOHANG) != tether->pids[part])
			continue;
		if (!tether->stopping)
			log_write(LOG_LEVEL_WARNING, "%s ended (%s %d)", part_titles[part],
				  WIFSIGNALED(status) ? "signal" : "exit",
				  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		tether->pids[part] = 0;
		ended = true;
	}
	if (!ended || tether->stopping)
		return;
	let_go(tether);
	if (!is_running(tether))
		loop_after(tether->loop, next_delay(tether), start_again, tether);
}

void tether_stop(struct tether *tether)
{
	int64_t deadline = clock_ticks_ms() + STOP_MS;
	tether->stopping = true;
	let_go(tether);
	for (tether_reap(tether); is_running(tether) && clock_ticks_ms() < deadline; tether_reap(tether))
		usleep(STOP_STEP_US);
	for (int part = 0; part < PARTS; part++)
		if (tether->pids[part] > 0) {
			kill(tether->pids[part], SIGKILL);
			waitpid(tether->pids[part], NULL, 0);
			tether->pids[part] = 0;
		}
}

void tether_free(struct tether **tether)
{
	if (!*tether)
		return;
	for (int part = 0; part < PARTS; part++)
		file_close(&(*tether)->sockets[part]);
	free(*tether);
	*tether = NULL;
}

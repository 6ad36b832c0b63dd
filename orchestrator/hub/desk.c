#include "orchestrator/hub/desk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"

#define QUEUE_MOST 65536
/* How many messages one round of the loop takes. */
#define ROUND 64

struct letter {
	struct letter *next;
	json_t *message;
	int fd;
};

struct desk {
	struct loop *loop;
	const struct desk_events *events;
	void *context;
	int fd;
	struct letter *first, **last;
	size_t queued;
	uint64_t timer; /* the engine is to be reported gone */
};

int desk_new(struct loop *loop, const struct desk_events *events, void *context, struct desk **ret_desk,
	     struct error *error)
{
	struct desk *desk = calloc(1, sizeof *desk);

	if (!desk)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the engine's desk");
	*desk = (struct desk){.loop = loop, .events = events, .context = context, .fd = -1};
	desk->last = &desk->first;
	*ret_desk = desk;
	return 0;
}

static void free_letter(struct letter *letter)
{
	file_close(&letter->fd);
	json_decref(letter->message);
	free(letter);
}

static void hang_up(struct desk *desk)
{
	if (desk->fd >= 0)
		loop_forget(desk->loop, desk->fd);
	file_close(&desk->fd);
	while (desk->first) {
		struct letter *letter = desk->first;
		desk->first = letter->next;
		free_letter(letter);
	}
	desk->last = &desk->first;
	desk->queued = 0;
}

void desk_free(struct desk **desk)
{
	struct desk *old = *desk;

	if (!old)
		return;
	hang_up(old);
	loop_cancel(old->loop, old->timer);
	free(old);
	*desk = NULL;
}

static void on_lost(void *context)
{
	struct desk *desk = context;

	desk->timer = 0;
	desk->events->gone(desk->context);
}

/* Told at the next turn: whoever sends must not find the world changed under it. */
static void lose(struct desk *desk)
{
	hang_up(desk);
	if (!desk->timer)
		desk->timer = loop_after(desk->loop, 0, on_lost, desk);
}

static void flush(struct desk *desk)
{
	struct error error;

	while (desk->first) {
		struct letter *letter = desk->first;
		int status = packet_send(desk->fd, letter->message, letter->fd, &error);
		if (status == -ERROR_NOT_NOW)
			break;
		if (status == -ERROR_UNREACHABLE) {
			lose(desk);
			return;
		}
		/* One message that cannot be written is lost, not the engine. */
		if (status < 0)
			log_failure("a message to the engine", &error);
		desk->first = letter->next;
		if (!desk->first)
			desk->last = &desk->first;
		desk->queued--;
		free_letter(letter);
	}
	if (loop_change(desk->loop, desk->fd, desk->first ? EPOLLIN | EPOLLOUT : EPOLLIN, &error) < 0)
		lose(desk);
}

static void on_engine(void *context, int fd, uint32_t events)
{
	struct desk *desk = context;
	struct error error;

	if (events & EPOLLOUT)
		flush(desk);
	for (unsigned i = 0; i < ROUND && desk->fd == fd && events & (EPOLLIN | EPOLLHUP | EPOLLERR); i++) {
		CLEANUP(jsonio_free) json_t *message = NULL;
		CLEANUP(file_close) int unexpected = -1;
		int status = packet_receive(fd, &message, &unexpected, &error);
		if (status == -ERROR_NOT_NOW)
			break;
		if (status == -ERROR_UNREACHABLE) {
			lose(desk);
			break;
		}
		if (status < 0)
			log_failure("a message from the engine", &error);
		else
			desk->events->message(desk->context, message);
	}
}

int desk_connect_take(struct desk *desk, int fd, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);

	hang_up(desk);
	loop_cancel(desk->loop, desk->timer);
	desk->timer = 0;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    loop_watch(desk->loop, fd, EPOLLIN, on_engine, desk, error) < 0) {
		file_close(&fd);
		return error_set(error, ERROR_BUG, "engine", "the engine's socket cannot be used");
	}
	desk->fd = fd;
	return 0;
}

void desk_send_take(struct desk *desk, json_t *message, int fd)
{
	struct letter *letter = desk->fd >= 0 && message ? calloc(1, sizeof *letter) : NULL;

	if (!letter) {
		json_decref(message);
		file_close(&fd);
		return;
	}
	*letter = (struct letter){.message = message, .fd = fd};
	*desk->last = letter;
	desk->last = &letter->next;
	if (++desk->queued > QUEUE_MOST) {
		log_write(LOG_LEVEL_ERROR, "the engine does not read; it counts as gone");
		lose(desk);
	} else {
		flush(desk);
	}
}

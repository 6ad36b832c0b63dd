#include "orchestrator/engine/peer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"

/* A peer that reads nothing for this many messages is as good as gone. */
#define PEER_QUEUE_MOST 200000
/* Messages handled in one turn, so that a busy peer does not starve the others. */
#define PEER_TURN_MOST 64

struct queued {
	struct queued *next;
	json_t *message;
};

struct peer {
	struct loop *loop;
	int fd;
	struct peer_events events;
	void *context;
	struct queued *first, **last;
	size_t count;
	unsigned busy;
	bool dead;
};

static void destroy(struct peer *peer)
{
	loop_forget(peer->loop, peer->fd);
	file_close(&peer->fd);
	while (peer->first) {
		struct queued *queued = peer->first;
		peer->first = queued->next;
		json_decref(queued->message);
		free(queued);
	}
	free(peer);
}

void peer_free(struct peer **peer)
{
	struct peer *old = *peer;
	*peer = NULL;
	if (!old)
		return;
	if (old->busy)
		old->dead = true;
	else
		destroy(old);
}

/* Runs outside of peer->busy; the peer is gone afterwards. */
static void close_down(struct peer *peer)
{
	void (*closed)(void *context) = peer->events.closed;
	void *context = peer->context;
	destroy(peer);
	closed(context);
}

static int flush(struct peer *peer, struct error *error)
{
	while (peer->first) {
		struct queued *queued = peer->first;
		int status = packet_send(peer->fd, queued->message, -1, error);
		if (status < 0 && !strcmp(error->name, "again"))
			return loop_change(peer->loop, peer->fd, EPOLLIN | EPOLLOUT, error);
		if (status == -ERROR_UNREACHABLE)
			return status;
		/* One that cannot be written is lost, and not all that wait behind it. */
		if (status < 0)
			log_failure("a message to another process", error);
		peer->first = queued->next;
		peer->count--;
		json_decref(queued->message);
		free(queued);
	}
	peer->last = &peer->first;
	return loop_change(peer->loop, peer->fd, EPOLLIN, error);
}

static int receive(struct peer *peer, struct error *error)
{
	for (int i = 0; i < PEER_TURN_MOST && !peer->dead; i++) {
		CLEANUP(jsonio_free) json_t *message = NULL;
		int fd = -1, status = packet_receive(peer->fd, &message, &fd, error);
		if (status < 0 && !strcmp(error->name, "again"))
			return 0;
		if (status < 0)
			return status;
		peer->events.message(peer->context, message, fd);
	}
	return 0;
}

static void ready(void *context, int fd UNUSED, uint32_t events)
{
	struct peer *peer = context;
	struct error error = {0};
	int status = 0;
	peer->busy++;
	if (events & EPOLLOUT)
		status = flush(peer, &error);
	if (status == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		status = receive(peer, &error);
	peer->busy--;
	if (peer->dead)
		destroy(peer);
	else if (status < 0)
		close_down(peer);
}

int peer_new_take(struct loop *loop, int fd, const struct peer_events *events, void *context, struct peer **ret_peer,
		  struct error *error)
{
	struct peer *peer = calloc(1, sizeof *peer);
	if (!peer || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		free(peer);
		close(fd);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a peer");
	}
	*peer = (struct peer){.loop = loop, .fd = fd, .events = *events, .context = context};
	peer->last = &peer->first;
	if (loop_watch(loop, fd, EPOLLIN, ready, peer, error) < 0) {
		close(fd);
		free(peer);
		return -(int)error->code;
	}
	*ret_peer = peer;
	return 0;
}

void peer_send_take(struct peer *peer, json_t *message)
{
	struct error error = {0};
	struct queued *queued = peer && message ? malloc(sizeof *queued) : NULL;
	if (!queued || peer->count >= PEER_QUEUE_MOST) {
		if (peer)
			log_write(LOG_LEVEL_ERROR, "a message to another process is lost");
		json_decref(message);
		free(queued);
		return;
	}
	*queued = (struct queued){.message = message};
	*peer->last = queued;
	peer->last = &queued->next;
	peer->count++;
	/* A closed socket shows at the loop's next turn, outside of whoever sends here. */
	if (peer->count == 1 && flush(peer, &error) < 0 && error.code != ERROR_UNREACHABLE)
		log_failure("a message to another process waits", &error);
}

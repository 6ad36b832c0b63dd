#include "dialogue/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/file.h"

struct relay {
	struct loop *loop;
	int fd;
	relay_ready *ready;
	void *context;
	struct buffer stored; /* for the socket; the first stored_at bytes are written */
	size_t stored_at;
	struct buffer held; /* from the socket; the first held_at bytes are consumed */
	size_t held_at;
	uint32_t watched; /* 0: not in the loop, so that a hang-up that nobody can act on does not spin it */
	bool full;        /* the socket did not take all that it was given */
	bool finished;    /* the transport has no more */
	bool shut;        /* and the socket was told so */
	bool gone;        /* writing failed: the other end reads no more */
	bool ended;       /* reading reached the end */
};

int relay_new_take(struct loop *loop, int fd, relay_ready *ready, void *context, struct relay **ret_relay,
		   struct error *error)
{
	struct relay *relay = calloc(1, sizeof *relay);
	int flags = fcntl(fd, F_GETFL);

	if (!relay || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		free(relay);
		file_close(&fd);
		return error_set(error, ERROR_CANNOT_CREATE, "relay", "a stream cannot be relayed");
	}
	*relay = (struct relay){
		.loop = loop,
		.fd = fd,
		.ready = ready,
		.context = context,
		.stored = BUFFER_INIT(RELAY_STORE_MOST),
		.held = BUFFER_INIT(RELAY_CHUNK),
	};
	*ret_relay = relay;
	return 0;
}

void relay_free(struct relay **relay)
{
	struct relay *old = *relay;

	if (!old)
		return;
	if (old->watched)
		loop_forget(old->loop, old->fd);
	file_close(&old->fd);
	buffer_free(&old->stored);
	buffer_free(&old->held);
	free(old);
	*relay = NULL;
}

/* Returns how much the socket took; with `gone` everything counts as taken. */
static size_t push(struct relay *relay, const void *bytes, size_t size)
{
	ssize_t sent;

	if (relay->gone || !size)
		return size;
	if (fault_point("relay.send") < 0) {
		relay->gone = true;
		return size;
	}
	do
		sent = send(relay->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != ENOBUFS) {
		relay->gone = true;
		return size;
	}
	size_t taken = sent < 0 ? 0 : (size_t)sent;
	relay->full = taken < size;
	return taken;
}

static void settle(struct relay *relay)
{
	if (relay->finished && !relay->shut && relay_is_clear(relay)) {
		relay->shut = true;
		shutdown(relay->fd, SHUT_WR);
	}
}

static void flush(struct relay *relay)
{
	relay->full = false;
	if (relay->stored.size)
		relay->stored_at +=
			push(relay, relay->stored.data + relay->stored_at, relay->stored.size - relay->stored_at);
	if (relay->stored_at == relay->stored.size) {
		buffer_clear(&relay->stored);
		relay->stored_at = 0;
	}
	settle(relay);
}

size_t relay_give(struct relay *relay, const void *bytes, size_t size)
{
	if (relay->stored.size || relay->full)
		return 0;
	return push(relay, bytes, size);
}

int relay_store(struct relay *relay, const void *bytes, size_t size, struct error *error)
{
	size_t taken = relay_give(relay, bytes, size);

	return buffer_append(&relay->stored, (const uint8_t *)bytes + taken, size - taken, error);
}

bool relay_is_clear(const struct relay *relay)
{
	return !relay->stored.size && !relay->full;
}

void relay_finish(struct relay *relay)
{
	relay->finished = true;
	settle(relay);
}

size_t relay_peek(struct relay *relay, const uint8_t **ret_bytes)
{
	struct error error;
	uint8_t *room;

	if (!relay->held.size && !relay->ended && buffer_reserve(&relay->held, RELAY_CHUNK, &room, &error) == 0) {
		ssize_t got;
		do
			got = recv(relay->fd, room, RELAY_CHUNK, MSG_DONTWAIT);
		while (got < 0 && errno == EINTR);
		if (got > 0)
			buffer_commit(&relay->held, (size_t)got);
		else if (got == 0 || errno != EAGAIN)
			relay->ended = true;
	}
	*ret_bytes = relay->held.size ? relay->held.data + relay->held_at : NULL;
	return relay->held.size - relay->held_at;
}

void relay_consume(struct relay *relay, size_t size)
{
	relay->held_at += size;
	if (relay->held_at == relay->held.size) {
		buffer_clear(&relay->held);
		relay->held_at = 0;
	}
}

bool relay_is_ended(const struct relay *relay)
{
	return relay->ended && !relay->held.size;
}

static void on_ready(void *context, int fd UNUSED, uint32_t events)
{
	struct relay *relay = context;

	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		flush(relay);
	relay->ready(relay->context); /* may free the relay */
}

int relay_wait(struct relay *relay, bool wants_bytes, struct error *error)
{
	uint32_t wanted = 0;
	int status = 0;

	if (wants_bytes && !relay->ended && !relay->held.size)
		wanted |= EPOLLIN;
	if ((relay->stored.size || relay->full) && !relay->gone)
		wanted |= EPOLLOUT;
	if (wanted == relay->watched)
		return 0;
	if (!wanted)
		loop_forget(relay->loop, relay->fd);
	else if (!relay->watched)
		status = loop_watch(relay->loop, relay->fd, wanted, on_ready, relay, error);
	else
		status = loop_change(relay->loop, relay->fd, wanted, error);
	if (status == 0)
		relay->watched = wanted;
	return status;
}

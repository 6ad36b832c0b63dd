#include "appliance-hook/check/actor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/file.h"
#include "base/packet.h"

enum { WAKE_MS = 1000 };

/* Sorts one packet of act's: an event goes to the watch, an answer ends the wait. */
static int take_packet(const json_t *packet, const struct actor_watch *watch, json_t **ret_ok, bool *ret_done,
		       struct error *error)
{
	const json_t *event = json_object_get(packet, "event");
	if (event) {
		if (watch && watch->event)
			return watch->event(watch->context, event, error);
		return 0;
	}
	const json_t *refusal = json_object_get(packet, "error");
	if (refusal)
		return packet_to_error(refusal, error);
	json_t *ok = json_object_get(packet, "ok");
	if (!json_is_object(ok))
		return error_set(error, ERROR_BUG, "act", "act answered neither ok nor error");
	*ret_ok = json_incref(ok);
	*ret_done = true;
	return 0;
}

static int receive(struct actor *actor, const struct actor_watch *watch, int *ret_fd, json_t **ret_ok, bool *ret_done,
		   struct error *error)
{
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int fd = -1;
	if (packet_receive(actor->fd, &packet, &fd, error) < 0) {
		if (strcmp(error->name, "closed") != 0)
			return -(int)error->code;
		return error_set(error, ERROR_UNREACHABLE, "act",
				 "act has gone; what it had begun it finishes by itself");
	}
	if (take_packet(packet, watch, ret_ok, ret_done, error) < 0)
		return -(int)error->code;
	if (*ret_done && ret_fd) {
		*ret_fd = fd;
		fd = -1;
	}
	return 0;
}

int actor_next(struct actor *actor, const struct actor_watch *watch, int *ret_fd, json_t **ret_ok, struct error *error)
{
	CLEANUP(jsonio_free) json_t *ok = NULL;
	bool done = false;
	if (watch && watch->idle && watch->idle(watch->context, error) < 0)
		return -(int)error->code;
	while (!done) {
		struct pollfd fds[] = {{actor->fd, POLLIN, 0}, {watch ? watch->fd : -1, POLLIN, 0}};
		if (poll(fds, ARRAY_SIZE(fds), watch && watch->idle ? WAKE_MS : -1) < 0 && errno != EINTR)
			return error_set_errno(error, ERROR_BUG, "poll", "waiting for act");
		if (fds[0].revents && receive(actor, watch, ret_fd, &ok, &done, error) < 0)
			return -(int)error->code;
		if (!done && watch && watch->idle && watch->idle(watch->context, error) < 0)
			return -(int)error->code;
	}
	*ret_ok = TAKE(ok);
	return 0;
}

int actor_ask(struct actor *actor, const char *request, json_t *arguments, const struct actor_watch *watch, int *ret_fd,
	      json_t **ret_ok, struct error *error)
{
	json_t *packet = arguments ? arguments : json_object();
	if (packet && json_object_set_new(packet, "do", json_string(request)) < 0) {
		json_decref(packet);
		packet = NULL;
	}
	if (packet_send_take(actor->fd, packet, -1, error) < 0)
		return -(int)error->code;
	return actor_next(actor, watch, ret_fd, ret_ok, error);
}

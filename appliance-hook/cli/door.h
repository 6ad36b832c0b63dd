/* STATE/control.sock: the command line's door to `serve`. One request a connection, then events, then one answer, as
 * JSON packets: {"do":…} → {"event":{…}}* → {"ok":{…}} | {"error":{code,name,text}}. Open to root and to serve's own
 * user. */
#ifndef CLI_DOOR_H
#define CLI_DOOR_H

#include "base/packet.h"

#define DOOR_SOCKET "control.sock"
#define HOOK_SOCKET "hook.sock"

/* A listening unix socket in the directory, mode 0600; a left-over one is removed. `type` SOCK_SEQPACKET or
 * SOCK_STREAM. */
int door_listen(int directory, const char *name, int type, int *ret_fd, struct error *error) MUST_CHECK;
/* The next caller; ERROR_NOT_PERMITTED (and closed) when it is neither root nor our own user. */
int door_accept(int listener, int *ret_fd, struct error *error) MUST_CHECK;

/* ERROR_UNREACHABLE "serve" when nobody listens. */
int door_connect(const char *state, int *ret_fd, struct error *error) MUST_CHECK;
typedef void door_event(void *context, const json_t *event);
/* One packet of serve's: an event is handed on, an answer becomes *ret_ok, a refusal the error. */
int door_take(const json_t *packet, door_event *event, void *context, json_t **ret_ok, struct error *error) MUST_CHECK;
/* Asks (the request is consumed) and waits for the answer, however long serve takes. `event` may be NULL. */
int door_ask(const char *state, json_t *request, door_event *event, void *context, json_t **ret_ok,
	     struct error *error) MUST_CHECK;
/* The same with a descriptor beside the request, which stays the caller's; -1: none. */
int door_ask_with(const char *state, json_t *request, int passed, door_event *event, void *context, json_t **ret_ok,
		  struct error *error) MUST_CHECK;

#endif

/* HTTP over the listening unix socket, by libmicrohttpd: the one file that includes it. */
#ifndef API_SERVER_H
#define API_SERVER_H

#include "base/loop.h"
#include "orchestrator/api/api_call.h"

struct api_server;

/* Serves from the caller's loop and thread; a handler runs to its end before the next begins. Borrows all arguments. */
int api_server_new(struct loop *loop, int listener, struct store *store, const struct api_settings *settings,
		   struct api_server **ret_server, struct error *error) MUST_CHECK;
void api_server_free(struct api_server **server);

#endif

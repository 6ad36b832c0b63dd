/* The service's listening sockets: the hub's TCP ports and the API's unix socket. No other socket listens. */
#ifndef SUPERVISOR_LISTEN_H
#define SUPERVISOR_LISTEN_H

#include "base/error.h"

#define LISTEN_MOST 4

/* Every address that `text` ("HOST:PORT") resolves to. Caller closes ret_fds[0..*ret_count). */
int listen_tcp(const char *text, int ret_fds[static LISTEN_MOST], size_t *ret_count, struct error *error) MUST_CHECK;
/* Replaces a socket that nobody answers at; ERROR_CONFIG "running" when somebody does. Mode 0666: the API asks the
 * kernel who is calling. *ret_lock, on a file beside it, is to be kept as long as it. */
int listen_unix(const char *path, int *ret_fd, int *ret_lock, struct error *error) MUST_CHECK;

#endif

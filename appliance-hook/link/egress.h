/* The way out to the hub: names resolved, ports tried in order, through an HTTP CONNECT or SOCKS5 proxy where one is
 * set. */
#ifndef LINK_EGRESS_H
#define LINK_EGRESS_H

#include "base/error.h"

#define EGRESS_HOST_MOST  256
#define EGRESS_PORTS_MOST 8

struct egress_route {
	const char *host;
	uint16_t ports[EGRESS_PORTS_MOST];
	size_t port_count;
	const char *proxy;    /* "http://[USER@]HOST:PORT", "socks5://[USER@]HOST:PORT"; NULL or "": none */
	const char *password; /* of USER at the proxy; NULL: none */
};

/* A proxy's URL is one of the above; ERROR_CONFIG "proxy" otherwise. */
int egress_check_proxy(const char *proxy, struct error *error) MUST_CHECK;

/* Waits until there is a connection (non-blocking, TCP_NODELAY, dead after 90 s without an answer) or until `deadline`
 * (clock_ticks_ms): ERROR_UNREACHABLE with what the last port said. */
int egress_connect(const struct egress_route *route, int64_t deadline, int *ret_fd, struct error *error) MUST_CHECK;

/* The same in a child process, so that a slow resolver stalls nobody. *ret_answer can be read when the child is done;
 * closing it gives the connection up. SIGCHLD must be ignored by the caller's process. */
int egress_start(const struct egress_route *route, int64_t deadline, int *ret_answer, struct error *error) MUST_CHECK;
/* Takes what egress_start gave. */
int egress_finish_take(int answer, int *ret_fd, struct error *error) MUST_CHECK;

#endif

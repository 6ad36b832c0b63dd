/* Asking a proxy for a connection: HTTP CONNECT (RFC 9110 §9.3.6) with Basic credentials, SOCKS5 (RFC 1928) with user
 * name and password (RFC 1929). */
#ifndef LINK_PROXY_H
#define LINK_PROXY_H

#include "base/error.h"

enum proxy_kind { PROXY_HTTP, PROXY_SOCKS5 };

struct proxy {
	enum proxy_kind kind;
	char user[64]; /* "": it asks for none */
	char host[256];
	uint16_t port;
};

int proxy_parse(const char *url, struct proxy *ret_proxy, struct error *error) MUST_CHECK;
/* Over a connected non-blocking socket to the proxy. After it the socket is the one to host:port. Waits until
 * `deadline`. */
int proxy_ask(const struct proxy *proxy, int fd, const char *host, uint16_t port, const char *password,
	      int64_t deadline, struct error *error) MUST_CHECK;

#endif

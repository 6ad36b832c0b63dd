/* Probes over the network, each in a child of its own that gives up root first. libcurl's door in act. */
#ifndef ACT_PROBE_NET_H
#define ACT_PROBE_NET_H

#include "base/error.h"

/* GET without following redirects. `expect`: "", "204", "204 TEXT" or "TEXT"; without a number any of 200 to 299. A
 * certificate is checked except where the host is this machine by name or number: there it says nothing. */
int probe_net_http(const char *url, const char *expect, int64_t timeout_ms, struct error *error) MUST_CHECK;
/* HOST:PORT takes a connection. */
int probe_net_tcp(const char *target, int64_t timeout_ms, struct error *error) MUST_CHECK;

#endif

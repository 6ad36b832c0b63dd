/* In place of act/probe_net.c where the box is not probed by network: without it every watcher and every process that a
 * test starts anew, by the thousand, would load libcurl and all that it needs. */
#include "appliance-hook/act/probe_net.h"

int probe_net_http(const char *url, const char *expect UNUSED, int64_t timeout_ms UNUSED, struct error *error)
{
	return error_set(error, ERROR_BUG, "probe", "%s is not asked here", url);
}

int probe_net_tcp(const char *target, int64_t timeout_ms UNUSED, struct error *error)
{
	return error_set(error, ERROR_BUG, "probe", "%s is not asked here", target);
}

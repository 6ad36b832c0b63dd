/* What link keeps on disk: the appliance's key and which hub it belongs to. */
#ifndef LINK_HOME_H
#define LINK_HOME_H

#include "appliance-hook/link/egress.h"
#include "appliance-hook/link/link.h"
#include "base/buffer.h"

struct home {
	struct buffer key; /* the text of appliance_key */
	uint8_t host_key[SECRET_ED25519_PUBLIC];
	char host[EGRESS_HOST_MOST];
	uint16_t ports[EGRESS_PORTS_MOST];
	size_t port_count;
};

#define HOME_INIT ((struct home){0})

/* Reads both files; the settings' address and ports come before hub.json's. ERROR_CONFIG "join" while there are none.
 */
int home_read(int directory, const struct link_settings *settings, struct home *ret_home,
	      struct error *error) MUST_CHECK;
/* Wipes. Also the CLEANUP function. */
void home_free(struct home *home);
/* The first line of the proxy's password file; empty without one. */
int home_read_password(const struct link_settings *settings, struct buffer *ret_password,
		       struct error *error) MUST_CHECK;
/* `host` and `port` where the settings name none. */
int home_route(const struct link_settings *settings, const char *host, uint16_t port, struct home *ret_home,
	       struct error *error) MUST_CHECK;

#endif

/* The hook's network process: it holds the appliance's key and carries frames and opaque bytes, which it never reads.
 * Every stream becomes a descriptor that goes to check.
 *
 * Sockets (SEQPACKET, docs/ARCHITECTURE.md): `parent_fd` to serve, `check_fd` to check. `link_dir_fd` is STATE/link
 * with appliance_key (OpenSSH) and hub.json {"host","port","host_key":HEX of the 32 bytes,"appliance"}; both are read
 * at each connection, so that a later `join` is seen. `listen_fd` is hook.sock, bound and listening, or -1. */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include <sys/types.h>

#include "base/secret.h"
#include "keys/joincode.h"

#define LINK_PORTS_MOST 8
#define LINK_NAME_MOST  64

struct link_settings {
	const char *address; /* of the hub; NULL or "": where it joined */
	uint16_t ports[LINK_PORTS_MOST];
	size_t port_count;               /* 0: the one where it joined */
	const char *proxy;               /* see egress.h; NULL or "": none */
	const char *proxy_password_file; /* its first line; NULL or "": none */
	int64_t jitter; /* seconds: the longest first delay after a loss; later ones double up to 5 minutes */
};

/* Runs until the parent closes its end (0) or check does (69). Enters its sandbox by itself. */
int link_main(int parent_fd, int check_fd, int link_dir_fd, int listen_fd, const struct link_settings *settings);

/* Hands the public key of `seed` in at the hub that the code names, in a child process that runs as `uid` and `gid`
 * ((uid_t)-1: as the caller). *ret_host_key is the hub's key, whose hash the code pins. A wrong hub is ERROR_DATA
 * "host-key"; a code that is spent, unknown or too old ERROR_NOT_PERMITTED. */
int link_join(const struct joincode *code, const struct link_settings *settings, uid_t uid, gid_t gid,
	      const uint8_t seed[static SECRET_ED25519_SEED], const char *product, char ret_name[static LINK_NAME_MOST],
	      uint8_t ret_host_key[static SECRET_ED25519_PUBLIC], struct error *error) MUST_CHECK;

#endif

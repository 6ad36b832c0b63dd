/* The hook's process that meets foreign bytes. Its main only routes: a stream from link becomes a session (a fork in a
 * sandbox of its own), a ticket goes to the session that asked for it, a job from the parent to the pull stream.
 * Packets: docs/ARCHITECTURE.md, "Hook". */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "base/buffer.h"
#include "base/clock.h"

/* What check holds from its start. Directories are descriptors because the parents may be closed to check's uid. */
struct check_places {
	int trust;    /* STATE/trust, owned by check: floor.json, authority.json, lock */
	int metadata; /* STATE/trust/metadata: the TUF chain alone, for its roles may have any name */
	int product;  /* STATE/PRODUCT, read */
	int releases; /* PRODUCT_ROOT/releases: what the sandbox lets staging lie beneath */
	int zones;    /* the zone data, -1 where there is none */
	const char *product_name;
	char boot[CLOCK_BOOT_ID_SIZE]; /* read before the sandbox closes /proc */
	const struct buffer *root;     /* the bytes of the installed `trust_root` */
};

/* Runs until the parent closes its end. Sockets are SEQPACKET: parent (jobs, the grant), link (streams), act
 * (sessions). */
int check_main(int parent_fd, int link_fd, int act_fd, const struct check_places *places,
	       struct error *error) MUST_CHECK;

#endif

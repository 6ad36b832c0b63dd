/* A repository behind a static web server (libcurl): the folder's names, fetched by HTTP or HTTPS. What comes is
 * believed no more than a stranger's stick: bounded while it is read, and verified by whoever asked. Linked on its own
 * (meson dependency `mirror`).
 *
 * Only a GET with status 200 counts. Redirects are followed within the scheme that was asked for, five at most. A
 * server that compresses is refused its wish. Environment: libcurl's usual proxy variables hold unless `proxy` is set.
 */
#ifndef RELEASE_MIRROR_H
#define RELEASE_MIRROR_H

#include "keys/trust.h"

struct mirror;

/* All borrowed for the call alone. URLs are http:// or https://, with or without a slash at the end. */
struct mirror_settings {
	const char *base_url; /* the repository: what is neither metadata nor a target, and those where NULL below */
	const char *metadata_url; /* instead of BASE/metadata */
	const char *targets_url;  /* instead of BASE/targets */
	const char *proxy;        /* NULL: as the environment says */
	const char *authorities;  /* PEM file of the certificate authorities; NULL: the system's */
	int stall_seconds;        /* slower than MIRROR_SPEED_LEAST for so long is refused; 0: 30 */
};
#define MIRROR_SPEED_LEAST 1024 /* bytes a second */

int mirror_open(const struct mirror_settings *settings, struct mirror **ret_mirror, struct error *error) MUST_CHECK;
void mirror_free(struct mirror **mirror);

/* Where bytes go as they come. A failure ends the transfer with its own error. */
struct mirror_sink {
	int (*write)(void *context, const void *bytes, size_t size, struct error *error);
	void *context;
};
/* One name ("metadata/…", "targets/…", "blobs/HASH"), at most `most` bytes: more is ERROR_DATA "length", noticed before
 * the sink has seen more. The server's 404 and 403 (many static servers answer so for what they lack): ERROR_DATA
 * "missing". Too slow: ERROR_UNREACHABLE "slow". Anything else, a broken connection or a bad certificate too:
 * ERROR_UNREACHABLE "mirror". */
int mirror_fetch(struct mirror *mirror, const char *name, size_t most, struct mirror_sink sink,
		 struct error *error) MUST_CHECK;

/* For trust_refresh and trust_target. Borrows the mirror. */
struct trust_source mirror_source(struct mirror *mirror);

#endif

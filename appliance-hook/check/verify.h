/* The checks of design section 3, in its order, each a step that needs the ones before it. The first refusal ends it by
 * name and nothing was changed. What a step established is in the struct; nothing else may be believed. */
#ifndef CHECK_VERIFY_H
#define CHECK_VERIFY_H

#include "appliance-hook/check/session.h"
#include "appliance-hook/check/source.h"
#include "keys/entitlement.h"
#include "keys/offline.h"
#include "release/library.h"

/* Which checks were passed. A step refuses to run without those that it rests on (ERROR_BUG): use is gated on recorded
 * trust. */
enum verify_passed {
	VERIFY_STANDING = 1 << 0,    /* what this appliance runs, as act says */
	VERIFY_METADATA = 1 << 1,    /* root → timestamp → snapshot → targets; authority.json, technicians.json */
	VERIFY_MANIFEST = 1 << 2,    /* the release's manifest, hashed before it was parsed */
	VERIFY_PATH = 1 << 3,        /* not yanked, not quarantined, not older, min_from and stops */
	VERIFY_ENTITLEMENT = 1 << 4, /* support is current */
	VERIFY_ALL = (1 << 5) - 1,   /* what staging and switching need */
};

struct verify {
	struct session *session;
	struct source source;
	int64_t now;     /* fixed for the whole chain */
	unsigned passed; /* enum verify_passed */

	json_t *standing;    /* act's answer to `status` */
	const char *running; /* the version in `standing`; "" when none */
	struct trust *trust;
	struct authority authority;
	struct library_release release;
	struct buffer manifest_bytes;
	struct buffer delta_head; /* of the delta that made them, if one did */
	struct manifest *manifest;
	struct entitlement entitlement;
};

/* `other` gets what else comes on the stream while something is fetched. */
void verify_start(struct verify *verify, struct session *session, stream_other *other, void *context);
void verify_end(struct verify *verify); /* also the CLEANUP function */

int verify_standing(struct verify *verify, struct error *error) MUST_CHECK;
/* Refused by "clock" before a byte is asked for when the clock lies below the floor of time. */
int verify_metadata(struct verify *verify, struct error *error) MUST_CHECK;
/* A set without a timestamp, for a file that somebody carried here: `grant` (an offline envelope) says which, and nothing
 * is kept before it is known whose word that is. Nothing else takes such a grant. */
int verify_metadata_offline(struct verify *verify, const struct buffer *grant, struct offline *ret_offline,
			    struct error *error) MUST_CHECK;
/* The last set that was accepted, whatever its age: for a rollback order, which neither time nor tunnel may stop. */
int verify_metadata_stored(struct verify *verify, struct error *error) MUST_CHECK;
int verify_manifest(struct verify *verify, const char *version, struct error *error) MUST_CHECK;
int verify_path(struct verify *verify, struct error *error) MUST_CHECK;
/* `envelope` is the body's object; `managed`: asked for by a technician. One that is in order is kept, the newest. */
int verify_entitlement(struct verify *verify, const json_t *envelope, bool managed, struct error *error) MUST_CHECK;

/* The entitlement that was received last: ERROR_NOT_PERMITTED "entitlement" when none was. Caller owns; believed no more
 * than one that comes by a stream. */
int verify_entitlement_stored(struct verify *verify, json_t **ret_envelope, struct error *error) MUST_CHECK;

/* The steps above in their order. */
struct verify_wish {
	const char *version;
	const json_t *entitlement;
	bool managed;
};
int verify_all(struct verify *verify, const struct verify_wish *wish, struct error *error) MUST_CHECK;

/* After verify_path: room and health, as act finds them. *ret_answer {ok, checks} may be NULL: then the first check
 * that failed is the error ("space" 73, others 75). */
int verify_preflight(struct verify *verify, json_t **ret_answer, struct error *error) MUST_CHECK;

#endif

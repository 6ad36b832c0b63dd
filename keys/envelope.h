/* {"signed": …, "signatures": [{"keyid","sig"}]}: what every signed document of ours and of TUF is (TUF §4.2.1).
 * Signatures are over the canonical JSON of `signed`. */
#ifndef KEYS_ENVELOPE_H
#define KEYS_ENVELOPE_H

#include "keys/key.h"

#define ENVELOPE_SIGNATURES_MOST 64

struct envelope;

/* Structure only: nothing is trusted yet. A key id twice in `signatures` is refused. */
int envelope_parse(const void *bytes, size_t size, const char *what, struct envelope **ret_envelope,
		   struct error *error) MUST_CHECK;
/* Around a new document; takes a reference of `signed_part`. */
int envelope_new(json_t *signed_part, struct envelope **ret_envelope, struct error *error) MUST_CHECK;
void envelope_free(struct envelope **envelope);

/* At least set->threshold distinct keys of the set signed these very bytes: distinct public keys, not distinct ids.
 * ERROR_DATA "signature" otherwise, with how many of how many. The only way to the content that is called verified. */
int envelope_verify(const struct envelope *envelope, const struct key_set *set, const char *what,
		    struct error *error) MUST_CHECK;
/* How many distinct keys of the set have signed, for `status`. */
unsigned envelope_count(const struct envelope *envelope, const struct key_set *set);
bool envelope_signed_by(const struct envelope *envelope, const struct key *key);

/* The content; to be believed only after envelope_verify. Borrowed. */
const json_t *envelope_signed(const struct envelope *envelope);

/* Adds or replaces this key's signature. */
int envelope_sign(struct envelope *envelope, const struct key_secret *secret, struct error *error) MUST_CHECK;
/* The file's bytes (appends). A document that was parsed and not signed since comes out byte for byte. */
int envelope_write(const struct envelope *envelope, struct buffer *ret_bytes, struct error *error) MUST_CHECK;

#endif

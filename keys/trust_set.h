/* The trusted set from inside: what trust.c, trust_refresh.c and trust_target.c share. Internal to keys/. */
#ifndef KEYS_TRUST_SET_H
#define KEYS_TRUST_SET_H

#include "keys/trust.h"

/* Where accepted roots are kept, so that the chain from the installed root can be walked again: "N.root.json". */
#define TRUST_HISTORY   "root_history"
#define TRUST_NAME_MOST 512

/* A verified file. */
struct trust_file {
	struct envelope *envelope; /* NULL: none */
	struct role_head head;
};

struct trust_delegate {
	char *name;
	struct trust_file file; /* verified under some delegator; again under the one in force at each visit */
};

struct trust {
	int directory; /* borrowed */
	struct role_root *root;
	/* The root before it, while the newest one stands in root.json alone: what the former's keys have signed may
	 * still lie here. NULL: the turn from one to the other has ended. */
	struct role_root *left;
	struct trust_file files[ROLE_KINDS]; /* all but root */
	bool held; /* verified files stay in memory until trust_keep */
	struct trust_delegate *delegates;
	size_t delegate_count;
};

void trust_file_free(struct trust_file *file);
/* Bytes become a verified file: length and hash where `meta` (may be NULL) has them, signatures under `keys`, content,
 * and the version that `meta` states ("mix"). Expiry is not looked at. */
int trust_file_verify(const struct buffer *bytes, const char *what, enum role_kind kind, const struct key_set *keys,
		      const struct role_meta *meta, struct trust_file *ret_file, struct error *error) MUST_CHECK;
/* ERROR_DATA "freeze" when it has expired. */
int trust_check_fresh(const struct role_head *head, const char *what, int64_t now, struct error *error) MUST_CHECK;
/* Whether an accepted file is the one that `meta` names, so that it need not be fetched. */
bool trust_file_is(const struct trust_file *file, const struct role_meta *meta);

/* A root under the thresholds of `previous` (NULL: the installed one) and of itself. */
int trust_root_verify(const struct buffer *bytes, const struct role_root *previous, struct role_root **ret_root,
		      struct error *error) MUST_CHECK;

/* Whether numbers that were signed before must be forgotten (TUF 1.0 §5.3.11): a key of the timestamp or the snapshot was
 * taken out, and whoever held it may have signed ones that nobody can follow. */
bool trust_root_rotates(const struct role_root *before, const struct role_root *after);

/* The stored file of a kind, verified under the root in force; forgotten where it does not verify. ERROR_DATA "read". */
int trust_stored_load(struct trust *trust, enum role_kind kind, struct error *error) MUST_CHECK;
int trust_store(struct trust *trust, const char *file, const struct buffer *bytes, struct error *error) MUST_CHECK;

/* At most `most` bytes of a name, appended to an empty buffer. */
int trust_fetch(struct trust_source source, const char *name, int64_t most, struct buffer *ret_bytes,
		struct error *error) MUST_CHECK;
/* "metadata/V.FILE", or "metadata/FILE" without consistent snapshots. */
void trust_metadata_name(const struct trust *trust, const char *file, int64_t version,
			 char ret_name[static TRUST_NAME_MOST]);

#endif

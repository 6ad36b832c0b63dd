/* What the repository_*.c files share. */
#ifndef RELEASE_REPOSITORY_STATE_H
#define RELEASE_REPOSITORY_STATE_H

#include "keys/envelope.h"
#include "release/repository.h"

#define REPOSITORY_SPEC      "1.0.31"
#define REPOSITORY_NAME_MOST 96 /* of a metadata file */
#define REPOSITORY_DAY       (24 * 60 * 60)

struct repository {
	int directory, metadata, lock;                 /* lock -1 when only read */
	struct envelope *root;                         /* the newest that stands; NULL before the first */
	struct role_root *keys;                        /* of it */
	struct envelope *targets;                      /* the newest published; NULL before the first */
	struct envelope *staged_root, *staged_targets; /* NULL: nothing staged */
	struct role_root *staged_keys;                 /* of the staged root */
	int64_t versions[ROLE_KINDS];                  /* published; 0: none */
	char product[MANIFEST_NAME_MOST + 1];
};

/* Seconds that a new file of the role lives. */
extern const int64_t repository_lives[ROLE_KINDS];

/* "N.root.json", "timestamp.json". */
void repository_name(enum role_kind kind, int64_t version, char ret_name[static REPOSITORY_NAME_MOST]);
/* *ret_envelope stays NULL when the file is not there. */
int repository_read(int metadata, const char *name, size_t most, struct envelope **ret_envelope,
		    struct error *error) MUST_CHECK;

/* _type, spec_version, version, expires. Takes nothing; NULL when memory ends. */
json_t *repository_head(enum role_kind kind, int64_t version);
/* A copy of a signed part to be changed, with a new version and expiry. */
int repository_copy(const struct envelope *from, enum role_kind kind, int64_t version, json_t **ret_signed,
		    struct error *error) MUST_CHECK;
/* Writes staged.ROLE.json (replacing what was staged) and keeps the envelope in the repository. Takes the signed part.
 */
int repository_stage_take(struct repository *repository, enum role_kind kind, json_t *signed_part,
			  struct error *error) MUST_CHECK;
int repository_write_staged(struct repository *repository, enum role_kind kind, struct error *error) MUST_CHECK;

/* The targets to change next: a copy of what is staged, or of what is published with the next version. */
int repository_next_targets(struct repository *repository, json_t **ret_signed, struct error *error) MUST_CHECK;
/* What lists releases now: staged if anything is, else published. NULL before init's. */
const json_t *repository_current_targets(const struct repository *repository);

/* A file beneath the repository, with its directories, once: the same bytes again are no error, others are. */
int repository_put(int directory, const char *path, const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* A target that is part of no release, targets/SHA256.NAME: the file, and its line in a `targets` map. */
int repository_put_small(struct repository *repository, const char *name, const struct buffer *bytes, json_t *map,
			 struct error *error) MUST_CHECK;
/* The file that a line of the map names, its hash checked. */
int repository_get_small(struct repository *repository, const char *name, const json_t *map, struct buffer *ret_bytes,
			 struct error *error) MUST_CHECK;

/* "alice (3f2a11c0)" for a key, from the names that root carries. */
void repository_key_name(const json_t *root_signed, const struct key *key, char ret_text[static 128]);
/* Refusal "signature" when the envelope lacks signatures of the set: how many, whose are missing. */
int repository_check_threshold(const struct envelope *envelope, const struct key_set *set, const json_t *root_signed,
			       const char *what, struct error *error) MUST_CHECK;

/* The staged root becomes N.root.json when its thresholds stand. */
int repository_settle_root(struct repository *repository, bool *ret_stands, struct error *error) MUST_CHECK;

#endif

/* The repository folder, written: only nightshift-release includes this. Nothing that was published is ever
 * overwritten; what is being prepared stands in metadata/staged.root.json and metadata/staged.targets.json until enough
 * engineers have signed it. One repository, one product. Works with no network; the folder may travel on a stick.
 *
 * REPO/metadata/{N.root,N.targets,N.snapshot,timestamp,staged.root,staged.targets}.json
 * REPO/targets/SHA256.{authority,technicians}.json   REPO/targets/P/V/SHA256.manifest.json   REPO/blobs/BLAKE2B */
#ifndef RELEASE_REPOSITORY_H
#define RELEASE_REPOSITORY_H

#include "keys/authority.h"
#include "keys/role.h"
#include "keys/technicians.h"
#include "release/delta.h"

struct repository;

struct repository_setup {
	const char *product;
	struct key_set roles[ROLE_KINDS];  /* borrowed */
	struct authority authority;        /* borrowed */
	const json_t *names;               /* key id → a person's name, for messages; borrowed */
	struct key_secret *const *signers; /* of root, as many as are at hand */
	size_t signer_count;
};
/* Makes the folder (ERROR_CANNOT_CREATE "exists" when it holds a repository), root 1 and the first targets with
 * authority.json, staged. Root 1 stands at once when the signers reach its threshold. */
int repository_init(const char *path, const struct repository_setup *setup, struct error *error) MUST_CHECK;

enum repository_mode { REPOSITORY_READ, REPOSITORY_WRITE };
/* Writing takes the repository's lock: ERROR_NOT_NOW "busy". */
int repository_open(const char *path, enum repository_mode mode, struct repository **ret_repository,
		    struct error *error) MUST_CHECK;
void repository_free(struct repository **repository);
const char *repository_product(const struct repository *repository);

struct repository_addition {
	const char *bundle;
	const char *const *channels;
	size_t channel_count;
	const char *published; /* "YYYY-MM-DD"; NULL: today, UTC */
};
/* Verifies the whole bundle, content by content, copies it and stages the release. A version that is there:
 * ERROR_CANNOT_CREATE "exists". Signatures of what was staged before are dropped, for they were over something else. */
int repository_add(struct repository *repository, const struct repository_addition *addition,
		   char ret_version[static MANIFEST_NAME_MOST + 1], struct error *error) MUST_CHECK;
/* OLD..NEW.delta between two releases that are here (published or staged), verified whole and staged as two targets:
 * the file, and its head, which is the manifest's patch. `repository_is_delta`: by the file's name. */
bool repository_is_delta(const char *path);
int repository_add_delta(struct repository *repository, const char *path, char ret_name[static DELTA_NAME_MOST],
			 struct error *error) MUST_CHECK;
int repository_promote(struct repository *repository, const char *version, const char *channel,
		       struct error *error) MUST_CHECK;
/* Out of one channel; it stays in the others. */
int repository_leave(struct repository *repository, const char *version, const char *channel,
		     struct error *error) MUST_CHECK;
int repository_yank(struct repository *repository, const char *version, const char *reason,
		    struct error *error) MUST_CHECK;

/* Other order or entitlement keys in authority.json, staged into the next targets; a set without keys stays as it is.
 * To change a key without a gap, name the old and the new one first, and the new one alone when all use it. */
int repository_authority(struct repository *repository, const struct authority *change, struct error *error) MUST_CHECK;

/* Who is listed in technicians.json, staged or published; nobody when the targets name no such file. */
int repository_technicians(struct repository *repository, struct technicians *ret_technicians,
			   struct error *error) MUST_CHECK;
/* The whole list, staged into the next targets, which name no such file when it is empty. */
int repository_set_technicians(struct repository *repository, const struct technicians *technicians,
			       struct error *error) MUST_CHECK;

/* Root N+1, staged: keys of one role come and go, thresholds change, or only its expiry is renewed. */
struct repository_rotation {
	enum role_kind role;
	struct key *const *add;
	size_t add_count;
	const char *const *remove; /* key ids, eight digits or more of one, or names */
	size_t remove_count;
	unsigned threshold;  /* 0: as it is */
	const json_t *names; /* for the keys that come */
};
int repository_rotate(struct repository *repository, const struct repository_rotation *rotation,
		      struct error *error) MUST_CHECK;

struct repository_signed {
	bool root, targets; /* what this key has signed */
	bool root_stands;   /* the staged root reached its thresholds and is N.root.json now */
	bool targets_ready; /* the staged targets may be published */
	bool renewed;       /* nothing was staged: the published targets were staged anew, with a new expiry */
};
/* Signs what is staged and names this key. Nothing staged and the published targets need it (a key was rotated out, or
 * a third of their life is left) or `renew`: they are staged anew and signed. */
int repository_sign(struct repository *repository, const struct key_secret *secret, bool renew,
		    struct repository_signed *ret_signed, struct error *error) MUST_CHECK;

/* Under threshold ERROR_DATA "signature" names who is missing, and nothing changes. With nothing staged the snapshot
 * (and timestamp) are issued anew. `timestamp` NULL: none is written, and one
 * that speaks of the set before is set aside. */
int repository_publish(struct repository *repository, struct key_secret *const *snapshot, size_t snapshot_count,
		       const struct key_secret *timestamp, struct error *error) MUST_CHECK;

/* What stands, what expires when, what is staged and who is missing: for people and for --json. */
int repository_status(struct repository *repository, json_t **ret_status, struct error *error) MUST_CHECK;

/* The published release with the metadata chain in one file. */
int repository_export(struct repository *repository, const char *version, const char *output,
		      struct error *error) MUST_CHECK;

#endif

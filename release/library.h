/* A repository folder, read: what was published, release by release, over verified targets metadata. Used by import,
 * engine and the hook; writing it is release/repository.h, which only nightshift-release includes.
 *
 * REPO/metadata/{N.root,N.snapshot,N.targets,timestamp}.json   REPO/targets/SHA256.NAME   REPO/blobs/BLAKE2B
 * A release V of product P is the target "P/V/manifest.json" (SHA-256 and length in targets; `custom`: product,
 * version, sequence, published, channels, class, min_from, stop, yanked {reason,date} or absent). Its blobs lie in
 * blobs/ by hash. */
#ifndef RELEASE_LIBRARY_H
#define RELEASE_LIBRARY_H

#include "keys/trust.h"
#include "release/manifest.h"

#define LIBRARY_CHANNELS_MOST 16

struct library_release {
	char product[MANIFEST_NAME_MOST + 1], version[MANIFEST_NAME_MOST + 1], min_from[MANIFEST_NAME_MOST + 1];
	char target[2 * MANIFEST_NAME_MOST + 32]; /* "P/V/manifest.json" */
	uint8_t sha256[HASH_SIZE];
	int64_t length;
	int64_t sequence;
	int64_t published; /* UTC midnight */
	bool security, stop, yanked;
	char yank_reason[128];
	const json_t *channels; /* borrowed array of strings */
};
/* All releases of a product (NULL: of all), by sequence. Caller frees with free(). */
int library_list(const json_t *targets, const char *product, struct library_release **ret_releases, size_t *ret_count,
		 struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-release" when it is not there. */
int library_find(const json_t *targets, const char *product, const char *version, struct library_release *ret_release,
		 struct error *error) MUST_CHECK;

/* May a box at `from` go to `to`? Not yanked, not older, min_from reached, no mandatory stop skipped on the way (stops
 * count whatever the channel). ERROR_DATA "yanked" | "older" | "min-from" | "stop"; the sentence names the version to
 * go to first. */
int library_path_allows(const json_t *targets, const char *product, const char *from, const char *to,
			struct error *error) MUST_CHECK;

#endif

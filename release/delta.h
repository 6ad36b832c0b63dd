/* P/deltas/OLD..NEW.delta: what a release has that another does not, as patches of the other's bytes. Design section 4.
 *
 * The file begins with the head: which releases it goes between and the new manifest as a patch of the old one's bytes.
 * The same bytes are a target of their own, OLD..NEW.manifest, for the manifest is wanted long before the rest. Then
 * the index, then the parts. Every piece has its own BLAKE2b, which is compared before it is decompressed; all of them
 * stand under the SHA-256 of the signed targets.
 *
 * A part is one zstd frame over stretches of new contents with stretches of old ones as its prefix: like files share
 * one, a large file has several. Long stretches that the old release has word for word are copied and in no frame. So
 * neither side ever holds more than a part's share of a file.
 *
 * The index begins with maps (delta_map.h), one for each pair of executables that gains by it: in the parts that say so
 * the old one's stretches are rewritten by its map before they are a prefix, the new one's are restored by it. */
#ifndef RELEASE_DELTA_H
#define RELEASE_DELTA_H

#include "release/manifest.h"

#define DELTA_PREFIX_MOST ((size_t)64 * 1024 * 1024)
#define DELTA_PLAIN_MOST  ((size_t)48 * 1024 * 1024)
#define DELTA_HEAD_MOST   ((size_t)MANIFEST_BYTES_MOST)
#define DELTA_INDEX_MOST  ((size_t)64 * 1024 * 1024)
#define DELTA_BYTES_MOST  ((int64_t)64 * 1024 * 1024 * 1024)
#define DELTA_NAME_MOST   (3 * MANIFEST_NAME_MOST + 32)

/* Memory of delta_make beside manifests, and of delta_apply beside these and 24 MiB of maps: parts wait for one another
 * rather than exceed it. One part alone is always made or applied, which takes no more. */
#define DELTA_MAKE_MEMORY  ((size_t)960 * 1024 * 1024)
#define DELTA_APPLY_MEMORY ((size_t)208 * 1024 * 1024)

/* "P/deltas/OLD..NEW.delta" and "….manifest". */
enum delta_target { DELTA_WHOLE, DELTA_HEAD };
void delta_target_name(enum delta_target kind, const char *product, const char *from, const char *to,
		       char ret_name[static DELTA_NAME_MOST]);

struct delta_make {
	const char *old, *new, *output;                             /* two bundles of one product; OLD..NEW.delta */
	void (*progress)(void *context, size_t done, size_t count); /* parts; may be NULL */
	void *context;
};
struct delta_made {
	uint64_t bytes, head; /* of the file, and of its head */
	size_t contents;      /* that are made */
	size_t parts;
};
/* The same bundles under the same libzstd give the same bytes, on any number of cores. */
int delta_make(const struct delta_make *make, struct delta_made *ret_made, struct error *error) MUST_CHECK;

struct delta_head {
	char product[MANIFEST_NAME_MOST + 1], from[MANIFEST_NAME_MOST + 1], to[MANIFEST_NAME_MOST + 1];
	uint8_t old_manifest[HASH_SIZE]; /* BLAKE2b */
	uint64_t manifest_size;          /* of the new one */
	uint64_t patch_size;
	uint8_t patch_hash[HASH_SIZE];
	size_t size; /* of the whole head */
};
/* From the first bytes of a file or from a whole head. ERROR_DATA "delta". */
int delta_read_head(const void *bytes, size_t size, struct delta_head *ret_head, struct error *error) MUST_CHECK;
/* The new manifest's bytes (appends), not trusted: the caller compares the hash that was signed. ERROR_DATA "base" when
 * the old manifest is another than the one that the delta was made from. */
int delta_manifest(const void *head, size_t size, const struct buffer *old_manifest, struct buffer *ret_manifest,
		   struct error *error) MUST_CHECK;

struct delta; /* open for reading; for several threads at once */
/* Borrows all. The file's own hash was compared by the caller. */
int delta_open(int fd, const struct manifest *old, const struct manifest *new, struct delta **ret_delta,
	       struct error *error) MUST_CHECK;
void delta_free(struct delta **delta);
/* Every part's bytes hash to what the index says, and nothing stands behind them. */
int delta_check(const struct delta *delta, struct error *error) MUST_CHECK;

/* Whom the made contents are for. Both are called from several threads. */
struct delta_sink {
	bool (*wants)(void *context, size_t content);
	/* A stretch of new content `content`. It may be wrong where the base was: the sink hashes what is whole. An
	 * error ends it all. */
	int (*take)(void *context, size_t content, uint64_t offset, const uint8_t *bytes, size_t size,
		    struct error *error);
	void *context;
};
/* Makes what the sink wants from the files of `base`, the old release's tree, on every core. A base file that is
 * missing or short counts as zeros: what comes out is wrong, and only that. */
int delta_apply(const struct delta *delta, int base, const struct delta_sink *sink, struct error *error) MUST_CHECK;
/* The first old file that content `content` was made from and that is not what its manifest says; NULL when all are. */
const char *delta_damaged(const struct delta *delta, int base, size_t content);

#endif

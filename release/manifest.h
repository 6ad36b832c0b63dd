/* manifest.json: every byte of a release by name. The target of TUF; the closed set that tree, hooks and blobs must
 * equal. Design section 4. File and blob hashes are BLAKE2b-256. */
#ifndef RELEASE_MANIFEST_H
#define RELEASE_MANIFEST_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/jsonio.h"

#define MANIFEST_BYTES_MOST      (64 * 1024 * 1024)
#define MANIFEST_ENTRIES_MOST    1000000
#define MANIFEST_BLOBS_MOST      100000
#define MANIFEST_BLOB_PLAIN_MOST (8 * 1024 * 1024)
/* What zstd makes of a blob that does not shrink. */
#define MANIFEST_BLOB_STORED_MOST (MANIFEST_BLOB_PLAIN_MOST + MANIFEST_BLOB_PLAIN_MOST / 128)
#define MANIFEST_NAME_MOST        63
#define MANIFEST_NOTES_MOST       (64 * 1024)
#define MANIFEST_FILE_MOST        ((uint64_t)1 << 40) /* bytes of one file */

enum manifest_type { MANIFEST_FILE, MANIFEST_DIRECTORY, MANIFEST_LINK };
enum manifest_root { MANIFEST_TREE, MANIFEST_HOOKS };

struct manifest_entry {
	const char *path;        /* relative to its root; checked by file_path_is_safe; in manifest.texts */
	const char *target;      /* links; stays inside the root; in manifest.texts */
	const char *owner;       /* "root" or a name of the closed list; borrowed */
	uint64_t size;           /* files */
	uint8_t hash[HASH_SIZE]; /* files */
	enum manifest_root root : 8;
	enum manifest_type type : 8;
	unsigned mode : 16; /* permission bits; set-id bits only where declared */
};

/* A blob is one zstd frame over a stretch of the release's content: all distinct file contents end to end, in the order
 * of `contents`. A blob starts at `offset` of that stream. */
struct manifest_blob {
	uint8_t hash[HASH_SIZE]; /* of the stored bytes */
	uint64_t stored, plain;
	uint64_t offset; /* in the content stream; derived when read */
};
struct manifest_content {
	uint8_t hash[HASH_SIZE];
	uint64_t size;
	uint64_t offset;            /* in the content stream; derived when read */
	uint32_t first_file, files; /* every entry with this hash: that stretch of manifest.file_order; derived */
};

struct manifest {
	char product[MANIFEST_NAME_MOST + 1], version[MANIFEST_NAME_MOST + 1], min_from[MANIFEST_NAME_MOST + 1];
	bool security, stop, data_migration, reboot, network;
	int64_t hook_api;                        /* 1 */
	uint64_t tree_bytes;                     /* disk need of the tree */
	int64_t apply_seconds, rollback_seconds; /* declared durations: the first `need` */
	char *notes;                             /* NULL when none */
	bool has_sbom;
	uint8_t sbom[HASH_SIZE];
	struct arena texts;             /* paths and targets */
	struct manifest_entry *entries; /* sorted by root, then path bytes */
	size_t entry_count;
	struct manifest_content *contents;
	size_t content_count;
	struct manifest_blob *blobs;
	size_t blob_count;
	/* Derived by rules_check: file entries by hash, contents by hash. */
	uint32_t *file_order, *content_order;
	size_t file_count;
};

/* Bytes that were verified → struct; every bound and rule checked: paths safe and unique, parents present as
 * directories, links inside, contents equal to the distinct hashes of the entries, blobs covering the stream exactly.
 * ERROR_DATA "manifest". */
int manifest_parse(const void *bytes, size_t size, struct manifest **ret_manifest, struct error *error) MUST_CHECK;
/* The same of a file, from its start, without ever holding its text; *ret_sha256 (may be NULL) is of the very bytes
 * that were read. They are parsed before their hash is known: for files that nobody else can write. */
int manifest_read(int fd, const char *name, struct manifest **ret_manifest, uint8_t ret_sha256[HASH_SIZE],
		  struct error *error) MUST_CHECK;
/* JSON with sorted keys and no spaces: the same struct gives the same bytes (appends). Not OLPC's form, whose raw
 * newlines (in notes) no parser takes. Only what manifest_parse accepts comes out well: a maker of manifests calls
 * rules_check first. */
int manifest_write(const struct manifest *manifest, struct buffer *ret_bytes, struct error *error) MUST_CHECK;
void manifest_free(struct manifest **manifest);
/* Leaves the head and the entries of the hooks, and gives the rest back: for who goes on with it for long, or forks. */
int manifest_shed_tree(struct manifest *manifest, struct error *error) MUST_CHECK;

const struct manifest_entry *manifest_find(const struct manifest *manifest, enum manifest_root root, const char *path);
/* The content with this hash, NULL when the release has none. */
const struct manifest_content *manifest_find_content(const struct manifest *manifest,
						     const uint8_t hash[static HASH_SIZE]);

/* The file `index`, below content->files, of those with this content: in the order of the entries. */
const struct manifest_entry *manifest_file(const struct manifest *manifest, const struct manifest_content *content,
					   size_t index);

/* A product, version or channel: letters, digits and . _ + ~ -, a letter or digit first, 63 bytes at most. So it is
 * also a safe name of a file. */
bool manifest_name_is_safe(const char *name);

#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "release/manifest_entry.h"
#include "release/manifest_words.h"
#include "release/rules.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "manifest", __VA_ARGS__)

static const char *const class_names[] = {"feature", "security"};

static const struct jsonio_field manifest_fields[] = {
	{"_type", JSONIO_STRING, true, 16},
	{"format", JSONIO_INTEGER, true, 1},
	{"product", JSONIO_STRING, true, MANIFEST_NAME_MOST},
	{"version", JSONIO_STRING, true, MANIFEST_NAME_MOST},
	{"class", JSONIO_STRING, true, 16},
	{"min_from", JSONIO_STRING, false, MANIFEST_NAME_MOST},
	{"stop", JSONIO_BOOLEAN, true},
	{"data_migration", JSONIO_BOOLEAN, true},
	{"reboot", JSONIO_BOOLEAN, true},
	{"network", JSONIO_BOOLEAN, true},
	{"hook_api", JSONIO_INTEGER, true, 1000},
	{"tree_bytes", JSONIO_INTEGER, true, INT64_C(1) << 60},
	{"apply_seconds", JSONIO_INTEGER, true, 7 * 86400},
	{"rollback_seconds", JSONIO_INTEGER, true, 7 * 86400},
	{"notes", JSONIO_STRING, false, MANIFEST_NOTES_MOST},
	{"sbom", JSONIO_STRING, false, 2 * HASH_SIZE},
	{"entries", JSONIO_ARRAY, true, MANIFEST_ENTRIES_MOST},
	{"contents", JSONIO_ARRAY, true, MANIFEST_ENTRIES_MOST},
	{"blobs", JSONIO_ARRAY, true, MANIFEST_BLOBS_MOST},
	{NULL},
};
static const struct jsonio_field blob_fields[] = {
	{"hash", JSONIO_STRING, true, 2 * HASH_SIZE},
	{"stored", JSONIO_INTEGER, true, MANIFEST_BLOB_STORED_MOST},
	{"plain", JSONIO_INTEGER, true, MANIFEST_BLOB_PLAIN_MOST},
	{NULL},
};

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the manifest");
}

/* The list with room for one more; the last one is never used, so that no list is ever NULL. It doubles at each power
 * of two: where malloc maps such lists by themselves, what is not used of it costs nothing. NULL where memory ends. */
static void *grow(void *list, size_t count, size_t size)
{
	return (count & (count - 1)) == 0 ? reallocarray(list, 2 * count + 2, size) : list;
}

static int take_entry(void *context, const char *text, size_t size, struct error *error)
{
	struct manifest *manifest = context;
	struct manifest_entry *entries = grow(manifest->entries, manifest->entry_count, sizeof(*entries));

	if (entries == NULL)
		return no_memory(error);
	manifest->entries = entries;
	int result = manifest_entry_read(manifest, text, size, &entries[manifest->entry_count], error);
	manifest->entry_count += result == 0;
	return result;
}

static int read_content(const char *text, size_t size, size_t index, uint8_t ret_hash[static HASH_SIZE],
			struct error *error)
{
	CLEANUP(jsonio_free) json_t *value = NULL;
	struct manifest_word word;

	if (manifest_words_string(text, size, 2 * HASH_SIZE, &word))
		return manifest_word_hash(word, ret_hash, error);
	int result = jsonio_parse(text, size, "a member of the manifest", &value, error);
	if (result < 0)
		return result;
	const char *hash = json_string_value(value);
	return hash == NULL ? REFUSE(error, "content %zu of the manifest is no hash", index)
			    : hash_from_hex(hash, ret_hash, HASH_SIZE, error);
}

static int take_content(void *context, const char *text, size_t size, struct error *error)
{
	struct manifest *manifest = context;
	struct manifest_content *contents = grow(manifest->contents, manifest->content_count, sizeof(*contents));

	if (contents == NULL)
		return no_memory(error);
	manifest->contents = contents;
	struct manifest_content *content = &contents[manifest->content_count];
	*content = (struct manifest_content){0};
	int result = read_content(text, size, manifest->content_count, content->hash, error);
	manifest->content_count += result == 0;
	return result;
}

static int read_blob(const char *text, size_t size, struct manifest_blob *ret_blob, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	struct manifest_blob blob = {0};
	int result = jsonio_parse(text, size, "a member of the manifest", &object, error);
	if (result == 0)
		result = jsonio_check(object, blob_fields, "manifest blob", error);
	if (result == 0)
		result = hash_from_hex(jsonio_string(object, "hash"), blob.hash, HASH_SIZE, error);
	if (result < 0)
		return result;
	blob.stored = (uint64_t)jsonio_integer(object, "stored");
	blob.plain = (uint64_t)jsonio_integer(object, "plain");
	*ret_blob = blob;
	return 0;
}

static int take_blob(void *context, const char *text, size_t size, struct error *error)
{
	struct manifest *manifest = context;
	struct manifest_blob *blobs = grow(manifest->blobs, manifest->blob_count, sizeof(*blobs));

	if (blobs == NULL)
		return no_memory(error);
	manifest->blobs = blobs;
	int result = read_blob(text, size, &blobs[manifest->blob_count], error);
	manifest->blob_count += result == 0;
	return result;
}

static const struct jsonio_list lists[] = {
	{"entries", MANIFEST_ENTRIES_MOST, take_entry},
	{"contents", MANIFEST_ENTRIES_MOST, take_content},
	{"blobs", MANIFEST_BLOBS_MOST, take_blob},
};

static int read_head(const json_t *root, struct manifest *manifest, struct error *error)
{
	const char *class = jsonio_string(root, "class"), *min_from = jsonio_string(root, "min_from");
	const char *notes = jsonio_string(root, "notes"), *sbom = jsonio_string(root, "sbom");

	if (strcmp(jsonio_string(root, "_type"), "manifest") != 0 || jsonio_integer(root, "format") != 1)
		return REFUSE(error, "the document is no manifest of format 1");
	if (strcmp(class, class_names[0]) != 0 && strcmp(class, class_names[1]) != 0)
		return REFUSE(error, "the manifest's class is neither feature nor security");
	manifest->security = strcmp(class, class_names[1]) == 0;
	snprintf(manifest->product, sizeof(manifest->product), "%s", jsonio_string(root, "product"));
	snprintf(manifest->version, sizeof(manifest->version), "%s", jsonio_string(root, "version"));
	if (min_from != NULL)
		snprintf(manifest->min_from, sizeof(manifest->min_from), "%s", min_from);
	manifest->stop = jsonio_boolean(root, "stop");
	manifest->data_migration = jsonio_boolean(root, "data_migration");
	manifest->reboot = jsonio_boolean(root, "reboot");
	manifest->network = jsonio_boolean(root, "network");
	manifest->hook_api = jsonio_integer(root, "hook_api");
	manifest->tree_bytes = (uint64_t)jsonio_integer(root, "tree_bytes");
	manifest->apply_seconds = jsonio_integer(root, "apply_seconds");
	manifest->rollback_seconds = jsonio_integer(root, "rollback_seconds");
	if (notes != NULL && (manifest->notes = strdup(notes)) == NULL)
		return no_memory(error);
	manifest->has_sbom = sbom != NULL;
	return sbom != NULL ? hash_from_hex(sbom, manifest->sbom, HASH_SIZE, error) : 0;
}

/* Every list ends where its last member does, and is not NULL. */
static int fit(struct manifest *manifest, struct error *error)
{
	struct manifest_entry *entries =
		reallocarray(manifest->entries, manifest->entry_count + 1, sizeof(*manifest->entries));
	manifest->entries = entries != NULL ? entries : manifest->entries;
	struct manifest_content *contents =
		reallocarray(manifest->contents, manifest->content_count + 1, sizeof(*manifest->contents));
	manifest->contents = contents != NULL ? contents : manifest->contents;
	struct manifest_blob *blobs = reallocarray(manifest->blobs, manifest->blob_count + 1, sizeof(*manifest->blobs));
	manifest->blobs = blobs != NULL ? blobs : manifest->blobs;
	return entries == NULL || contents == NULL || blobs == NULL ? no_memory(error) : 0;
}

static int read_manifest(const struct jsonio_source *source, struct manifest **ret_manifest, struct error *error)
{
	CLEANUP(jsonio_free) json_t *root = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = calloc(1, sizeof(*manifest));

	if (manifest == NULL)
		return no_memory(error);
	int result = jsonio_parse_lists(source, "manifest", lists, ARRAY_SIZE(lists), manifest, &root, error);
	if (result == 0)
		result = jsonio_check(root, manifest_fields, "manifest", error);
	if (result == 0)
		result = read_head(root, manifest, error);
	if (result == 0)
		result = fit(manifest, error);
	if (result == 0)
		result = rules_check(manifest, error);
	if (result < 0)
		return result;
	*ret_manifest = TAKE(manifest);
	return 0;
}

static int refuse_length(struct error *error)
{
	return error_set(error, ERROR_DATA, "length", "the manifest has more than %d bytes", MANIFEST_BYTES_MOST);
}

int manifest_parse(const void *bytes, size_t size, struct manifest **ret_manifest, struct error *error)
{
	struct jsonio_bytes left = {bytes, size};
	const struct jsonio_source source = jsonio_source_bytes(&left);

	return size > MANIFEST_BYTES_MOST ? refuse_length(error) : read_manifest(&source, ret_manifest, error);
}

/* A file that is read once, and hashed on the way. */
struct file_source {
	int fd;
	const char *name;
	uint64_t size;
	struct hash_state sha256;
};

static int read_file(void *context, void *room, size_t size, size_t *ret_got, struct error *error)
{
	struct file_source *file = context;
	size_t got = 0;
	int result = file_read_piece(file->fd, file->name, file->size, room, size, &got, error);

	if (result < 0)
		return result;
	file->size += got;
	if (file->size > MANIFEST_BYTES_MOST)
		return refuse_length(error);
	hash_update(&file->sha256, room, got);
	*ret_got = got;
	return 0;
}

int manifest_read(int fd, const char *name, struct manifest **ret_manifest, uint8_t ret_sha256[HASH_SIZE],
		  struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct file_source file = {.fd = fd, .name = name};
	const struct jsonio_source source = {read_file, &file};

	if (fault_point("file.read") < 0)
		return error_set_errno(error, ERROR_DATA, "read", "%s cannot be read", name);
	hash_begin(&file.sha256, HASH_SHA256);
	int result = read_manifest(&source, &manifest, error);
	if (result < 0)
		return result;
	if (ret_sha256 != NULL)
		hash_end(&file.sha256, ret_sha256);
	*ret_manifest = TAKE(manifest);
	return 0;
}

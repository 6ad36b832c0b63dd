#include "release/manifest.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crew.h"
#include "release/rules.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "manifest", __VA_ARGS__)
/* Of entries that one thread parses at a time: a small manifest needs no second. */
#define ENTRIES_STEP 512

static const char *const type_names[] = {
	[MANIFEST_FILE] = "file",
	[MANIFEST_DIRECTORY] = "directory",
	[MANIFEST_LINK] = "link",
};
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
static const struct jsonio_field entry_fields[] = {
	{"path", JSONIO_STRING, true, 4095},
	{"root", JSONIO_STRING, false, 8}, /* "hooks"; absent: the tree */
	{"type", JSONIO_STRING, true, 16},
	{"mode", JSONIO_STRING, false, 4},   /* four octal digits; links have none */
	{"set_id", JSONIO_BOOLEAN, false},   /* declares the set-id bits of `mode` */
	{"owner", JSONIO_STRING, false, 32}, /* absent: root */
	{"size", JSONIO_INTEGER, false, (int64_t)MANIFEST_FILE_MOST},
	{"hash", JSONIO_STRING, false, 2 * HASH_SIZE},
	{"target", JSONIO_STRING, false, 4095},
	{NULL},
};
static const struct jsonio_field blob_fields[] = {
	{"hash", JSONIO_STRING, true, 2 * HASH_SIZE},
	{"stored", JSONIO_INTEGER, true, MANIFEST_BLOB_STORED_MOST},
	{"plain", JSONIO_INTEGER, true, MANIFEST_BLOB_PLAIN_MOST},
	{NULL},
};

bool manifest_name_is_safe(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t size = strlen(name);
	if (size == 0 || size > MANIFEST_NAME_MOST || strchr(letters, name[0]) == NULL)
		return false;
	for (size_t i = 0; i < size; i++)
		if (strchr(letters, name[i]) == NULL && strchr("._+~-", name[i]) == NULL)
			return false;
	return true;
}

void manifest_free(struct manifest **manifest)
{
	struct manifest *old = TAKE(*manifest);
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->entry_count; i++) {
		free(old->entries[i].path);
		free(old->entries[i].target);
	}
	free(old->entries);
	free(old->contents);
	free(old->blobs);
	free(old->file_order);
	free(old->content_order);
	free(old->notes);
	bool large = old->entry_count > ENTRIES_STEP;
	free(old);
	/* So many small pieces do not go back by themselves: whoever lives on, or forks, would keep them. */
	if (large)
		malloc_trim(0);
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the manifest");
}

static int parse_mode(const char *text, bool set_id, unsigned *ret_mode)
{
	if (text == NULL || strlen(text) != 4 || strspn(text, "01234567") != 4)
		return -1;
	unsigned mode = (unsigned)strtoul(text, NULL, 8);
	if ((mode > 0777) != set_id)
		return -1;
	*ret_mode = mode;
	return 0;
}

/* Which fields an entry has follows from its type: exactly those. */
static int parse_entry(const json_t *object, struct manifest_entry *entry, struct error *error)
{
	int result = jsonio_check(object, entry_fields, "manifest entry", error);
	if (result < 0)
		return result;
	const char *path = jsonio_string(object, "path"), *type = jsonio_string(object, "type");
	const char *root = jsonio_string(object, "root"), *owner = jsonio_string(object, "owner");
	const char *hash = jsonio_string(object, "hash"), *target = jsonio_string(object, "target");
	bool has_size = jsonio_member(object, "size") != NULL, has_mode = jsonio_member(object, "mode") != NULL;

	size_t kind = 0;
	while (kind < ARRAY_SIZE(type_names) && strcmp(type, type_names[kind]) != 0)
		kind++;
	if (kind == ARRAY_SIZE(type_names) || (root != NULL && strcmp(root, "hooks") != 0))
		return REFUSE(error, "entry %s has an unknown type or root", path);
	entry->type = (enum manifest_type)kind;
	entry->root = root != NULL ? MANIFEST_HOOKS : MANIFEST_TREE;
	bool file = entry->type == MANIFEST_FILE, link = entry->type == MANIFEST_LINK;
	if (file != (hash != NULL) || file != has_size || link != (target != NULL) || link == has_mode)
		return REFUSE(error, "entry %s lacks a field of a %s, or has one too many", path, type);

	const struct rules_owner *known = rules_owner(owner != NULL ? owner : "root");
	if (known == NULL)
		return REFUSE(error, "entry %s has owner %s, who is not on the list", path, owner);
	entry->owner = known->name;
	entry->mode = 0777;
	if (!link && parse_mode(jsonio_string(object, "mode"), jsonio_boolean(object, "set_id"), &entry->mode) < 0)
		return REFUSE(error, "entry %s has a bad mode, or set-id bits that are not declared", path);
	if (file) {
		entry->size = (uint64_t)jsonio_integer(object, "size");
		result = hash_from_hex(hash, entry->hash, HASH_SIZE, error);
		if (result < 0)
			return error_prefix(error, "entry %s", path);
	}
	entry->path = strdup(path);
	entry->target = target != NULL ? strdup(target) : NULL;
	return entry->path == NULL || (target != NULL && entry->target == NULL) ? no_memory(error) : 0;
}

enum list { LIST_ENTRIES, LIST_CONTENTS, LIST_BLOBS, LIST_COUNT };

/* A manifest whose lists are still text. */
struct reading {
	const uint8_t *bytes;
	struct jsonio_list lists[LIST_COUNT];
	struct manifest *manifest;
};

static void reading_end(struct reading *reading)
{
	for (size_t i = 0; i < LIST_COUNT; i++)
		free(reading->lists[i].parts);
}

static int parse_member(const struct reading *reading, enum list list, size_t index, json_t **ret_value,
			struct error *error)
{
	const struct jsonio_part part = reading->lists[list].parts[index];
	return jsonio_parse(reading->bytes + part.at, part.size, "a member of the manifest", ret_value, error);
}

static int read_entry(void *context, size_t worker UNUSED, size_t index, struct error *error)
{
	const struct reading *reading = context;
	CLEANUP(jsonio_free) json_t *object = NULL;
	int result = parse_member(reading, LIST_ENTRIES, index, &object, error);
	return result < 0 ? result : parse_entry(object, &reading->manifest->entries[index], error);
}

static int read_content(const struct reading *reading, size_t index, struct error *error)
{
	CLEANUP(jsonio_free) json_t *value = NULL;
	int result = parse_member(reading, LIST_CONTENTS, index, &value, error);
	if (result < 0)
		return result;
	const char *text = json_string_value(value);
	return text == NULL ? REFUSE(error, "content %zu of the manifest is no hash", index)
			    : hash_from_hex(text, reading->manifest->contents[index].hash, HASH_SIZE, error);
}

static int read_blob(const struct reading *reading, size_t index, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	struct manifest_blob *blob = &reading->manifest->blobs[index];
	int result = parse_member(reading, LIST_BLOBS, index, &object, error);
	if (result == 0)
		result = jsonio_check(object, blob_fields, "manifest blob", error);
	if (result == 0)
		result = hash_from_hex(jsonio_string(object, "hash"), blob->hash, HASH_SIZE, error);
	if (result < 0)
		return result;
	blob->stored = (uint64_t)jsonio_integer(object, "stored");
	blob->plain = (uint64_t)jsonio_integer(object, "plain");
	return 0;
}

static int read_lists(struct reading *reading, struct error *error)
{
	struct manifest *manifest = reading->manifest;
	size_t entry_count = reading->lists[LIST_ENTRIES].count, content_count = reading->lists[LIST_CONTENTS].count;
	size_t blob_count = reading->lists[LIST_BLOBS].count;

	manifest->entries = calloc(entry_count + 1, sizeof(*manifest->entries));
	manifest->contents = calloc(content_count + 1, sizeof(*manifest->contents));
	manifest->blobs = calloc(blob_count + 1, sizeof(*manifest->blobs));
	if (manifest->entries == NULL || manifest->contents == NULL || manifest->blobs == NULL)
		return no_memory(error);
	manifest->entry_count = entry_count;
	int result = crew_run(CREW_MOST, entry_count, ENTRIES_STEP, read_entry, reading, error);
	for (size_t i = 0; result == 0 && i < content_count; i++)
		result = read_content(reading, i, error);
	manifest->content_count = content_count;
	for (size_t i = 0; result == 0 && i < blob_count; i++)
		result = read_blob(reading, i, error);
	manifest->blob_count = blob_count;
	return result;
}

static int parse_head(const json_t *root, struct manifest *manifest, struct error *error)
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

int manifest_parse(const void *bytes, size_t size, struct manifest **ret_manifest, struct error *error)
{
	CLEANUP(jsonio_free) json_t *root = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = calloc(1, sizeof(*manifest));
	CLEANUP(reading_end)
	struct reading reading = {.bytes = bytes,
				  .lists = {[LIST_ENTRIES] = {"entries", MANIFEST_ENTRIES_MOST},
					    [LIST_CONTENTS] = {"contents", MANIFEST_ENTRIES_MOST},
					    [LIST_BLOBS] = {"blobs", MANIFEST_BLOBS_MOST}},
				  .manifest = manifest};

	if (manifest == NULL)
		return no_memory(error);
	if (size > MANIFEST_BYTES_MOST)
		return error_set(error, ERROR_DATA, "length", "the manifest has more than %d bytes",
				 MANIFEST_BYTES_MOST);
	int result = jsonio_parse_lists(bytes, size, "manifest", reading.lists, LIST_COUNT, &root, error);
	if (result == 0)
		result = jsonio_check(root, manifest_fields, "manifest", error);
	if (result == 0)
		result = parse_head(root, manifest, error);
	if (result == 0)
		result = read_lists(&reading, error);
	if (result == 0)
		result = rules_check(manifest, error);
	if (result < 0)
		return result;
	*ret_manifest = TAKE(manifest);
	return 0;
}

static json_t *hash_value(const uint8_t hash[static HASH_SIZE])
{
	char text[HASH_HEX_SIZE];
	hash_to_hex(hash, HASH_SIZE, text);
	return json_string(text);
}

static json_t *entry_value(const struct manifest_entry *entry)
{
	json_t *object = json_object();
	char mode[16];
	int failed = object == NULL;

	failed |= json_object_set_new(object, "path", json_string(entry->path));
	failed |= json_object_set_new(object, "type", json_string(type_names[entry->type]));
	if (entry->root == MANIFEST_HOOKS)
		failed |= json_object_set_new(object, "root", json_string("hooks"));
	if (strcmp(entry->owner, "root") != 0)
		failed |= json_object_set_new(object, "owner", json_string(entry->owner));
	if (entry->type == MANIFEST_LINK) {
		failed |= json_object_set_new(object, "target", json_string(entry->target));
	} else {
		snprintf(mode, sizeof(mode), "%04o", entry->mode);
		failed |= json_object_set_new(object, "mode", json_string(mode));
		if (entry->mode > 0777)
			failed |= json_object_set_new(object, "set_id", json_true());
	}
	if (entry->type == MANIFEST_FILE) {
		failed |= json_object_set_new(object, "size", json_integer((json_int_t)entry->size));
		failed |= json_object_set_new(object, "hash", hash_value(entry->hash));
	}
	if (failed)
		jsonio_free(&object);
	return object;
}

static int write_lists(const struct manifest *manifest, json_t *root)
{
	json_t *entries = json_array(), *contents = json_array(), *blobs = json_array();
	int failed = json_object_set_new(root, "entries", entries);
	failed |= json_object_set_new(root, "contents", contents);
	failed |= json_object_set_new(root, "blobs", blobs);

	for (size_t i = 0; failed == 0 && i < manifest->entry_count; i++)
		failed |= json_array_append_new(entries, entry_value(&manifest->entries[i]));
	for (size_t i = 0; failed == 0 && i < manifest->content_count; i++)
		failed |= json_array_append_new(contents, hash_value(manifest->contents[i].hash));
	for (size_t i = 0; failed == 0 && i < manifest->blob_count; i++) {
		const struct manifest_blob *blob = &manifest->blobs[i];
		json_t *object = json_object();
		failed |= json_array_append_new(blobs, object);
		failed |= json_object_set_new(object, "hash", hash_value(blob->hash));
		failed |= json_object_set_new(object, "stored", json_integer((json_int_t)blob->stored));
		failed |= json_object_set_new(object, "plain", json_integer((json_int_t)blob->plain));
	}
	return failed;
}

int manifest_write(const struct manifest *manifest, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(jsonio_free) json_t *root = json_object();
	int failed = 0;
	const struct {
		const char *name;
		json_t *value;
		bool absent;
	} members[] = {
		{"_type", json_string("manifest")},
		{"format", json_integer(1)},
		{"product", json_string(manifest->product)},
		{"version", json_string(manifest->version)},
		{"class", json_string(class_names[manifest->security])},
		{"min_from", json_string(manifest->min_from), manifest->min_from[0] == '\0'},
		{"stop", json_boolean(manifest->stop)},
		{"data_migration", json_boolean(manifest->data_migration)},
		{"reboot", json_boolean(manifest->reboot)},
		{"network", json_boolean(manifest->network)},
		{"hook_api", json_integer(manifest->hook_api)},
		{"tree_bytes", json_integer((json_int_t)manifest->tree_bytes)},
		{"apply_seconds", json_integer(manifest->apply_seconds)},
		{"rollback_seconds", json_integer(manifest->rollback_seconds)},
		{"notes", json_string(manifest->notes != NULL ? manifest->notes : ""), manifest->notes == NULL},
		{"sbom", hash_value(manifest->sbom), !manifest->has_sbom},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (members[i].absent)
			json_decref(members[i].value);
		else
			failed |= json_object_set_new(root, members[i].name, members[i].value);
	}
	if (failed == 0)
		failed = write_lists(manifest, root);
	/* Strings that are no UTF-8 end here too: jansson makes no value of them. */
	if (failed != 0)
		return REFUSE(error, "release %s: a name is no UTF-8, or memory ended", manifest->version);
	return jsonio_write(root, false, ret_bytes, error);
}

static int compare_entry(const void *key, const void *member)
{
	const struct manifest_entry *wanted = key, *entry = member;
	if (wanted->root != entry->root)
		return wanted->root < entry->root ? -1 : 1;
	return strcmp(wanted->path, entry->path);
}

const struct manifest_entry *manifest_find(const struct manifest *manifest, enum manifest_root root, const char *path)
{
	struct manifest_entry wanted = {.root = root, .path = (char *)(uintptr_t)path};
	return bsearch(&wanted, manifest->entries, manifest->entry_count, sizeof(*manifest->entries), compare_entry);
}

const struct manifest_content *manifest_find_content(const struct manifest *manifest,
						     const uint8_t hash[static HASH_SIZE])
{
	size_t low = 0, high = manifest->content_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct manifest_content *content = &manifest->contents[manifest->content_order[middle]];
		int order = memcmp(hash, content->hash, HASH_SIZE);
		if (order == 0)
			return content;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

#include "release/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/list.h"
#include "release/bundle.h"
#include "release/input.h"
#include "release/layout.h"
#include "release/rules.h"
#include "release/spool.h"
#include "release/squeeze.h"

#define READ_STEP  (1024 * 1024)
#define DISK_BLOCK 4096
/* First guesses of a release's durations, until the orchestrator has measured some: a slow disk's pace and a restart.
 */
#define GUESS_BYTES_A_SECOND  (50 * 1024 * 1024)
#define GUESS_RESTART_SECONDS 60

struct pack {
	const struct pack_options *options;
	struct manifest *manifest;
	size_t capacity; /* of manifest->entries and `offsets` */
	struct spool plain, stored;
	struct source *sources; /* by hash: where the bytes of a content lie in `plain` */
	size_t source_count, source_capacity;
};

struct source {
	uint8_t hash[HASH_SIZE];
	uint64_t offset;
};

static void pack_close(struct pack *pack)
{
	manifest_free(&pack->manifest);
	spool_close(&pack->plain);
	spool_close(&pack->stored);
	free(pack->sources);
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to pack");
}

static int add_entry(struct pack *pack, enum manifest_root root, enum manifest_type type, const char *path,
		     unsigned mode, struct manifest_entry **ret_entry, struct error *error)
{
	struct manifest *manifest = pack->manifest;

	if (manifest->entry_count == MANIFEST_ENTRIES_MOST)
		return error_set(error, ERROR_DATA, "length", "%s has more than %d entries", pack->options->input,
				 MANIFEST_ENTRIES_MOST);
	struct manifest_entry *entries =
		list_grow(manifest->entries, manifest->entry_count, &pack->capacity, sizeof(*entries));
	if (entries == NULL)
		return no_memory(error);
	manifest->entries = entries;
	struct manifest_entry *entry = &manifest->entries[manifest->entry_count];
	*entry = (struct manifest_entry){
		.root = root, .type = type, .mode = mode & 07777, .owner = rules_owner("root")->name};
	int result = arena_text(&manifest->texts, path, strlen(path), &entry->path, error);
	if (result < 0)
		return result;
	manifest->entry_count++;
	*ret_entry = entry;
	return 0;
}

/* The content of a file goes to the spool once it was read: what is hashed is what is packed, whatever happens to the
 * tree. */
static int spool_content(struct pack *pack, struct input *input, struct manifest_entry *entry, struct error *error)
{
	CLEANUP(free_pointer) uint8_t *bytes = malloc(READ_STEP);
	struct hash_state state;
	uint64_t start = pack->plain.size;
	size_t got = 0;

	if (bytes == NULL)
		return no_memory(error);
	hash_begin(&state, HASH_BLAKE2B);
	for (;;) {
		int result = input_read(input, bytes, READ_STEP, &got, error);
		if (result == 0 && got > 0)
			result = spool_append(&pack->plain, bytes, got, NULL, error);
		if (result < 0)
			return result;
		if (got == 0)
			break;
		hash_update(&state, bytes, got);
	}
	entry->size = pack->plain.size - start;
	hash_end(&state, entry->hash);
	struct source *sources = list_grow(pack->sources, pack->source_count, &pack->source_capacity, sizeof(*sources));
	if (sources == NULL)
		return no_memory(error);
	pack->sources = sources;
	struct source *source = &pack->sources[pack->source_count++];
	memcpy(source->hash, entry->hash, HASH_SIZE);
	source->offset = start;
	return 0;
}

/* A hard link becomes a copy: archives name the earlier member. */
static int copy_linked(struct pack *pack, struct manifest_entry *entry, const char *target, struct error *error)
{
	for (size_t i = 0; i < pack->manifest->entry_count - 1; i++) {
		const struct manifest_entry *other = &pack->manifest->entries[i];
		if (other->root != entry->root || other->type != MANIFEST_FILE || strcmp(other->path, target) != 0)
			continue;
		entry->size = other->size;
		entry->mode = other->mode;
		memcpy(entry->hash, other->hash, HASH_SIZE);
		return 0;
	}
	return error_set(error, ERROR_DATA, "link", "%s is a hard link to %s, which does not come before it",
			 entry->path, target);
}

static int take_member(struct pack *pack, struct input *input, enum manifest_root root,
		       const struct input_member *member, struct error *error)
{
	static const unsigned modes[] = {[MANIFEST_FILE] = 0644, [MANIFEST_DIRECTORY] = 0755, [MANIFEST_LINK] = 0777};
	unsigned mode = member->type == MANIFEST_FILE && member->executable ? 0755 : modes[member->type];
	struct manifest_entry *entry = NULL;

	if (root == MANIFEST_HOOKS && (member->type != MANIFEST_FILE || !rules_hook_is_known(member->path)))
		return error_set(error, ERROR_DATA, "hook", "%s/%s is none of preflight, pre-switch, post-switch, undo",
				 pack->options->hooks, member->path);
	if (root == MANIFEST_HOOKS && mode != 0755)
		return error_set(error, ERROR_DATA, "hook", "hook %s is not executable; chmod +x it", member->path);
	int result = add_entry(pack, root, member->type, member->path, mode, &entry, error);
	if (result < 0)
		return result;
	if (member->type == MANIFEST_LINK)
		return arena_text(&pack->manifest->texts, member->target, strlen(member->target), &entry->target,
				  error);
	if (member->type == MANIFEST_DIRECTORY)
		return 0;
	return member->is_hard_link ? copy_linked(pack, entry, member->target, error)
				    : spool_content(pack, input, entry, error);
}

static int take_input(struct pack *pack, const char *path, enum manifest_root root, struct error *error)
{
	CLEANUP(input_free) struct input *input = NULL;
	CLEANUP(free_pointer) struct input_member *member = calloc(1, sizeof(*member));
	bool more = true;

	if (member == NULL)
		return no_memory(error);
	int result = input_open(path, &input, error);
	while (result == 0) {
		result = input_next(input, member, &more, error);
		if (result < 0 || !more)
			break;
		result = take_member(pack, input, root, member, error);
	}
	return result;
}

static int by_path(const void *a, const void *b)
{
	const struct manifest_entry *x = a, *y = b;
	return x->root != y->root ? (x->root > y->root) - (x->root < y->root) : strcmp(x->path, y->path);
}

/* Archives may leave directories out. In order of paths whatever lies in one directory is together, so a parent that
 * the entry before has too was seen to already. */
static int add_parents(struct pack *pack, struct error *error)
{
	struct manifest *manifest = pack->manifest;
	size_t named = manifest->entry_count;
	char path[4096];

	qsort(manifest->entries, named, sizeof(*manifest->entries), by_path);
	for (size_t i = 0; i < named; i++) {
		enum manifest_root root = manifest->entries[i].root;
		snprintf(path, sizeof(path), "%s", manifest->entries[i].path);
		for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
			struct manifest_entry *entry = NULL;
			struct manifest_entry wanted = {.root = root, .path = path};
			const struct manifest_entry *before = i > 0 ? &manifest->entries[i - 1] : NULL;
			slash[1] = '\0';
			if (before != NULL && before->root == root && strncmp(before->path, path, strlen(path)) == 0)
				break;
			slash[0] = '\0';
			if (bsearch(&wanted, manifest->entries, named, sizeof(wanted), by_path) != NULL)
				break;
			int result = add_entry(pack, root, MANIFEST_DIRECTORY, path, 0755, &entry, error);
			if (result < 0)
				return result;
		}
	}
	return 0;
}

/* Archives may say a directory twice. */
static void drop_repeated_directories(struct manifest *manifest)
{
	size_t kept = 0;
	qsort(manifest->entries, manifest->entry_count, sizeof(*manifest->entries), by_path);
	for (size_t i = 0; i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		if (kept == 0 || entry->type != MANIFEST_DIRECTORY ||
		    manifest->entries[kept - 1].type != MANIFEST_DIRECTORY ||
		    by_path(entry, &manifest->entries[kept - 1]) != 0)
			manifest->entries[kept++] = *entry;
	}
	manifest->entry_count = kept;
}

static int copy_name(char *ret_name, const char *name, const char *what, struct error *error)
{
	if (!manifest_name_is_safe(name))
		return error_set(error, ERROR_USAGE, "name",
				 "%s \"%.80s\" must be letters, digits and . _ + ~ -, 63 at most, a letter or "
				 "digit first",
				 what, name);
	snprintf(ret_name, MANIFEST_NAME_MOST + 1, "%s", name);
	return 0;
}

static int read_notes(struct pack *pack, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(MANIFEST_NOTES_MOST);

	if (pack->options->notes == NULL)
		return 0;
	int result = file_read_at(AT_FDCWD, pack->options->notes, &text, error);
	if (result < 0)
		return result;
	if (memchr(text.data, '\0', text.size) != NULL)
		return error_set(error, ERROR_DATA, "format", "%s is no text", pack->options->notes);
	pack->manifest->notes = strdup(text.data != NULL ? (const char *)text.data : "");
	return pack->manifest->notes == NULL ? no_memory(error) : 0;
}

static bool says(const json_t *object, const char *name, const char *beginning)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL && strncmp(text, beginning, strlen(beginning)) == 0 && text[strlen(beginning)] != '\0';
}

/* What each format's schema demands of every document. */
static bool is_cyclonedx(const json_t *root)
{
	const char *format = json_string_value(json_object_get(root, "bomFormat"));
	return format != NULL && strcmp(format, "CycloneDX") == 0 && says(root, "specVersion", "1.");
}

/* SPDX 2, or 3, which is JSON-LD and says so by its context. */
static bool is_spdx(const json_t *root)
{
	if (json_object_get(root, "@context") != NULL)
		return json_is_array(json_object_get(root, "@graph"));
	return says(root, "spdxVersion", "SPDX-2.") && says(root, "SPDXID", "SPDXRef-") && says(root, "name", "");
}

/* Well formed and of a known kind; jansson alone, for others' documents may hold reals. */
static int read_sbom(struct pack *pack, struct buffer *ret_bytes, struct error *error)
{
	const char *path = pack->options->sbom;
	if (path == NULL)
		return 0;
	int result = file_read_at(AT_FDCWD, path, ret_bytes, error);
	if (result < 0)
		return result;
	CLEANUP(jsonio_free)
	json_t *root = json_loadb((const char *)ret_bytes->data, ret_bytes->size, JSON_REJECT_DUPLICATES, NULL);
	if (!is_cyclonedx(root) && !is_spdx(root))
		return error_set(error, ERROR_DATA, "sbom", "%s is neither SPDX nor CycloneDX as JSON", path);
	hash_bytes(HASH_BLAKE2B, ret_bytes->data, ret_bytes->size, pack->manifest->sbom);
	pack->manifest->has_sbom = true;
	return 0;
}

static void estimate(struct manifest *manifest, const struct pack_options *options)
{
	manifest->tree_bytes = 0;
	for (size_t i = 0; i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		if (entry->root == MANIFEST_TREE)
			manifest->tree_bytes += entry->type == MANIFEST_FILE
							? (entry->size + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK
							: DISK_BLOCK;
	}
	int64_t guess = GUESS_RESTART_SECONDS + (int64_t)(manifest->tree_bytes / GUESS_BYTES_A_SECOND);
	manifest->apply_seconds = options->apply_seconds > 0 ? options->apply_seconds : guess;
	manifest->rollback_seconds = options->rollback_seconds > 0 ? options->rollback_seconds : GUESS_RESTART_SECONDS;
}

static int by_source_hash(const void *a, const void *b)
{
	return memcmp(((const struct source *)a)->hash, ((const struct source *)b)->hash, HASH_SIZE);
}

/* Where each content's bytes lie. Which of several equal sources is found does not matter: they are equal. */
static int find_sources(struct pack *pack, uint64_t *ret_offsets, struct error *error)
{
	qsort(pack->sources, pack->source_count, sizeof(*pack->sources), by_source_hash);
	for (size_t i = 0; i < pack->manifest->content_count; i++) {
		struct source wanted;
		memcpy(wanted.hash, pack->manifest->contents[i].hash, HASH_SIZE);
		const struct source *found =
			bsearch(&wanted, pack->sources, pack->source_count, sizeof(wanted), by_source_hash);
		if (found == NULL)
			return error_set(error, ERROR_BUG, "layout", "a content was not read");
		ret_offsets[i] = found->offset;
	}
	return 0;
}

static int write_blobs(const struct pack *pack, const uint64_t *offsets, struct bundle_writer *writer,
		       struct error *error)
{
	const struct manifest *manifest = pack->manifest;
	CLEANUP(free_pointer) bool *repeated = calloc(manifest->blob_count + 1, sizeof(*repeated));
	CLEANUP(free_pointer) uint8_t *bytes = malloc(MANIFEST_BLOB_STORED_MOST);

	if (repeated == NULL || bytes == NULL)
		return no_memory(error);
	int result = layout_mark_repeated(manifest, repeated, error);
	for (size_t i = 0; result == 0 && i < manifest->blob_count; i++) {
		char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
		if (repeated[i])
			continue;
		hash_to_hex(manifest->blobs[i].hash, HASH_SIZE, name + strlen(name));
		result = spool_read(&pack->stored, offsets[i], bytes, (size_t)manifest->blobs[i].stored, error);
		if (result == 0)
			result = bundle_add(writer, name, bytes, (size_t)manifest->blobs[i].stored, error);
	}
	return result;
}

static int write_bundle(struct pack *pack, const uint64_t *offsets, const struct buffer *sbom, struct error *error)
{
	CLEANUP(bundle_writer_free) struct bundle_writer *writer = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);

	int result = rules_check(pack->manifest, error);
	if (result == 0)
		result = manifest_write(pack->manifest, &bytes, error);
	if (result == 0)
		result = bundle_create(pack->options->output, &writer, error);
	if (result == 0)
		result = bundle_add(writer, "manifest.json", bytes.data, bytes.size, error);
	if (result == 0 && pack->manifest->has_sbom)
		result = bundle_add(writer, PACK_SBOM_MEMBER, sbom->data, sbom->size, error);
	if (result == 0)
		result = write_blobs(pack, offsets, writer, error);
	return result < 0 ? result : bundle_close(writer, error);
}

static int pack_head(struct pack *pack, struct error *error)
{
	const struct pack_options *options = pack->options;
	struct manifest *manifest = pack->manifest;

	manifest->hook_api = 1;
	manifest->security = options->security;
	manifest->stop = options->stop;
	manifest->reboot = options->reboot;
	manifest->network = options->network;
	manifest->data_migration = options->data_migration;
	int result = copy_name(manifest->product, options->product, "product", error);
	if (result == 0)
		result = copy_name(manifest->version, options->version, "version", error);
	if (result == 0 && options->min_from != NULL)
		result = copy_name(manifest->min_from, options->min_from, "--min-from", error);
	return result < 0 ? result : read_notes(pack, error);
}

static int pack_content(struct pack *pack, struct error *error)
{
	int result = take_input(pack, pack->options->input, MANIFEST_TREE, error);
	if (result == 0 && pack->manifest->entry_count == 0)
		return error_set(error, ERROR_DATA, "empty", "%s holds nothing to pack", pack->options->input);
	if (result == 0 && pack->options->hooks != NULL)
		result = take_input(pack, pack->options->hooks, MANIFEST_HOOKS, error);
	if (result == 0)
		result = add_parents(pack, error);
	if (result < 0)
		return result;
	drop_repeated_directories(pack->manifest);
	estimate(pack->manifest, pack->options);
	/* A link that leads outside is told now, not after minutes. */
	result = rules_check_entries(pack->manifest, error);
	return result < 0 ? result : layout_plan(pack->manifest, error);
}

int pack_run(const struct pack_options *options, struct manifest **ret_manifest, struct error *error)
{
	CLEANUP(pack_close) struct pack pack = {.options = options, .plain = {.fd = -1}, .stored = {.fd = -1}};
	CLEANUP(buffer_free) struct buffer sbom = BUFFER_INIT(PACK_SBOM_MOST);
	CLEANUP(free_pointer) uint64_t *plain_offsets = NULL;
	CLEANUP(free_pointer) uint64_t *stored_offsets = NULL;

	pack.manifest = calloc(1, sizeof(*pack.manifest));
	if (pack.manifest == NULL)
		return no_memory(error);
	int result = pack_head(&pack, error);
	if (result == 0)
		result = read_sbom(&pack, &sbom, error);
	if (result == 0)
		result = spool_open(options->output, &pack.plain, error);
	if (result == 0)
		result = spool_open(options->output, &pack.stored, error);
	if (result == 0)
		result = pack_content(&pack, error);
	if (result < 0)
		return result;
	plain_offsets = calloc(pack.manifest->content_count + 1, sizeof(*plain_offsets));
	stored_offsets = calloc(pack.manifest->blob_count + 1, sizeof(*stored_offsets));
	if (plain_offsets == NULL || stored_offsets == NULL)
		return no_memory(error);
	result = find_sources(&pack, plain_offsets, error);
	if (result < 0)
		return result;
	const struct squeeze squeeze = {
		.manifest = pack.manifest,
		.plain = &pack.plain,
		.plain_offsets = plain_offsets,
		.stored = &pack.stored,
		.ret_offsets = stored_offsets,
		.progress = options->progress,
		.context = options->context,
	};
	result = squeeze_run(&squeeze, error);
	if (result == 0)
		result = write_bundle(&pack, stored_offsets, &sbom, error);
	if (result == 0 && ret_manifest != NULL)
		*ret_manifest = TAKE(pack.manifest);
	return result;
}

#include "release/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define LINK_HOPS_MOST 40
#define PATH_MOST      4095

/* The ids that Debian's base-passwd gives on every system. */
static const struct rules_owner owners[] = {
	{"root", 0},
	{"daemon", 1},
	{"www-data", 33},
	{"nobody", 65534},
};

static const char *const hook_names[] = {"preflight", "pre-switch", "post-switch", "undo"};

const struct rules_owner *rules_owner(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		if (strcmp(owners[i].name, name) == 0)
			return &owners[i];
	return NULL;
}

bool rules_hook_is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(hook_names); i++)
		if (strcmp(hook_names[i], name) == 0)
			return true;
	return false;
}

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "manifest", __VA_ARGS__)

static int check_head(const struct manifest *manifest, struct error *error)
{
	if (!manifest_name_is_safe(manifest->product))
		return REFUSE(error, "the manifest's product is not a name");
	if (!manifest_name_is_safe(manifest->version))
		return REFUSE(error, "the manifest's version is not a name");
	if (manifest->min_from[0] != '\0' && !manifest_name_is_safe(manifest->min_from))
		return REFUSE(error, "release %s: min_from is not a version", manifest->version);
	if (manifest->hook_api != 1)
		return REFUSE(error, "release %s: hook API %lld is not known here, upgrade appliance-hook first",
			      manifest->version, (long long)manifest->hook_api);
	return 0;
}

static int check_order(const struct manifest *manifest, size_t index, struct error *error)
{
	if (index == 0)
		return 0;
	const struct manifest_entry *before = &manifest->entries[index - 1], *entry = &manifest->entries[index];
	if (before->root < entry->root || (before->root == entry->root && strcmp(before->path, entry->path) < 0))
		return 0;
	return REFUSE(error, "release %s: entry %s stands twice or out of order", manifest->version, entry->path);
}

static int check_mode(const struct manifest *manifest, const struct manifest_entry *entry, struct error *error)
{
	static const unsigned needed[] = {
		[MANIFEST_FILE] = 0400,
		[MANIFEST_DIRECTORY] = 0700,
		[MANIFEST_LINK] = 0777,
	};
	unsigned mode = entry->mode;
	if ((mode & needed[entry->type]) != needed[entry->type])
		return REFUSE(error, "release %s: %s has mode %04o, its owner could not read it", manifest->version,
			      entry->path, mode);
	if (entry->type != MANIFEST_LINK && (mode & 0002) != 0)
		return REFUSE(error, "release %s: %s may be written by everybody", manifest->version, entry->path);
	if (mode > 06777 || (mode & 01000) != 0 || (mode > 0777 && entry->type != MANIFEST_FILE))
		return REFUSE(error, "release %s: %s has mode %o", manifest->version, entry->path, mode);
	return 0;
}

/* Whose name is all before the last slash of `path`. */
static bool is_parent(const struct manifest_entry *directory, enum manifest_root root, const char *path, size_t size)
{
	return directory->root == root && strncmp(directory->path, path, size) == 0 && directory->path[size] == '\0';
}

/* *last is the directory of the entry before: most have it in common. */
static int check_parent(const struct manifest *manifest, const struct manifest_entry *entry,
			const struct manifest_entry **last, struct error *error)
{
	const char *slash = strrchr(entry->path, '/');
	if (slash == NULL)
		return 0;
	char parent[PATH_MOST + 1];
	size_t size = (size_t)(slash - entry->path);
	if (*last != NULL && is_parent(*last, entry->root, entry->path, size))
		return 0;
	memcpy(parent, entry->path, size);
	parent[size] = '\0';
	const struct manifest_entry *found = manifest_find(manifest, entry->root, parent);
	if (found == NULL || found->type != MANIFEST_DIRECTORY)
		return REFUSE(error, "release %s: %s lies in %s, which is no directory of the release",
			      manifest->version, entry->path, parent);
	*last = found;
	return 0;
}

/* Follows a link as the kernel would, through the links of the release, with the root as ceiling. Textual folding is
 * not enough: "a/link/.." is not "a" when `link` leads elsewhere. */
static int check_link(const struct manifest *manifest, const struct manifest_entry *link, struct error *error)
{
	char at[2 * PATH_MOST + 2], rest[2 * PATH_MOST + 2], next[2 * PATH_MOST + 2];
	unsigned hops = 0;

	if (link->target[0] == '\0' || link->target[0] == '/' || strlen(link->target) > PATH_MOST)
		return REFUSE(error, "release %s: link %s is not relative", manifest->version, link->path);
	for (const char *c = link->target; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return REFUSE(error, "release %s: link %s has a control character", manifest->version,
				      link->path);
	snprintf(at, sizeof(at), "%s", link->path);
	char *slash = strrchr(at, '/');
	*(slash != NULL ? slash : at) = '\0';
	snprintf(rest, sizeof(rest), "%s", link->target);

	for (char *position = rest; *position != '\0';) {
		size_t size = strcspn(position, "/");
		char *component = position;
		position += size + (position[size] == '/' ? 1 : 0);
		if (size == 0 || (size == 1 && component[0] == '.'))
			continue;
		if (size == 2 && component[0] == '.' && component[1] == '.') {
			if (at[0] == '\0')
				return REFUSE(error, "release %s: link %s leads outside the release", manifest->version,
					      link->path);
			slash = strrchr(at, '/');
			*(slash != NULL ? slash : at) = '\0';
			continue;
		}
		size_t length = strlen(at);
		if (size > 255 || length + 1 + size > PATH_MOST)
			return REFUSE(error, "release %s: link %s is too long", manifest->version, link->path);
		if (length > 0)
			at[length++] = '/';
		memcpy(at + length, component, size);
		at[length + size] = '\0';
		const struct manifest_entry *met = manifest_find(manifest, link->root, at);
		if (met == NULL || met->type != MANIFEST_LINK)
			continue;
		if (++hops > LINK_HOPS_MOST)
			return REFUSE(error, "release %s: link %s goes in circles", manifest->version, link->path);
		if (met->target[0] == '/' || strlen(met->target) + 1 + strlen(position) > PATH_MOST)
			return REFUSE(error, "release %s: link %s is too long or leads outside the release",
				      manifest->version, link->path);
		snprintf(next, sizeof(next), "%s/%s", met->target, position);
		snprintf(rest, sizeof(rest), "%s", next);
		position = rest;
		slash = strrchr(at, '/');
		*(slash != NULL ? slash : at) = '\0';
	}
	return 0;
}

static int check_entry(const struct manifest *manifest, const struct manifest_entry *entry,
		       const struct manifest_entry **parent, struct error *error)
{
	if (!file_path_is_safe(entry->path))
		return REFUSE(error, "release %s: an entry's path is not relative and clean", manifest->version);
	if (entry->owner == NULL || rules_owner(entry->owner) == NULL)
		return REFUSE(error, "release %s: %s has an owner who is not on the list", manifest->version,
			      entry->path);
	if (entry->root == MANIFEST_HOOKS &&
	    (entry->type != MANIFEST_FILE || entry->mode != 0755 || !rules_hook_is_known(entry->path)))
		return REFUSE(error,
			      "release %s: %s is no executable hook by name of preflight, pre-switch, post-switch "
			      "or undo",
			      manifest->version, entry->path);
	if (entry->type == MANIFEST_FILE && entry->size > MANIFEST_FILE_MOST)
		return REFUSE(error, "release %s: %s is too large", manifest->version, entry->path);
	int result = check_mode(manifest, entry, error);
	return result < 0 ? result : check_parent(manifest, entry, parent, error);
}

static int check_entries(const struct manifest *manifest, struct error *error)
{
	const struct manifest_entry *parent = NULL;
	uint64_t bytes = 0;
	if (manifest->entry_count > MANIFEST_ENTRIES_MOST)
		return REFUSE(error, "release %s has too many entries", manifest->version);
	/* The order first: every lookup relies on it. */
	for (size_t i = 0; i < manifest->entry_count; i++) {
		int result = check_order(manifest, i, error);
		if (result < 0)
			return result;
	}
	for (size_t i = 0; i < manifest->entry_count; i++) {
		int result = check_entry(manifest, &manifest->entries[i], &parent, error);
		if (result < 0)
			return result;
		if (manifest->entries[i].type == MANIFEST_FILE && manifest->entries[i].root == MANIFEST_TREE)
			bytes += manifest->entries[i].size;
	}
	for (size_t i = 0; i < manifest->entry_count; i++) {
		if (manifest->entries[i].type != MANIFEST_LINK)
			continue;
		int result = check_link(manifest, &manifest->entries[i], error);
		if (result < 0)
			return result;
	}
	if (manifest->tree_bytes < bytes)
		return REFUSE(error, "release %s says that it needs less room than its files have", manifest->version);
	return 0;
}

/* A hash's first bytes and where it stands: few need more to be told apart. */
struct place {
	uint64_t first;
	uint32_t index;
	const uint8_t *hash;
};

static int by_hash(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	int order = memcmp(x->hash, y->hash, HASH_SIZE);
	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static struct place place_of(const uint8_t hash[static HASH_SIZE], size_t index)
{
	struct place place = {.index = (uint32_t)index, .hash = hash};
	for (size_t i = 0; i < sizeof(place.first); i++)
		place.first = place.first << 8 | hash[i];
	return place;
}

static uint32_t *order_places(struct place *places, size_t count)
{
	uint32_t *order = calloc(count + 1, sizeof(*order));
	qsort(places, count, sizeof(*places), by_hash);
	for (size_t i = 0; order != NULL && i < count; i++)
		order[i] = places[i].index;
	return order;
}

static int order_by_hash(struct manifest *manifest, struct error *error)
{
	const size_t most = manifest->entry_count > manifest->content_count ? manifest->entry_count
									    : manifest->content_count;
	CLEANUP(free_pointer) struct place *places = calloc(most + 1, sizeof(*places));

	free(manifest->file_order);
	free(manifest->content_order);
	manifest->file_order = manifest->content_order = NULL;
	manifest->file_count = 0;
	if (places == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the manifest");
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest->entries[i].type == MANIFEST_FILE)
			places[manifest->file_count++] = place_of(manifest->entries[i].hash, i);
	manifest->file_order = order_places(places, manifest->file_count);
	for (size_t i = 0; i < manifest->content_count; i++)
		places[i] = place_of(manifest->contents[i].hash, i);
	manifest->content_order = order_places(places, manifest->content_count);
	return manifest->file_order != NULL && manifest->content_order != NULL
		       ? 0
		       : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the manifest");
}

/* Contents are the distinct hashes of the files, each once: walked side by side in hash order. */
static int check_contents(struct manifest *manifest, struct error *error)
{
	int result = order_by_hash(manifest, error);
	if (result < 0)
		return result;
	size_t file = 0;
	for (size_t i = 0; i < manifest->content_count; i++) {
		struct manifest_content *content = &manifest->contents[manifest->content_order[i]];
		if (file == manifest->file_count ||
		    memcmp(manifest->entries[manifest->file_order[file]].hash, content->hash, HASH_SIZE) != 0)
			return REFUSE(error, "release %s lists a content twice, or one that no file has, or misses one",
				      manifest->version);
		content->first_file = (uint32_t)file;
		content->size = manifest->entries[manifest->file_order[file]].size;
		for (; file < manifest->file_count; file++) {
			const struct manifest_entry *entry = &manifest->entries[manifest->file_order[file]];
			if (memcmp(entry->hash, content->hash, HASH_SIZE) != 0)
				break;
			if (entry->size != content->size)
				return REFUSE(error, "release %s: %s has another size than a file of the same content",
					      manifest->version, entry->path);
		}
		content->files = (uint32_t)(file - content->first_file);
	}
	if (file != manifest->file_count)
		return REFUSE(error, "release %s: %s has a content that is not listed", manifest->version,
			      manifest->entries[manifest->file_order[file]].path);
	return 0;
}

static int check_blobs(struct manifest *manifest, struct error *error)
{
	uint64_t stream = 0, covered = 0;
	for (size_t i = 0; i < manifest->content_count; i++) {
		manifest->contents[i].offset = stream;
		stream += manifest->contents[i].size;
	}
	if (manifest->blob_count > MANIFEST_BLOBS_MOST)
		return REFUSE(error, "release %s has too many blobs", manifest->version);
	for (size_t i = 0; i < manifest->blob_count; i++) {
		struct manifest_blob *blob = &manifest->blobs[i];
		if (blob->plain == 0 || blob->plain > MANIFEST_BLOB_PLAIN_MOST || blob->stored == 0 ||
		    blob->stored > MANIFEST_BLOB_STORED_MOST)
			return REFUSE(error, "release %s: blob %zu has a size out of bounds", manifest->version, i);
		blob->offset = covered;
		covered += blob->plain;
	}
	if (covered != stream)
		return REFUSE(error, "release %s: its blobs carry %llu bytes, its files have %llu", manifest->version,
			      (unsigned long long)covered, (unsigned long long)stream);
	return 0;
}

int rules_check_entries(const struct manifest *manifest, struct error *error)
{
	int result = check_head(manifest, error);
	return result < 0 ? result : check_entries(manifest, error);
}

int rules_check(struct manifest *manifest, struct error *error)
{
	int result = rules_check_entries(manifest, error);
	if (result == 0)
		result = check_contents(manifest, error);
	return result < 0 ? result : check_blobs(manifest, error);
}

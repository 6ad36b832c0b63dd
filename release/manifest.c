#include "release/manifest.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* A manifest of more entries leaves enough behind to be worth giving back. */
#define LARGE 512

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

static void free_lists(struct manifest *manifest)
{
	arena_free(&manifest->texts);
	free(manifest->entries);
	free(manifest->contents);
	free(manifest->blobs);
	free(manifest->file_order);
	free(manifest->content_order);
}

int manifest_shed_tree(struct manifest *manifest, struct error *error)
{
	CLEANUP(arena_free) struct arena texts = {0};
	size_t first = 0, count = 0;
	int result = 0;

	while (first < manifest->entry_count && manifest->entries[first].root == MANIFEST_TREE)
		first++;
	CLEANUP(free_pointer)
	struct manifest_entry *hooks = calloc(manifest->entry_count - first + 1, sizeof(*hooks));
	if (hooks == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the manifest");
	for (; result == 0 && first + count < manifest->entry_count; count++) {
		hooks[count] = manifest->entries[first + count];
		result = arena_text(&texts, hooks[count].path, strlen(hooks[count].path), &hooks[count].path, error);
	}
	if (result < 0)
		return result;
	free_lists(manifest);
	manifest->texts = texts;
	texts = (struct arena){0};
	manifest->entries = TAKE(hooks);
	manifest->entry_count = count;
	manifest->contents = NULL;
	manifest->blobs = NULL;
	manifest->file_order = manifest->content_order = NULL;
	manifest->content_count = manifest->blob_count = manifest->file_count = 0;
	malloc_trim(0);
	return 0;
}

void manifest_free(struct manifest **manifest)
{
	struct manifest *old = TAKE(*manifest);
	if (old == NULL)
		return;
	bool large = old->entry_count > LARGE;
	free_lists(old);
	free(old->notes);
	free(old);
	/* What lies between pieces that live on does not go back by itself: whoever lives on, or forks, would keep it.
	 */
	if (large)
		malloc_trim(0);
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
	const struct manifest_entry wanted = {.root = root, .path = path};
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

const struct manifest_entry *manifest_file(const struct manifest *manifest, const struct manifest_content *content,
					   size_t index)
{
	return &manifest->entries[manifest->file_order[content->first_file + index]];
}

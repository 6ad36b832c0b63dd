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

void manifest_free(struct manifest **manifest)
{
	struct manifest *old = TAKE(*manifest);
	if (old == NULL)
		return;
	arena_free(&old->texts);
	free(old->entries);
	free(old->contents);
	free(old->blobs);
	free(old->file_order);
	free(old->content_order);
	free(old->notes);
	bool large = old->entry_count > LARGE;
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

#include "release/delta.h"

#include <stdio.h>
#include <string.h>

#include "release/blob.h"
#include "release/delta_number.h"
#include "release/delta_plan.h"

#define MAGIC "NSDELTA1"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "delta", __VA_ARGS__)

void delta_target_name(enum delta_target kind, const char *product, const char *from, const char *to,
		       char ret_name[static DELTA_NAME_MOST])
{
	snprintf(ret_name, DELTA_NAME_MOST, "%s/deltas/%s..%s.%s", product, from, to,
		 kind == DELTA_WHOLE ? "delta" : "manifest");
}

static bool take_name(const uint8_t **at, const uint8_t *end, char ret_name[static MANIFEST_NAME_MOST + 1])
{
	uint64_t size = 0;
	if (!delta_number_take(at, end, &size) || size > MANIFEST_NAME_MOST || size > (uint64_t)(end - *at))
		return false;
	memcpy(ret_name, *at, size);
	ret_name[size] = '\0';
	*at += size;
	return strlen(ret_name) == size && manifest_name_is_safe(ret_name);
}

static bool take_hash(const uint8_t **at, const uint8_t *end, uint8_t ret_hash[static HASH_SIZE])
{
	if (end - *at < HASH_SIZE)
		return false;
	memcpy(ret_hash, *at, HASH_SIZE);
	*at += HASH_SIZE;
	return true;
}

int delta_read_head(const void *bytes, size_t size, struct delta_head *ret_head, struct error *error)
{
	const uint8_t *at = bytes, *end = at + size;
	struct delta_head head = {0};

	if (size < strlen(MAGIC) || memcmp(at, MAGIC, strlen(MAGIC)) != 0)
		return REFUSE(error, "that is no delta");
	at += strlen(MAGIC);
	if (!take_name(&at, end, head.product) || !take_name(&at, end, head.from) || !take_name(&at, end, head.to) ||
	    !take_hash(&at, end, head.old_manifest) || !delta_number_take(&at, end, &head.manifest_size) ||
	    !delta_number_take(&at, end, &head.patch_size) || !take_hash(&at, end, head.patch_hash))
		return REFUSE(error, "the head of the delta is no head");
	if (head.manifest_size == 0 || head.manifest_size > MANIFEST_BYTES_MOST || head.patch_size == 0 ||
	    head.patch_size > DELTA_HEAD_MOST)
		return error_set(error, ERROR_DATA, "length", "the manifest in the delta has a size that none has");
	head.size = (size_t)(at - (const uint8_t *)bytes) + (size_t)head.patch_size;
	*ret_head = head;
	return 0;
}

int delta_manifest(const void *head_bytes, size_t size, const struct buffer *old_manifest, struct buffer *ret_manifest,
		   struct error *error)
{
	struct delta_head head;
	uint8_t hash[HASH_SIZE], *room = NULL;

	int result = delta_read_head(head_bytes, size, &head, error);
	if (result < 0)
		return result;
	if (head.size != size)
		return REFUSE(error, "the head of the delta has %zu bytes instead of %zu", size, head.size);
	hash_bytes(HASH_BLAKE2B, old_manifest->data, old_manifest->size, hash);
	if (!hash_equal(hash, head.old_manifest))
		return error_set(error, ERROR_DATA, "base", "the delta was made from another manifest of %s %s",
				 head.product, head.from);
	const uint8_t *patch = (const uint8_t *)head_bytes + (size - (size_t)head.patch_size);
	hash_bytes(HASH_BLAKE2B, patch, (size_t)head.patch_size, hash);
	if (!hash_equal(hash, head.patch_hash))
		return error_set(error, ERROR_DATA, "hash", "the manifest's patch in the delta is damaged");
	if (old_manifest->size > BLOB_WINDOW_MOST - (size_t)head.manifest_size)
		return error_set(error, ERROR_DATA, "length", "the manifests are too long for a delta");
	result = buffer_reserve(ret_manifest, (size_t)head.manifest_size, &room, error);
	if (result == 0)
		result = blob_unpatch((struct blob_prefix){old_manifest->data, old_manifest->size}, patch,
				      (size_t)head.patch_size, room, (size_t)head.manifest_size, error);
	if (result == 0)
		buffer_commit(ret_manifest, (size_t)head.manifest_size);
	return result;
}

int delta_plan_head(const struct delta_head *head, const void *patch, struct buffer *ret_bytes, struct error *error)
{
	const char *const names[] = {head->product, head->from, head->to};
	int result = buffer_append_string(ret_bytes, MAGIC, error);
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(names); i++) {
		result = delta_number_write(ret_bytes, strlen(names[i]), error);
		if (result == 0)
			result = buffer_append_string(ret_bytes, names[i], error);
	}
	if (result == 0)
		result = buffer_append(ret_bytes, head->old_manifest, HASH_SIZE, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, head->manifest_size, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, head->patch_size, error);
	if (result == 0)
		result = buffer_append(ret_bytes, head->patch_hash, HASH_SIZE, error);
	return result == 0 ? buffer_append(ret_bytes, patch, (size_t)head->patch_size, error) : result;
}

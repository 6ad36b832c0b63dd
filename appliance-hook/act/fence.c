#include "appliance-hook/act/fence.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/point.h"
#include "base/file.h"
#include "keys/key.h"

#define FENCE_FILE  "fence.json"
#define FENCE_BYTES (64 * 1024)

static int read_fences(const struct layout *layout, json_t **ret_fences, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(FENCE_BYTES);
	CLEANUP(jsonio_free) json_t *fences = NULL;
	const char *key;
	json_t *value;
	int status = file_read_at(layout->state, FENCE_FILE, &text, error);

	if (status < 0 && strcmp(error->name, "missing") == 0) {
		fences = json_object();
		status = fences ? 0 : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the fences");
	} else if (status == 0) {
		status = jsonio_parse(text.data, text.size, FENCE_FILE, &fences, error);
	}
	if (status < 0)
		return status;
	bool good = json_is_object(fences) && json_object_size(fences) <= FENCE_KEYS_MOST;
	json_object_foreach(fences, key, value) good = good && json_is_integer(value) && json_integer_value(value) >= 0;
	if (!good)
		return error_set(error, ERROR_DATA, "fence",
				 "%s is damaged; put it back from a backup of this appliance", FENCE_FILE);
	*ret_fences = TAKE(fences);
	return 0;
}

int fence_read(const struct layout *layout, const char *order_key, int64_t *ret_fence, struct error *error)
{
	CLEANUP(jsonio_free) json_t *fences = NULL;
	int status = read_fences(layout, &fences, error);

	if (status == 0)
		*ret_fence = json_integer_value(json_object_get(fences, order_key));
	return status;
}

int fence_highest(const struct layout *layout, char *ret_order_key, size_t size, int64_t *ret_fence,
		  struct error *error)
{
	CLEANUP(jsonio_free) json_t *fences = NULL;
	const char *key, *best = "";
	json_t *value;
	int64_t fence = 0;
	int status = read_fences(layout, &fences, error);

	if (status < 0)
		return status;
	json_object_foreach(fences, key, value)
	{
		if (json_integer_value(value) > fence) {
			fence = json_integer_value(value);
			best = key;
		}
	}
	snprintf(ret_order_key, size, "%s", best);
	*ret_fence = fence;
	return 0;
}

int fence_raise(const struct layout *layout, const char *order_key, int64_t fence, struct error *error)
{
	CLEANUP(jsonio_free) json_t *fences = NULL;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(FENCE_BYTES);
	int status = read_fences(layout, &fences, error);

	if (status < 0)
		return status;
	int64_t seen = json_integer_value(json_object_get(fences, order_key));
	if (!order_key[0] || strlen(order_key) >= KEY_ID_MOST)
		return error_set(error, ERROR_DATA, "fence", "the order names no key");
	if (fence <= seen)
		return error_set(error, ERROR_DATA, "fence",
				 "the order's fence is %lld, but %lld was seen already; ask for a new order",
				 (long long)fence, (long long)seen);
	if (json_object_size(fences) == FENCE_KEYS_MOST && !json_object_get(fences, order_key))
		return error_set(error, ERROR_DATA, "fence", "orders of more than %d keys were seen", FENCE_KEYS_MOST);
	if (json_object_set_new(fences, order_key, json_integer(fence)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the fences");
	status = jsonio_write(fences, true, &text, error);
	if (status == 0)
		status = point_pass("act.fence.write", error);
	return status < 0 ? status : file_replace_at(layout->state, FENCE_FILE, text.data, text.size, 0644, error);
}

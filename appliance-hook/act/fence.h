/* STATE/PRODUCT/fence.json: the highest fence ever seen of each order key. It never goes back. {"KEYID": N} */
#ifndef ACT_FENCE_H
#define ACT_FENCE_H

#include "appliance-hook/act/layout.h"

#define FENCE_KEYS_MOST 64

/* 0 for a key that never was seen. A file that cannot be read is an error. */
int fence_read(const struct layout *layout, const char *order_key, int64_t *ret_fence, struct error *error) MUST_CHECK;
/* The key of the highest fence, "" before the first, for HELLO. */
int fence_highest(const struct layout *layout, char *ret_order_key, size_t size, int64_t *ret_fence,
		  struct error *error) MUST_CHECK;
/* Durable when it returns 0. ERROR_DATA "fence" unless it is above what was seen. The caller holds the lock. */
int fence_raise(const struct layout *layout, const char *order_key, int64_t fence, struct error *error) MUST_CHECK;

#endif

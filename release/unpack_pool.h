/* Blobs unpacked, two at a time, while their owner fetches the next ones. Between the calls of one owner; the unpacking
 * may be asked for its progress and its next blob meanwhile. */
#ifndef RELEASE_UNPACK_POOL_H
#define RELEASE_UNPACK_POOL_H

#include "release/bundle.h"
#include "release/unpack.h"

/* Each takes the plain and the stored bytes of a blob, and the memory that an appliance gives to an upgrade is the same
 * however many cores it has; a disk is not much faster than two of them. */
#define UNPACK_THREADS_MOST 2

struct unpack_pool;

/* Where no thread can be had, blobs are unpacked as they are given. */
int unpack_pool_new(struct unpack *unpack, struct unpack_pool **ret_pool, struct error *error) MUST_CHECK;
void unpack_pool_free(struct unpack_pool **pool); /* what was given is unpacked first; also the CLEANUP function */

/* The stored bytes of blob `index`, which are taken: `stored` comes back empty, with other memory. Waits while one blob
 * waits already. The error is that of any blob that was given; after one nothing more is unpacked. */
int unpack_pool_give(struct unpack_pool *pool, size_t index, struct buffer *stored, struct error *error) MUST_CHECK;
/* Until everything that was given is unpacked. */
int unpack_pool_drain(struct unpack_pool *pool, struct error *error) MUST_CHECK;

/* Every blob that is still needed, from a bundle. */
int unpack_bundle(struct unpack *unpack, struct bundle *bundle, const struct manifest *manifest,
		  struct error *error) MUST_CHECK;

#endif

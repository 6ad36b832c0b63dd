/* The parts of a delta: which stretches of the new release each patch makes, and from which stretches of the old one.
 * Contents are named by their place in the manifests of both releases. */
#ifndef RELEASE_DELTA_PLAN_H
#define RELEASE_DELTA_PLAN_H

#include "release/delta.h"
#include "release/delta_map.h"

struct delta_stretch {
	size_t content;
	uint64_t offset, size;
	/* Of a new one that has the very bytes of an old one: which content, and where in it. Such a stretch is copied,
	 * never in the frame. */
	size_t source; /* DELTA_PATCHED: none */
	uint64_t from;
};
#define DELTA_PATCHED SIZE_MAX

struct delta_part {
	bool rewritten;           /* as the maps of its contents say */
	size_t first, olds, news; /* stretches: `olds` of the old release, then `news` of the new one */
	uint64_t prefix, plain;   /* sums of the sizes of old ones and of patched ones; derived when read */
	uint64_t copied;          /* and of copied ones */
	uint64_t stored;          /* 0 when all is copied */
	uint8_t hash[HASH_SIZE];  /* of the stored bytes */
};

struct delta_plan {
	struct delta_part *parts;
	size_t part_count, part_room;
	struct delta_stretch *stretches;
	size_t stretch_count, stretch_room;
	struct delta_maps maps;
};
void delta_plan_free(struct delta_plan *plan);

/* A new part at the end; stretches are added to it, the old ones first. */
int delta_plan_begin(struct delta_plan *plan, struct error *error) MUST_CHECK;
int delta_plan_add(struct delta_plan *plan, bool is_new, struct delta_stretch stretch, struct error *error) MUST_CHECK;

/* The index of a delta file (appends). */
int delta_plan_write(const struct delta_plan *plan, const struct manifest *old, const struct manifest *new,
		     struct buffer *ret_bytes, struct error *error) MUST_CHECK;
/* Every bound checked against both manifests: stretches inside their contents, each new content either made whole and
 * in order or not at all, sums of what is not copied within DELTA_PREFIX_MOST and DELTA_PLAIN_MOST. ERROR_DATA "delta".
 */
int delta_plan_read(const void *bytes, size_t size, const struct manifest *old, const struct manifest *new,
		    struct delta_plan *ret_plan, struct error *error) MUST_CHECK;

/* The head of a delta file with the manifest's patch behind it (appends). */
int delta_plan_head(const struct delta_head *head, const void *patch, struct buffer *ret_bytes,
		    struct error *error) MUST_CHECK;

#endif

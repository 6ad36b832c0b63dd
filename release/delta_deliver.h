/* What a part makes, patched or copied from the old release, handed to whom it is for. */
#ifndef RELEASE_DELTA_DELIVER_H
#define RELEASE_DELTA_DELIVER_H

#include "release/delta_base.h"
#include "release/delta_plan.h"

/* Contents of up to so many bytes are handed out whole even where they are made of several stretches. */
#define DELTA_DELIVER_ROOM ((size_t)4 * 1024 * 1024)

struct delta_deliver { /* all borrowed */
	const struct delta_plan *plan;
	const struct manifest *new;
	const struct delta_sink *sink;
	struct delta_base *base;
	uint8_t *room; /* DELTA_DELIVER_ROOM bytes, where the part copies something */
};

/* Any content of the part is wanted. */
bool delta_deliver_wanted(const struct delta_deliver *deliver, const struct delta_part *part);
/* `plain`: its patched stretches, end to end. Contents in order, those that are not wanted left out; the error is the
 * sink's. */
int delta_deliver_part(const struct delta_deliver *deliver, const struct delta_part *part, const uint8_t *plain,
		       struct error *error) MUST_CHECK;

#endif

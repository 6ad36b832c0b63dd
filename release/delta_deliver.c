#include "release/delta_deliver.h"

#include <string.h>

/* Large contents are copied in pieces that are still near when they are hashed and written. */
#define COPY_STEP ((size_t)512 * 1024)

static bool wants(const struct delta_deliver *deliver, size_t content)
{
	return deliver->sink->wants(deliver->sink->context, content);
}

static int hand_over(const struct delta_deliver *deliver, size_t content, uint64_t offset, const uint8_t *bytes,
		     size_t size, struct error *error)
{
	return deliver->sink->take(deliver->sink->context, content, offset, bytes, size, error);
}

static int copy_stretch(const struct delta_deliver *deliver, const struct delta_stretch *stretch, struct error *error)
{
	int result = 0;
	for (uint64_t at = 0; result == 0 && at < stretch->size;) {
		size_t step = stretch->size - at < COPY_STEP ? (size_t)(stretch->size - at) : COPY_STEP;
		delta_base_read(deliver->base, stretch->source, stretch->from + at, deliver->room, step);
		result = hand_over(deliver, stretch->content, stretch->offset + at, deliver->room, step, error);
		at += step;
	}
	return result;
}

/* A content's stretches, one behind the other. */
struct run {
	const struct delta_stretch *stretches;
	size_t count;
	uint64_t size, patched; /* bytes of all, and of those that are patched */
};

/* Those of one content that come next, of `most`. */
static struct run next_run(const struct delta_stretch *stretches, size_t most)
{
	struct run run = {.stretches = stretches};
	for (; run.count < most && stretches[run.count].content == stretches->content; run.count++) {
		const struct delta_stretch *stretch = &stretches[run.count];
		run.size += stretch->size;
		run.patched += stretch->source == DELTA_PATCHED ? stretch->size : 0;
	}
	return run;
}

static int deliver_whole(const struct delta_deliver *deliver, const struct run *run, const uint8_t *plain,
			 struct error *error)
{
	size_t size = 0;
	for (size_t i = 0; i < run->count; i++) {
		const struct delta_stretch *stretch = &run->stretches[i];
		uint8_t *to = deliver->room + size;
		if (stretch->source != DELTA_PATCHED) {
			delta_base_read(deliver->base, stretch->source, stretch->from, to, (size_t)stretch->size);
		} else {
			memcpy(to, plain, (size_t)stretch->size);
			plain += stretch->size;
		}
		size += (size_t)stretch->size;
	}
	return hand_over(deliver, run->stretches->content, 0, deliver->room, size, error);
}

static int deliver_pieces(const struct delta_deliver *deliver, const struct run *run, const uint8_t *plain,
			  struct error *error)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < run->count; i++) {
		const struct delta_stretch *stretch = &run->stretches[i];
		if (stretch->source != DELTA_PATCHED) {
			result = copy_stretch(deliver, stretch, error);
			continue;
		}
		result = hand_over(deliver, stretch->content, stretch->offset, plain, (size_t)stretch->size, error);
		plain += stretch->size;
	}
	return result;
}

static int deliver_run(const struct delta_deliver *deliver, const struct run *run, const uint8_t *plain,
		       struct error *error)
{
	const size_t content = run->stretches->content;

	if (!wants(deliver, content))
		return 0;
	/* What is one patched stretch lies whole in `plain`. */
	bool gathered = run->count > 1 || run->patched == 0;
	return gathered && run->size <= DELTA_DELIVER_ROOM && run->size == deliver->new->contents[content].size
		       ? deliver_whole(deliver, run, plain, error)
		       : deliver_pieces(deliver, run, plain, error);
}

bool delta_deliver_wanted(const struct delta_deliver *deliver, const struct delta_part *part)
{
	const struct delta_stretch *stretches = &deliver->plan->stretches[part->first + part->olds];
	for (size_t i = 0; i < part->news; i++)
		if (wants(deliver, stretches[i].content))
			return true;
	return false;
}

int delta_deliver_part(const struct delta_deliver *deliver, const struct delta_part *part, const uint8_t *plain,
		       struct error *error)
{
	const struct delta_stretch *next = &deliver->plan->stretches[part->first + part->olds];
	int result = 0;
	for (size_t left = part->news; result == 0 && left > 0;) {
		const struct run run = next_run(next, left);
		result = deliver_run(deliver, &run, plain, error);
		plain += run.patched;
		next += run.count;
		left -= run.count;
	}
	return result;
}

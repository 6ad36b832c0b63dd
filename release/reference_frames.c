#include <stdlib.h>

#include "base/list.h"
#include "release/reference_walk.h"

/* DWARF 4 section 6.4.1 and the LSB's .eh_frame and .eh_frame_hdr: a record is its length, what it belongs to (0: it is
 * a common one), and, of one for a function, where that begins, its size and the size of what the language adds. */
#define RECORD_HEAD  4
#define RECORD_OWNER 4
#define RECORD_BEGIN 8
#define RECORD_SIZE  12
#define RECORD_EXTRA 16
#define RECORD_LSDA  17
#define RECORD_LEAST 17
#define LENGTH_LONG  UINT32_C(0xfffffff0)
#define TABLE_HEAD   12
#define PAIR_SIZE    8
/* Functions begin at such addresses. */
#define FUNCTION_ALIGN 16
#define FRAMES_MOST    ((size_t)1 << 19)

static int add_frame(struct reference_walker *walker, struct reference_frame frame)
{
	if (walker->frame_count == FRAMES_MOST)
		return 0;
	struct reference_frame *frames =
		list_grow(walker->frames, walker->frame_count, &walker->frame_room, sizeof(*frames));
	if (frames == NULL)
		return error_set(walker->error, ERROR_CANNOT_CREATE, "memory", "no memory to rewrite frames");
	walker->frames = frames;
	walker->frames[walker->frame_count++] = frame;
	return 0;
}

/* A function's record: where the function begins is told from where the last one ended, its exception table from where
 * the last one's began. */
int reference_walk_frames(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);
	uint64_t function = 0, table = 0;
	int result = 0;

	if (span.skipped > 0)
		return 0;
	for (size_t i = 0; result == 0 && span.size - i >= RECORD_LEAST;) {
		uint8_t *record = span.bytes + i;
		uint64_t address = span.address + i;
		uint32_t length = reference_word(record);
		if (length == 0 || length >= LENGTH_LONG || length > span.size - i - RECORD_HEAD)
			break;
		i += RECORD_HEAD + length;
		if (length < RECORD_LEAST - RECORD_HEAD || reference_word(record + RECORD_OWNER) == 0)
			continue;
		reference_meet(walker, (struct reference){.form = REFERENCE_BACK,
							  .at = record + RECORD_OWNER,
							  .base = address + RECORD_OWNER});
		uint64_t begin = reference_meet(walker, (struct reference){.form = REFERENCE_STEP,
									   .at = record + RECORD_BEGIN,
									   .base = address + RECORD_BEGIN,
									   .expected = function});
		result = add_frame(walker, (struct reference_frame){begin, address});
		function = begin + reference_word(record + RECORD_SIZE);
		function = (function + FUNCTION_ALIGN - 1) & ~(uint64_t)(FUNCTION_ALIGN - 1);
		if (record[RECORD_EXTRA] == 4 && length >= RECORD_LSDA)
			table = reference_meet(walker, (struct reference){.form = REFERENCE_STEP,
									  .at = record + RECORD_LSDA,
									  .base = address + RECORD_LSDA,
									  .expected = table});
	}
	return result;
}

static int by_begin(const void *a, const void *b)
{
	const struct reference_frame *x = a, *y = b;
	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

/* The table lists the frames by where their functions begin, so all of it follows from them. */
int reference_walk_frame_table(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);

	if (span.skipped > 0)
		return 0;
	if (walker->frame_count > 0)
		qsort(walker->frames, walker->frame_count, sizeof(*walker->frames), by_begin);
	for (size_t i = 0; i < walker->frame_count && TABLE_HEAD + (i + 1) * PAIR_SIZE <= span.size; i++) {
		const struct reference_frame *frame = &walker->frames[i];
		uint8_t *pair = span.bytes + TABLE_HEAD + i * PAIR_SIZE;
		reference_meet(walker, (struct reference){.form = REFERENCE_STEP,
							  .at = pair,
							  .base = region->address,
							  .expected = frame->begin});
		reference_meet(walker, (struct reference){.form = REFERENCE_STEP,
							  .at = pair + 4,
							  .base = region->address,
							  .expected = frame->place});
	}
	return 0;
}

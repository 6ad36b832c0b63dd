#include <stdlib.h>

#include "base/crew.h"
#include "release/unpack_state.h"

/* Of contents that one thread takes at a time: at least so many, */
#define STEP 16
/* and such a share of those that are left. Of two threads that make files in one directory one waits: so they are kept
 * apart, and take less and less so that they end together. */
#define SHARE 8

struct gather {
	struct unpack *unpack;
	int base;
	const struct manifest *base_manifest;
	enum unpack_share share;
	size_t *order;  /* contents, as their first files lie in the tree: a directory's are together */
	size_t *starts; /* of the stretches of it that are taken at a time, and where the last one ends */
	size_t stretches;
	struct staging_hand hands[CREW_OF_FILES];
};

static void gather_end(struct gather *gather)
{
	for (size_t i = 0; i < CREW_OF_FILES; i++)
		staging_hand_free(&gather->hands[i]);
	free(gather->order);
	free(gather->starts);
}

/* What an earlier try left counts again when it still hashes to what it should be. */
static int keep_content(struct unpack *unpack, struct staging_hand *hand, size_t index, struct error *error)
{
	const struct manifest *manifest = unpack->manifest;

	if (!staging_holds(&unpack->staging, hand, unpack_file(manifest, index, 0)))
		return 0;
	for (size_t i = 1; i < manifest->contents[index].files; i++)
		if (!staging_holds(&unpack->staging, hand, unpack_file(manifest, index, i)))
			return unpack_spread(unpack, hand, index, error);
	unpack->done[index] = true;
	return 0;
}

static int share_content(const struct gather *gather, struct staging_hand *hand, size_t index, struct error *error)
{
	struct unpack *unpack = gather->unpack;
	const struct manifest_entry *first = unpack_file(unpack->manifest, index, 0);
	const struct manifest_content *old =
		manifest_find_content(gather->base_manifest, unpack->manifest->contents[index].hash);
	bool taken = false;

	for (size_t i = 0; old != NULL && i < old->files && !taken; i++) {
		const struct manifest_entry *from = manifest_file(gather->base_manifest, old, i);
		if (from->root != MANIFEST_TREE)
			continue;
		int result =
			staging_share(&unpack->staging, hand, gather->base, from, first, gather->share, &taken, error);
		if (result < 0)
			return result;
	}
	return taken ? unpack_spread(unpack, hand, index, error) : 0;
}

static int gather_content(struct gather *gather, struct staging_hand *hand, size_t index, struct error *error)
{
	struct unpack *unpack = gather->unpack;
	int result = 0;

	if (!unpack->progress.fresh)
		result = keep_content(unpack, hand, index, error);
	if (result == 0 && !unpack->done[index] && unpack->manifest->contents[index].size == 0)
		return unpack_write(unpack, hand, index, "", error);
	if (result == 0 && !unpack->done[index] && gather->base_manifest != NULL)
		result = share_content(gather, hand, index, error);
	if (result < 0 || unpack->done[index] || unpack->progress.fresh)
		return result;
	/* A file that may not be written on must not be met by staging_write_at: it could be another release's too. */
	const struct manifest_entry *first = unpack_file(unpack->manifest, index, 0);
	return staging_may_continue(&unpack->staging, hand, first) ? 0 : staging_remove(&unpack->staging, first, error);
}

static int gather_stretch(void *context, size_t worker, size_t stretch, struct error *error)
{
	struct gather *gather = context;
	int result = 0;

	for (size_t i = gather->starts[stretch]; result == 0 && i < gather->starts[stretch + 1]; i++)
		result = gather_content(gather, &gather->hands[worker], gather->order[i], error);
	return result;
}

static int by_first_file(const void *a, const void *b, void *context)
{
	const struct manifest *manifest = context;
	const struct manifest_entry *x = unpack_file(manifest, *(const size_t *)a, 0);
	const struct manifest_entry *y = unpack_file(manifest, *(const size_t *)b, 0);
	return (x > y) - (x < y);
}

static int order_contents(struct gather *gather, struct error *error)
{
	const struct manifest *manifest = gather->unpack->manifest;
	const size_t count = manifest->content_count;

	gather->order = calloc(count + 1, sizeof(*gather->order));
	gather->starts = calloc(count + 1, sizeof(*gather->starts));
	if (gather->order == NULL || gather->starts == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to gather release %s",
				 manifest->version);
	for (size_t i = 0; i < count; i++)
		gather->order[i] = i;
	qsort_r(gather->order, count, sizeof(*gather->order), by_first_file, (void *)(uintptr_t)manifest);
	const size_t crew = crew_size(CREW_OF_FILES);
	for (size_t at = 0; at < count;) {
		size_t share = (count - at) / (SHARE * crew), step = share > STEP ? share : STEP;
		at = step < count - at ? at + step : count;
		gather->starts[++gather->stretches] = at;
	}
	return 0;
}

int unpack_gather(struct unpack *unpack, int base, const struct manifest *base_manifest, enum unpack_share share,
		  struct error *error)
{
	CLEANUP(gather_end)
	struct gather gather = {
		.unpack = unpack, .base = base, .base_manifest = base >= 0 ? base_manifest : NULL, .share = share};

	for (size_t i = 0; i < CREW_OF_FILES; i++)
		gather.hands[i] = STAGING_HAND_EMPTY;
	int result = order_contents(&gather, error);
	return result < 0 ? result : crew_run(CREW_OF_FILES, gather.stretches, 1, gather_stretch, &gather, error);
}

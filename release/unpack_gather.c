#include <stdlib.h>

#include "base/crew.h"
#include "release/unpack_state.h"

/* Contents are small on the whole: taken by the handful. */
#define STEP 16

struct gather {
	struct unpack *unpack;
	int base;
	const struct manifest *base_manifest;
	enum unpack_share share;
	size_t *order; /* contents, as their first files lie in the tree: a directory's are together */
	struct staging_hand hands[CREW_MOST];
};

static void gather_end(struct gather *gather)
{
	for (size_t i = 0; i < CREW_MOST; i++)
		staging_hand_free(&gather->hands[i]);
	free(gather->order);
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
		const struct manifest_entry *from =
			&gather->base_manifest->entries[gather->base_manifest->file_order[old->first_file + i]];
		if (from->root != MANIFEST_TREE)
			continue;
		int result =
			staging_share(&unpack->staging, hand, gather->base, from, first, gather->share, &taken, error);
		if (result < 0)
			return result;
	}
	return taken ? unpack_spread(unpack, hand, index, error) : 0;
}

static int gather_content(void *context, size_t worker, size_t piece, struct error *error)
{
	struct gather *gather = context;
	const size_t index = gather->order[piece];
	struct unpack *unpack = gather->unpack;
	struct staging_hand *hand = &gather->hands[worker];
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

static int by_first_entry(const void *a, const void *b, void *context)
{
	const struct manifest *manifest = context;
	size_t x = manifest->contents[*(const size_t *)a].first_entry;
	size_t y = manifest->contents[*(const size_t *)b].first_entry;
	return (x > y) - (x < y);
}

static size_t *order_contents(const struct manifest *manifest)
{
	size_t *order = calloc(manifest->content_count + 1, sizeof(*order));

	for (size_t i = 0; order != NULL && i < manifest->content_count; i++)
		order[i] = i;
	if (order != NULL)
		qsort_r(order, manifest->content_count, sizeof(*order), by_first_entry, (void *)(uintptr_t)manifest);
	return order;
}

int unpack_gather(struct unpack *unpack, int base, const struct manifest *base_manifest, enum unpack_share share,
		  struct error *error)
{
	CLEANUP(gather_end)
	struct gather gather = {
		.unpack = unpack, .base = base, .base_manifest = base >= 0 ? base_manifest : NULL, .share = share};

	for (size_t i = 0; i < CREW_MOST; i++)
		gather.hands[i] = STAGING_HAND_EMPTY;
	gather.order = order_contents(unpack->manifest);
	if (gather.order == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to gather release %s",
				 unpack->manifest->version);
	return crew_run(CREW_MOST, unpack->manifest->content_count, STEP, gather_content, &gather, error);
}

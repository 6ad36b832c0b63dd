#include "fixture.h"

#include <stdatomic.h>

#include "base/crew.h"
#include "release/unpack_pieces.h"

/* Three times a number of them, the last one shorter, and together more than a hand's room. */
#define PIECE  ((size_t)100 * 1000)
#define PIECES ((size_t)33)
#define SIZE   (PIECES * PIECE - 17)

struct brought {
	struct unpack *unpack;
	struct unpack_pieces *pieces;
	const uint8_t *bytes;
	atomic_int judged[3]; /* by enum unpack_whole */
};

/* Every third piece first, then those behind them, … */
static int bring_piece(void *context, size_t worker UNUSED, size_t index, struct error *error)
{
	struct brought *brought = context;
	struct staging_hand hand = STAGING_HAND_EMPTY;
	enum unpack_whole whole = UNPACK_PARTIAL;
	size_t at = (index / (PIECES / 3) + 3 * (index % (PIECES / 3))) * PIECE;
	size_t size = SIZE - at < PIECE ? SIZE - at : PIECE;

	int result = unpack_pieces_take(brought->unpack, brought->pieces, &hand, 0, at, brought->bytes + at, size,
					&whole, error);
	staging_hand_free(&hand);
	atomic_fetch_add(&brought->judged[whole], 1);
	return result;
}

static void bring(struct unpack *unpack, const uint8_t *bytes, size_t threads, enum unpack_whole expected)
{
	struct error error;
	struct brought brought = {.unpack = unpack, .pieces = unpack_pieces_new(), .bytes = bytes};

	assert_non_null(brought.pieces);
	assert_done(crew_run(threads, PIECES, 1, bring_piece, &brought, &error));
	assert_int_equal(atomic_load(&brought.judged[UNPACK_PARTIAL]), PIECES - 1);
	assert_int_equal(atomic_load(&brought.judged[expected]), 1);
	assert_true(same_files("tree/large", "staging/tree/large") == (expected == UNPACK_GOOD));
	unpack_pieces_free(&brought.pieces);
}

/* A release of one large file, none of which is staged yet. */
struct one_file {
	struct manifest *manifest;
	struct buffer bytes;
	int staging;
	struct unpack *unpack;
};

static int begin(void **state)
{
	static struct one_file one;
	struct error error;

	put_noise("tree/large", SIZE, 1);
	one = (struct one_file){.manifest = pack_tree("tree", "1", "one.bundle"), .bytes = get_bytes("tree/large")};
	assert_int_equal(mkdir("staging", 0755), 0);
	one.staging = open_dir("staging");
	assert_done(unpack_begin(one.staging, one.manifest, -1, NULL, UNPACK_AUTO, &one.unpack, &error));
	*state = &one;
	return 0;
}

static int end(void **state)
{
	struct one_file *one = *state;
	struct error error;

	unpack_free(&one->unpack);
	file_close(&one->staging);
	buffer_free(&one->bytes);
	manifest_free(&one->manifest);
	return file_remove_tree_at(AT_FDCWD, "staging", &error);
}

static void in_any_order(void **state)
{
	const struct one_file *one = *state;
	uint8_t *bytes = one->bytes.data;

	for (size_t threads = 1; threads <= CREW_MOST; threads *= 4) {
		bring(one->unpack, bytes, threads, UNPACK_GOOD);
		bytes[SIZE / 2]++;
		bring(one->unpack, bytes, threads, UNPACK_BAD);
		bytes[SIZE / 2]--;
	}
}

/* What was written and cannot be read back when its turn comes. */
static void cut_meanwhile(void **state)
{
	const struct one_file *one = *state;
	const uint8_t *bytes = one->bytes.data;
	struct error error;
	struct staging_hand hand = STAGING_HAND_EMPTY;
	enum unpack_whole whole = UNPACK_GOOD;
	struct unpack_pieces *pieces = unpack_pieces_new();

	assert_non_null(pieces);
	assert_done(
		unpack_pieces_take(one->unpack, pieces, &hand, 0, PIECE, bytes + PIECE, SIZE - PIECE, &whole, &error));
	assert_int_equal(whole, UNPACK_PARTIAL);
	assert_int_equal(truncate("staging/tree/large", (off_t)(2 * PIECE)), 0);
	assert_done(unpack_pieces_take(one->unpack, pieces, &hand, 0, 0, bytes, PIECE, &whole, &error));
	assert_int_equal(whole, UNPACK_BAD);
	unpack_pieces_free(&pieces);
	staging_hand_free(&hand);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_any_order, begin, end),
		cmocka_unit_test_setup_teardown(cut_meanwhile, begin, end),
	};
	return cmocka_run_group_tests_name("unpack_pieces", tests, fixture_start, fixture_end);
}

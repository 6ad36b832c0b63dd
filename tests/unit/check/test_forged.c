/* Deltas that are signed and mean harm, or are not what was signed: each is left for the blobs within the session's
 * bounds, with its name in the log. */
#include "tests/unit/check/pair.h"

#include "release/blob.h"
#include "release/delta_number.h"

#define MEMORY_MOST  ((long)(DELTA_APPLY_MEMORY / 1024) + 64 * 1024) /* KiB */
#define SWOLLEN_SIZE ((size_t)8 * 1024 * 1024)

/* The release comes whole, without that part of the delta; what was wrong with it is in the log. */
static void left_aside(struct world *world, enum delta_target part, const char *words)
{
	struct exchange exchange = {0};

	greet(world);
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	long held = most_held(world);
	exchange_free(&exchange);
	exchange = (struct exchange){0};
	stage(world, &exchange);
	assert_granted(exchange);
	/* Without its head a delta is as good as ever: the manifest comes whole. */
	assert_int_equal(exchange.blobs > 0, part != DELTA_HEAD);
	assert_said(words);
	assert_held(world, held, MEMORY_MOST, words);
	assert_staged();
	exchange_free(&exchange);
	end_session(world);
}

static void hostile_head(struct world *world, const void *head, size_t size, const char *words)
{
	sign_delta(world, copy_of(head, size), copy_of(made.data, made.size));
	left_aside(world, DELTA_HEAD, words);
	empty_staging();
	assert_int_equal(unlink("log"), 0);
}

/* A head with these bytes as its patch. */
static struct buffer make_head(const void *patch, size_t size, uint64_t manifest_size)
{
	struct delta_head head = head_of_made();
	struct buffer bytes = {0};
	struct error error = {0};

	head.patch_size = size;
	head.manifest_size = manifest_size;
	hash_bytes(HASH_BLAKE2B, patch, size, head.patch_hash);
	assert_ok(delta_plan_head(&head, patch, &bytes, &error));
	return bytes;
}

static void test_heads(void **state)
{
	const struct delta_head head = head_of_made();
	CLEANUP(buffer_free) struct buffer bytes = copy_of(made.data, head.size);
	CLEANUP(buffer_free) struct buffer bomb = {0};
	CLEANUP(free_pointer) uint8_t *zeros = calloc(1, SWOLLEN_SIZE);
	struct error error = {0};

	hostile_head(*state, "garbage", 7, "that is no delta");
	hostile_head(*state, bytes.data, 40, "the head of the delta is no head");
	hostile_head(*state, bytes.data, bytes.size - 1, "the head of the delta has");
	bytes.data[bytes.size - 1] ^= 1;
	hostile_head(*state, bytes.data, bytes.size, "the manifest's patch in the delta is damaged");
	/* Made from another manifest: its hash stands behind the three names. */
	bytes.data[8 + 6 + 4 + 4 + 3] ^= 1;
	hostile_head(*state, bytes.data, bytes.size, "the delta was made from another manifest");
	/* Megabytes in a few hundred bytes: what is longer than the manifest itself is not even fetched. */
	assert_ok(blob_patch((struct blob_prefix){NULL, 0}, zeros, SWOLLEN_SIZE, true, &bomb, &error));
	assert_true(bomb.size < 512);
	CLEANUP(buffer_free) struct buffer swollen = make_head(bomb.data, bomb.size, SWOLLEN_SIZE);
	hostile_head(*state, swollen.data, swollen.size, "the delta makes another manifest than the signed one");
	CLEANUP(buffer_free) struct buffer lying = make_head(bomb.data, bomb.size, 100);
	hostile_head(*state, lying.data, lying.size, "does not say the 100 plain bytes");
	CLEANUP(buffer_free) struct buffer vast = make_head(bomb.data, bomb.size, UINT64_C(1) << 60);
	hostile_head(*state, vast.data, vast.size, "the manifest in the delta has a size that none has");
}

/* The delta has this index, whose plain bytes are said to be `stated` (0: what they are), and `parts` behind it. */
static void hostile_index(struct world *world, const struct buffer *plain, uint64_t stated, const struct buffer *parts,
			  const char *words)
{
	const size_t head = head_of_made().size;
	struct buffer whole = copy_of(made.data, head);
	CLEANUP(buffer_free) struct buffer stored = {0};
	struct error error = {0};
	uint8_t hash[HASH_SIZE];

	assert_ok(blob_patch((struct blob_prefix){NULL, 0}, plain->data, plain->size, true, &stored, &error));
	hash_bytes(HASH_BLAKE2B, stored.data, stored.size, hash);
	assert_ok(delta_number_write(&whole, stated ? stated : plain->size, &error));
	assert_ok(delta_number_write(&whole, stored.size, &error));
	assert_ok(buffer_append(&whole, hash, sizeof(hash), &error));
	assert_ok(buffer_append(&whole, stored.data, stored.size, &error));
	if (parts)
		assert_ok(buffer_append(&whole, parts->data, parts->size, &error));
	sign_delta(world, copy_of(made.data, head), whole);
	left_aside(world, DELTA_WHOLE, words);
	empty_staging();
	assert_int_equal(unlink("log"), 0);
}

static struct buffer numbers(const uint64_t *list, size_t count)
{
	struct buffer bytes = {0};
	struct error error = {0};

	for (size_t i = 0; i < count; i++)
		assert_ok(delta_number_write(&bytes, list[i], &error));
	return bytes;
}
#define NUMBERS(...)                                                                                                   \
	numbers((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void test_indexes(void **state)
{
	struct {
		struct buffer plain;
		uint64_t stated;
		const char *words;
	} rows[] = {
		{NUMBERS(UINT64_C(1) << 40), 0, "does not say how many maps"},
		{NUMBERS(1, UINT64_C(1) << 50), 0, "too many shifts"},
		{NUMBERS(1, 0, UINT64_C(1) << 50, 0, 0, 0, 0, 0), 0, "maps of a delta"},
		{NUMBERS(1, 0, 0, 0, UINT64_C(1) << 50), 0, "too many regions"},
		{NUMBERS(1, 0, 0, 0, 0, 0, UINT64_C(1) << 50), 0, "too many shifts"},
		{NUMBERS(1, 0, 0, 0, 0, 0, 0, UINT64_C(1) << 50), 0, "too many tables"},
		{NUMBERS(0, UINT64_C(1) << 40), 0, "does not say how many parts"},
		{NUMBERS(0, 1, 0, UINT64_C(1) << 40, 1), 0, "is of no known kind"},
		{NUMBERS(0, 1, 0, 0, UINT64_C(1) << 40), 0, "is of no known kind"},
		{NUMBERS(0, 1, 2, 0, 1), 0, "is of no known kind"},
		{NUMBERS(0, 1, 0, 1, 1, UINT64_C(1) << 50), 0, "names a content that no release has"},
		{NUMBERS(0, 1, 0, 1, 1, 1, 0, UINT64_C(1) << 60), 0, "names a stretch outside its file"},
		{NUMBERS(0, 1, 0, 0, 1, 2, 0, UINT64_C(1) << 50), 0, "copies from outside a file"},
		{NUMBERS(0, 0, 0), 0, "goes on behind its end"},
		{NUMBERS(0), DELTA_INDEX_MOST, "plain bytes that it is for"},
		{NUMBERS(0), UINT64_C(1) << 50, "has a size that none has"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		hostile_index(*state, &rows[i].plain, rows[i].stated, NULL, rows[i].words);
		buffer_free(&rows[i].plain);
	}
}

/* All that an index may have, of zeros, in a few kilobytes; and as many parts as there may be, each of them nothing. */
static void test_index_bombs(void **state)
{
	struct buffer plain = {0};
	struct error error = {0};
	uint8_t *room = NULL;

	assert_ok(buffer_reserve(&plain, DELTA_INDEX_MOST, &room, &error));
	memset(room, 0, DELTA_INDEX_MOST);
	buffer_commit(&plain, DELTA_INDEX_MOST);
	hostile_index(*state, &plain, 0, NULL, "goes on behind its end");
	/* A million parts of nothing. */
	buffer_clear(&plain);
	assert_ok(delta_number_write(&plain, 0, &error));
	assert_ok(delta_number_write(&plain, 1000000, &error));
	assert_ok(buffer_reserve(&plain, DELTA_INDEX_MOST / 2, &room, &error));
	memset(room, 0, DELTA_INDEX_MOST / 2);
	buffer_commit(&plain, DELTA_INDEX_MOST / 2);
	hostile_index(*state, &plain, 0, NULL, "is of no known kind");
	buffer_free(&plain);
}

/* A part that says all of new content 0, from nothing, and has `frame` for it: the table of its copies, and the rest.
 */
static void hostile_part(struct world *world, const struct buffer *frame, const char *words)
{
	CLEANUP(buffer_free) struct buffer plain = NUMBERS(0, 1, 0, 0, 1, 0, frame->size);
	struct error error = {0};
	uint8_t hash[HASH_SIZE];

	hash_bytes(HASH_BLAKE2B, frame->data, frame->size, hash);
	assert_ok(buffer_append(&plain, hash, sizeof(hash), &error));
	hostile_index(world, &plain, 0, frame, words);
}

static void test_parts(void **state)
{
	CLEANUP(manifest_free) struct manifest *manifest = new_manifest();
	const size_t size = (size_t)manifest->contents[0].size, most = DELTA_PLAIN_MOST;
	CLEANUP(free_pointer) uint8_t *zeros = calloc(1, most);
	const size_t sizes[] = {most, size};
	const char *const words[] = {"a patch does not say", "0 contents made, 1 left to the blobs"};
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(buffer_free) struct buffer frame = NUMBERS(0);
		assert_ok(blob_patch((struct blob_prefix){NULL, 0}, zeros, sizes[i], true, &frame, &error));
		hostile_part(*state, &frame, words[i]);
	}
	CLEANUP(buffer_free) struct buffer cut = NUMBERS(0);
	assert_ok(blob_patch((struct blob_prefix){NULL, 0}, zeros, size, true, &cut, &error));
	cut.size--;
	hostile_part(*state, &cut, "a patch is not one whole zstd frame");
	CLEANUP(buffer_free) struct buffer vast = NUMBERS(UINT64_C(1) << 40, 4, 0);
	hostile_part(*state, &vast, "the copies of a part have a size that none has");
}

/* Its end is missing, or it is none: by its hash, before anything of it is read. */
static void test_not_the_signed_one(void **state)
{
	struct world *world = *state;
	char name[256];

	sign_made(world);
	for (size_t i = 0; i < world->repository.file_count; i++)
		if (ends_in(world->repository.files[i].name, ".delta"))
			snprintf(name, sizeof(name), "%s", world->repository.files[i].name);
	struct buffer *bytes = repository_file(&world->repository, name);
	bytes->data[bytes->size - 1] ^= 1;
	left_aside(world, DELTA_WHOLE, "the delta is not the signed one");
}

static void test_shorter_than_signed(void **state)
{
	struct world *world = *state;

	sign_made(world);
	for (size_t i = 0; i < world->repository.file_count; i++)
		if (ends_in(world->repository.files[i].name, ".delta"))
			world->repository.files[i].bytes.size -= 1000;
	left_aside(world, DELTA_WHOLE, "the delta is not the signed one");
}

/* More than was signed ends the staging: whoever sends it does not keep to the dialogue. */
static void test_longer_than_signed(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	struct error error = {0};

	sign_made(world);
	for (size_t i = 0; i < world->repository.file_count; i++)
		if (ends_in(world->repository.files[i].name, ".delta"))
			assert_ok(buffer_append(&world->repository.files[i].bytes, "more", 4, &error));
	greet(world);
	stage(world, &exchange);
	assert_refusal(exchange, ERROR_DATA, "length");
	assert_false(act_was_asked("seal"));
	exchange_free(&exchange);
}

#define one(name) cmocka_unit_test_setup_teardown(test_##name, pair_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		one(heads),
		one(indexes),
		one(index_bombs),
		one(parts),
		one(not_the_signed_one),
		one(shorter_than_signed),
		one(longer_than_signed),
	};
	return cmocka_run_group_tests_name("check/forged", tests, pack_pair, drop_pair);
}

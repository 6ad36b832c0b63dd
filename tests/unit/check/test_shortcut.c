/* Deltas through the real session: one that breaks off goes on where it was, and what a damaged base cannot give comes
 * as the blobs that carry it and no other. */
#include "tests/unit/check/pair.h"

/* The delta alone travels. */
static void test_whole(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};

	sign_made(world);
	greet(world);
	stage(world, &exchange);
	assert_granted(exchange);
	assert_int_equal(exchange.blobs, 0);
	assert_int_equal(exchange.delta_bytes, made.size - head_of_made().size);
	assert_staged();
	exchange_free(&exchange);
}

/* Cut off after so many bytes. No byte that came is asked for again: they were written as they came. */
static void cut_at(struct world *world, uint64_t cut)
{
	struct exchange broken = {.cut = cut}, again = {0};
	struct error error = {0};
	size_t head = head_of_made().size;

	greet(world);
	json_t *body = stage_body("1.1", entitlement(world, 30, "premium"), 0);
	uint64_t id = stream_next_id(world->stream);
	assert_ok(stream_send(world->stream, MESSAGE_STAGE, 0, id, body, &error));
	json_decref(body);
	assert_false(serve_until(world, &broken, id));
	assert_int_equal(broken.delta_bytes, cut);
	assert_int_equal(broken.offset, head);
	end_session(world);
	assert_false(act_was_asked("seal"));
	greet(world);
	stage(world, &again);
	assert_granted(again);
	assert_int_equal(again.offset, head + cut);
	assert_int_equal(broken.delta_bytes + again.delta_bytes, made.size - head);
	assert_int_equal(again.blobs, 0);
	assert_staged();
	end_session(world);
	exchange_free(&broken);
	exchange_free(&again);
	empty_staging();
}

static void test_goes_on(void **state)
{
	const uint64_t rest = made.size - head_of_made().size;
	const uint64_t cuts[] = {1, 100, 4096, 5000, 70000, FRESH_SIZE / 2, rest - 1};

	sign_made(*state);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		cut_at(*state, cuts[i]);
}

/* What a broken transfer left is another's, or was altered on the disk: found by the hash of the whole, and thrown
 * away. */
static void test_goes_on_from_damage(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE], path[HASH_HEX_SIZE + 64];
	CLEANUP(buffer_free) struct buffer half = copy_of(made.data, made.size / 2);

	sign_made(world);
	half.data[half.size - 100] ^= 1;
	hash_bytes(HASH_SHA256, made.data, made.size, hash);
	hash_to_hex(hash, sizeof(hash), hex);
	snprintf(path, sizeof(path), "releases/.staging-1.1/%s.delta", hex);
	put_file(path, half.data, half.size, 0600);
	greet(world);
	stage(world, &exchange);
	assert_granted(exchange);
	assert_said("the delta is not the signed one");
	assert_true(exchange.blobs > 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_staged();
	exchange_free(&exchange);
}

/* --- a damaged base --- */

struct asked {
	const struct manifest *manifest;
	bool blobs[64]; /* by index: was fetched */
};

static bool note_blob(struct world *world UNUSED, struct stream *stream UNUSED, uint64_t id UNUSED, const char *name,
		      void *context)
{
	struct asked *asked = context;
	char hex[HASH_HEX_SIZE];

	for (size_t i = 0; i < asked->manifest->blob_count; i++) {
		hash_to_hex(asked->manifest->blobs[i].hash, HASH_SIZE, hex);
		if (strncmp(name, "blobs/", 6) == 0 && strcmp(name + 6, hex) == 0)
			asked->blobs[i] = true;
	}
	return true;
}

/* `damage` does its work on releases/1.0/first; the blobs that carry the new first come, and those alone. */
static void base_is_damaged(struct world *world, void (*damage)(const char *path))
{
	CLEANUP(manifest_free) struct manifest *manifest = new_manifest();
	const struct manifest_entry *entry = manifest_find(manifest, MANIFEST_TREE, "first");
	const struct manifest_content *content = manifest_find_content(manifest, entry->hash);
	struct asked asked = {.manifest = manifest};
	struct exchange exchange = {.on_fetch = note_blob, .context = &asked};
	size_t carriers = 0;

	sign_made(world);
	damage("releases/1.0/first");
	greet(world);
	stage(world, &exchange);
	assert_granted(exchange);
	for (size_t i = 0; i < manifest->blob_count; i++) {
		const struct manifest_blob *blob = &manifest->blobs[i];
		bool carries =
			blob->offset < content->offset + content->size && content->offset < blob->offset + blob->plain;
		assert_int_equal(asked.blobs[i], carries);
		carriers += carries;
	}
	assert_true(carriers > 0 && carriers < manifest->blob_count);
	assert_int_equal(exchange.delta_bytes, made.size - head_of_made().size);
	assert_said("first of the running release is damaged");
	assert_staged();
	exchange_free(&exchange);
}

static void flip_a_byte(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte = 0;

	assert_int_equal(pread(fd, &byte, 1, 1000000), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 1000000), 1);
	close(fd);
}

static void cut_short(const char *path)
{
	assert_int_equal(truncate(path, 1000), 0);
}

static void take_away(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void lead_elsewhere(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("second", path), 0);
}

static void test_base_altered(void **state)
{
	base_is_damaged(*state, flip_a_byte);
}

static void test_base_short(void **state)
{
	base_is_damaged(*state, cut_short);
}

static void test_base_missing(void **state)
{
	base_is_damaged(*state, take_away);
}

static void test_base_is_a_link(void **state)
{
	base_is_damaged(*state, lead_elsewhere);
}

#define one(name) cmocka_unit_test_setup_teardown(test_##name, pair_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		one(whole),      one(goes_on),      one(goes_on_from_damage), one(base_altered),
		one(base_short), one(base_missing), one(base_is_a_link),
	};
	return cmocka_run_group_tests_name("check/shortcut", tests, pack_pair, drop_pair);
}

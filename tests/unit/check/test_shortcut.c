/* Deltas through the real session: one that breaks off goes on where it was, what a damaged base cannot give comes as
 * the blobs that carry it and no other, and one that means harm is left for the blobs, with its name in the log. */
#include "tests/unit/check/fixture.h"

#include "release/blob.h"
#include "release/delta.h"
#include "release/delta_number.h"
#include "release/delta_plan.h"

#define FILE_SIZE     ((size_t)9 * 1024 * 1024) /* each lies in two blobs, the second in one with the third */
#define FRESH_SIZE    ((size_t)300 * 1024)
#define MEMORY_MOST   ((long)(DELTA_APPLY_MEMORY / 1024) + 64 * 1024) /* KiB */
#define SWOLLEN_SIZE  ((size_t)8 * 1024 * 1024)
#define LOG_SIZE_MOST (1024 * 1024)

static struct buffer made; /* the delta, packed once */

/* `fresh` bytes in the middle are new. */
static void put_edited(const char *path, uint64_t seed, size_t fresh)
{
	struct error error = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(buffer_free) struct buffer other = {0};

	put_noise(path, FILE_SIZE, seed);
	put_noise("fresh", fresh, seed + 100);
	assert_ok(file_read_at(AT_FDCWD, path, &bytes, &error));
	assert_ok(file_read_at(AT_FDCWD, "fresh", &other, &error));
	memcpy(bytes.data + FILE_SIZE / 2, other.data, other.size);
	put_file(path, bytes.data, bytes.size, 0644);
	assert_int_equal(unlink("fresh"), 0);
}

static int pack_pair(void **state UNUSED)
{
	struct pack_options options = {.product = "probe"};
	struct delta_make make = {.old = "probe-1.0.bundle", .new = "probe-1.1.bundle", .output = "made.delta"};
	struct delta_made counted;
	struct error error = {0};

	close(make_directory(packed_path));
	umask(022);
	assert_ok(secret_start(&error));
	assert_int_equal(chdir(packed_path), 0);
	assert_int_equal(mkdir("old", 0755), 0);
	assert_int_equal(mkdir("new", 0755), 0);
	put_file("old/program", "one", 3, 0755);
	put_file("new/program", "two", 3, 0755);
	put_noise("old/same", 100000, 1);
	put_noise("new/same", 100000, 1);
	put_noise("old/first", FILE_SIZE, 3);
	put_noise("old/second", FILE_SIZE, 4);
	put_edited("new/first", 3, FRESH_SIZE);
	put_edited("new/second", 4, 16);
	options.input = "old", options.output = "probe-1.0.bundle", options.version = "1.0";
	assert_ok(pack_run(&options, NULL, &error));
	options.input = "new", options.output = "probe-1.1.bundle", options.version = "1.1";
	assert_ok(pack_run(&options, NULL, &error));
	assert_ok(delta_make(&make, &counted, &error));
	made = BUFFER_INIT(0);
	assert_ok(file_read_at(AT_FDCWD, "made.delta", &made, &error));
	assert_true(made.size > FRESH_SIZE && made.size < 2 * FRESH_SIZE);
	return 0;
}

static int drop_pair(void **state)
{
	buffer_free(&made);
	return drop_packed(state);
}

static struct buffer copy_of(const void *bytes, size_t size)
{
	struct buffer copy = {0};
	struct error error = {0};

	assert_ok(buffer_append(&copy, bytes, size, &error));
	return copy;
}

static struct delta_head head_of_made(void)
{
	struct delta_head head;
	struct error error = {0};

	assert_ok(delta_read_head(made.data, made.size, &head, &error));
	return head;
}

static json_t *custom_of_delta(void)
{
	return json_pack("{s:s, s:s, s:s}", "product", "probe", "from", "1.0", "to", "1.1");
}

/* Both targets, signed as they are. Takes both. */
static void sign_delta(struct world *world, struct buffer head, struct buffer whole)
{
	add_bytes(&world->repository, "probe/deltas/1.0..1.1.manifest", head, custom_of_delta());
	add_bytes(&world->repository, "probe/deltas/1.0..1.1.delta", whole, custom_of_delta());
	publish_next(&world->repository);
}

static int begin(void **state)
{
	if (world_begin(state) != 0)
		return -1;
	log_start("test", LOG_LEVEL_INFO);
	put_noise("releases/1.0/first", FILE_SIZE, 3);
	put_noise("releases/1.0/second", FILE_SIZE, 4);
	return 0;
}

static void sign_made(struct world *world)
{
	sign_delta(world, copy_of(made.data, head_of_made().size), copy_of(made.data, made.size));
}

/* What the session says goes to the file "log". */
static void greet(struct world *world)
{
	int kept = dup(STDERR_FILENO), log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	assert_true(kept >= 0 && dup2(log, STDERR_FILENO) >= 0);
	start_session(world, SESSION_CONTROL, "status,upgrade");
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	close(log);
}

static void assert_said(const char *words)
{
	CLEANUP(buffer_free) struct buffer log = BUFFER_INIT(LOG_SIZE_MOST);
	struct error error = {0};

	assert_ok(file_read_at(AT_FDCWD, "log", &log, &error));
	if (log.size == 0 || !strstr((const char *)log.data, words))
		fail_msg("\"%s\" was not said, but\n%s", words, log.size ? (const char *)log.data : "nothing");
}

static bool same_bytes(const char *a, const char *b)
{
	CLEANUP(buffer_free) struct buffer x = {0};
	CLEANUP(buffer_free) struct buffer y = {0};
	struct error error = {0};

	assert_ok(file_read_at(AT_FDCWD, a, &x, &error));
	assert_ok(file_read_at(AT_FDCWD, b, &y, &error));
	return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

static void assert_staged(void)
{
	static const char *const names[] = {"program", "same", "first", "second"};
	char here[128], there[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(here, sizeof(here), "releases/.staging-1.1/tree/%s", names[i]);
		snprintf(there, sizeof(there), "%s/new/%s", packed_path, names[i]);
		assert_true(same_bytes(here, there));
	}
	assert_true(act_was_asked("seal"));
}

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
	assert_ok(file_remove_tree_at(AT_FDCWD, "releases/.staging-1.1", &error));
	assert_int_equal(mkdir("releases/.staging-1.1", 0755), 0);
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

static struct manifest *new_manifest(void)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	struct manifest *manifest = NULL;
	struct error error = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/probe-1.1.bundle", packed_path);
	assert_ok(bundle_open(path, &bundle, &error));
	assert_ok(manifest_parse(bundle_manifest(bundle)->data, bundle_manifest(bundle)->size, &manifest, &error));
	assert_true(manifest->blob_count <= 64);
	return manifest;
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

/* --- what means harm --- */

static long most_held(pid_t pid)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64 * 1024);
	struct error error = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	assert_ok(file_read_at(AT_FDCWD, path, &text, &error));
	const char *line = strstr((const char *)text.data, "VmHWM:");
	return line ? strtol(line + 6, NULL, 10) : 0;
}

/* The release comes whole, without that part of the delta; what was wrong with it is in the log. */
static void left_aside(struct world *world, enum delta_target part, const char *words)
{
	struct exchange exchange = {0};

	greet(world);
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	long held = most_held(world->session);
	exchange_free(&exchange);
	exchange = (struct exchange){0};
	stage(world, &exchange);
	assert_granted(exchange);
	/* Without its head a delta is as good as ever: the manifest comes whole. */
	assert_int_equal(exchange.blobs > 0, part != DELTA_HEAD);
	assert_said(words);
#ifndef __SANITIZE_ADDRESS__
	long more = most_held(world->session) - held;
	if (more > MEMORY_MOST)
		fail_msg("%s: %ld KiB more were held", words, more);
#endif
	assert_staged();
	exchange_free(&exchange);
	end_session(world);
}

static void hostile_head(struct world *world, const void *head, size_t size, const char *words)
{
	struct error error = {0};

	sign_delta(world, copy_of(head, size), copy_of(made.data, made.size));
	left_aside(world, DELTA_HEAD, words);
	assert_ok(file_remove_tree_at(AT_FDCWD, "releases/.staging-1.1", &error));
	assert_int_equal(mkdir("releases/.staging-1.1", 0755), 0);
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
	assert_ok(file_remove_tree_at(AT_FDCWD, "releases/.staging-1.1", &error));
	assert_int_equal(mkdir("releases/.staging-1.1", 0755), 0);
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
		{NUMBERS(1, UINT64_C(1) << 50, 0, 0, 0, 0), 0, "maps of a delta"},
		{NUMBERS(1, 0, 0, UINT64_C(1) << 50), 0, "a map of"},
		{NUMBERS(1, 0, 0, 0, 0, UINT64_C(1) << 50), 0, "a map of"},
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

#define one(name) cmocka_unit_test_setup_teardown(test_##name, begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		one(whole),
		one(goes_on),
		one(goes_on_from_damage),
		one(base_altered),
		one(base_short),
		one(base_missing),
		one(base_is_a_link),
		one(heads),
		one(indexes),
		one(index_bombs),
		one(parts),
		one(not_the_signed_one),
		one(shorter_than_signed),
		one(longer_than_signed),
	};
	return cmocka_run_group_tests_name("check/shortcut", tests, pack_pair, drop_pair);
}

/* Releases that are signed and mean harm: manifests that lead out of the tree, blobs that swell. The real session, in
 * its sandbox, refuses each by name; it touches nothing but the staging directory and holds no more than it may. */
#include "tests/unit/check/exchange.h"

#include <ftw.h>

#include "release/blob.h"

/* KiB that a refusal takes beyond what the session has had at HELLO, and twice the manifest besides. */
#define MEMORY_MOST  ((long)64 * 1024)
#define STAGING_MOST ((off_t)32 * 1024 * 1024)
#define RLE_MOST     ((size_t)128 * 1024) /* bytes that one block of a zstd frame makes */

/* --- what is around --- */

static struct buffer around;
static off_t staged;

static int note_one(const char *path, const struct stat *status, int kind UNUSED, struct FTW *place UNUSED)
{
	struct error error = {0};
	uint8_t hash[HASH_SIZE] = {0};
	char hex[HASH_HEX_SIZE];

	if (strncmp(path, "./releases/.staging-1.1/", 24) == 0) {
		staged += status->st_blocks * 512;
		return 0;
	}
	/* Metadata that was verified is kept; the log is that of this test's act. */
	if (strncmp(path, "./trust", 7) == 0 || strcmp(path, "./act.log") == 0)
		return 0;
	nlink_t links = S_ISDIR(status->st_mode) ? 0 : status->st_nlink;
	if (S_ISREG(status->st_mode)) {
		CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
		uint64_t size = 0;
		assert_ok(hash_file(HASH_BLAKE2B, fd, path, hash, &size, &error));
	}
	hash_to_hex(hash, sizeof(hash), hex);
	assert_ok(buffer_printf(&around, &error, "%s %o %d %s\n", path, status->st_mode, (int)links, hex));
	return 0;
}

/* Everything outside the staging directory, as text. Caller frees. */
static struct buffer look_around(void)
{
	around = BUFFER_INIT(0);
	staged = 0;
	assert_int_equal(nftw(".", note_one, 16, FTW_PHYS), 0);
	return around;
}

/* The session has said HELLO and waits. */
static void greet(struct world *world)
{
	struct exchange exchange = {0};

	start_session(world, SESSION_CONTROL, "status,upgrade");
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	assert_granted(exchange);
	exchange_free(&exchange);
}

static long manifest_size(const struct world *world)
{
	const json_t *targets = json_object_get(world->repository.targets, "targets");

	return (long)json_integer_value(json_object_get(json_object_get(targets, "probe/1.1/manifest.json"), "length"));
}

static void stage_refused(struct world *world, const char *name)
{
	struct exchange exchange = {0};
	CLEANUP(buffer_free) struct buffer before = look_around();

	greet(world);
	long held = most_held(world);
	stage(world, &exchange);
	assert_refusal(exchange, ERROR_DATA, name);
	assert_false(act_was_asked("seal"));
	/* The session lives, and goes on. */
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	assert_granted(exchange);
	assert_held(world, held, MEMORY_MOST + manifest_size(world) / 512, name);
	exchange_free(&exchange);
	end_session(world);
	CLEANUP(buffer_free) struct buffer after = look_around();
	assert_string_equal((const char *)after.data, (const char *)before.data);
	assert_true(staged <= STAGING_MOST);
}

/* --- forgery --- */

/* Those bytes are the manifest of 1.1 now, under the same signatures as any other. */
static void sign_manifest(struct world *world, struct buffer bytes)
{
	json_t *custom = json_incref(target_custom(world, "1.1"));

	add_bytes(&world->repository, "probe/1.1/manifest.json", bytes, custom);
	publish_all(&world->repository);
}

static json_t *manifest_of(struct world *world)
{
	for (size_t i = 0; i < world->repository.file_count; i++) {
		const struct buffer *bytes = &world->repository.files[i].bytes;
		if (strncmp(world->repository.files[i].name, "targets/probe/1.1/", 18) == 0)
			return json_loadb((const char *)bytes->data, bytes->size, JSON_ALLOW_NUL, NULL);
	}
	return NULL;
}

static void sign_forged(struct world *world, json_t *manifest)
{
	struct error error = {0};
	struct buffer bytes = {0};
	char *text = json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS);

	assert_non_null(text);
	assert_ok(buffer_append_string(&bytes, text, &error));
	free(text);
	json_decref(manifest);
	sign_manifest(world, bytes);
}

static json_t *entry_of(json_t *manifest, const char *path)
{
	json_t *entry;
	size_t index;

	json_array_foreach(json_object_get(manifest, "entries"), index,
			   entry) if (strcmp(json_string_value(json_object_get(entry, "path")), path) ==
				      0) return entry;
	fail_msg("%s is not in the manifest", path);
	return NULL;
}

struct trial;
struct row {
	const char *what;
	void (*forge)(struct world *world, const struct row *row);
	const char *text;
	const char *target; /* of a link; of a blob: see there */
	const char *name;   /* of the refusal */
};

/* The last entry ("same") has that path; it would stand in order, for 's' is above what these begin with but for some.
 */
static void rename_entry(struct world *world, const struct row *row)
{
	json_t *manifest = manifest_of(world);

	json_object_set_new(entry_of(manifest, "same"), "path", json_string(row->text));
	sign_forged(world, manifest);
}

static int compare_paths(const void *a, const void *b)
{
	json_t *const *x = a, *const *y = b;

	return strcmp(json_string_value(json_object_get(*x, "path")), json_string_value(json_object_get(*y, "path")));
}

/* As a packer would have it: what is refused is then not the order. */
static void sort_entries(json_t *manifest)
{
	json_t *list[16], *entries = json_object_get(manifest, "entries"), *sorted = json_array();
	size_t count = json_array_size(entries);

	assert_true(count <= ARRAY_SIZE(list));
	for (size_t i = 0; i < count; i++)
		list[i] = json_array_get(entries, i);
	qsort(list, count, sizeof(*list), compare_paths);
	for (size_t i = 0; i < count; i++)
		json_array_append(sorted, list[i]);
	json_object_set_new(manifest, "entries", sorted);
}

static void move_entry(struct world *world, const struct row *row)
{
	json_t *manifest = manifest_of(world);

	json_object_set_new(entry_of(manifest, "same"), "path", json_string(row->text));
	sort_entries(manifest);
	sign_forged(world, manifest);
}

static void add_link(struct world *world, const struct row *row)
{
	json_t *manifest = manifest_of(world);

	json_array_append_new(json_object_get(manifest, "entries"),
			      json_pack("{s:s, s:s, s:s}", "path", row->text, "type", "link", "target", row->target));
	sort_entries(manifest);
	sign_forged(world, manifest);
}

/* A file below a link of the release. */
static void add_below_link(struct world *world, const struct row *row)
{
	json_t *manifest = manifest_of(world);

	json_array_append_new(json_object_get(manifest, "entries"),
			      json_pack("{s:s, s:s, s:s}", "path", "aside", "type", "link", "target", row->target));
	json_object_set_new(entry_of(manifest, "same"), "path", json_string(row->text));
	sort_entries(manifest);
	sign_forged(world, manifest);
}

static void double_entry(struct world *world, const struct row *row UNUSED)
{
	json_t *manifest = manifest_of(world), *entries = json_object_get(manifest, "entries");

	json_array_append(entries, entry_of(manifest, "same"));
	sort_entries(manifest);
	sign_forged(world, manifest);
}

static void path_with_nul(struct world *world, const struct row *row UNUSED)
{
	json_t *manifest = manifest_of(world);

	json_object_set_new(entry_of(manifest, "same"), "path", json_stringn("same\0/../../evil", 16));
	sign_forged(world, manifest);
}

static void name_of_256(struct world *world, const struct row *row UNUSED)
{
	json_t *manifest = manifest_of(world);
	char name[257];

	memset(name, 's', 256);
	name[256] = '\0';
	json_object_set_new(entry_of(manifest, "same"), "path", json_string(name));
	sign_forged(world, manifest);
}

/* `text` is a field of the entry, `target` its value. */
static void set_field(struct world *world, const struct row *row)
{
	json_t *manifest = manifest_of(world);

	json_object_set_new(entry_of(manifest, "same"), row->text, json_string(row->target));
	sign_forged(world, manifest);
}

static void understate(struct world *world, const struct row *row UNUSED)
{
	json_t *manifest = manifest_of(world);

	json_object_set_new(manifest, "tree_bytes", json_integer(1));
	sign_forged(world, manifest);
}

/* `text` over and over, up to the most bytes that a manifest may have. */
static void swell(struct world *world, const struct row *row)
{
	struct error error = {0};
	struct buffer bytes = {0};

	uint8_t *room = NULL;
	size_t size = strlen(row->text), at = 0, most = MANIFEST_BYTES_MOST - 64;

	assert_ok(buffer_append_string(&bytes, "{\"entries\":[", &error));
	assert_ok(buffer_reserve(&bytes, most, &room, &error));
	for (; at + size <= most; at += size)
		memcpy(room + at, row->text, size);
	buffer_commit(&bytes, at);
	assert_ok(buffer_append_string(&bytes, row->target, &error));
	sign_manifest(world, bytes);
}

static void too_long(struct world *world, const struct row *row UNUSED)
{
	struct error error = {0};
	struct buffer bytes = {0};
	uint8_t *room = NULL;

	assert_ok(buffer_reserve(&bytes, MANIFEST_BYTES_MOST + 1, &room, &error));
	memset(room, ' ', MANIFEST_BYTES_MOST + 1);
	buffer_commit(&bytes, MANIFEST_BYTES_MOST + 1);
	sign_manifest(world, bytes);
}

/* --- blobs --- */

/* https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1: a frame that says `stated` bytes and makes `made`, all alike.
 */
static struct buffer make_frame(uint32_t stated, size_t made)
{
	uint8_t head[9] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0};
	struct buffer frame = {0};
	struct error error = {0};

	memcpy(head + 5, &stated, 4);
	assert_ok(buffer_append(&frame, head, sizeof(head), &error));
	do {
		size_t size = made < RLE_MOST ? made : RLE_MOST;
		uint32_t block = (uint32_t)(size << 3 | 1 << 1 | (made == size ? 1 : 0));
		assert_ok(buffer_append(&frame, &block, 3, &error));
		assert_ok(buffer_append(&frame, "x", 1, &error));
		made -= size;
	} while (made > 0);
	return frame;
}

/* The first blob of the release is `frame`, by its hash and its length. Its plain size stays. */
static void sign_blob(struct world *world, json_t *manifest, struct buffer frame)
{
	json_t *blob = json_array_get(json_object_get(manifest, "blobs"), 0);
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE], name[HASH_HEX_SIZE + 8];

	hash_bytes(HASH_BLAKE2B, frame.data, frame.size, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	snprintf(name, sizeof(name), "blobs/%s", hex);
	json_object_set_new(blob, "hash", json_string(hex));
	json_object_set_new(blob, "stored", json_integer((json_int_t)frame.size));
	repository_put(&world->repository, name, frame);
	sign_forged(world, manifest);
}

static size_t plain_of(const json_t *manifest)
{
	return (size_t)json_integer_value(
		json_object_get(json_array_get(json_object_get(manifest, "blobs"), 0), "plain"));
}

/* What it says and what it makes, in parts of what the manifest says; `target` is put around it. */
static void forge_blob(struct world *world, double stated, double made, const char *before, size_t before_size,
		       const char *behind)
{
	json_t *manifest = manifest_of(world);
	size_t plain = plain_of(manifest);
	struct error error = {0};
	struct buffer bytes = {0};
	CLEANUP(buffer_free)
	struct buffer frame = make_frame((uint32_t)((double)plain * stated), (size_t)((double)plain * made));

	assert_ok(buffer_append(&bytes, before, before_size, &error));
	assert_ok(buffer_append(&bytes, frame.data, frame.size, &error));
	assert_ok(buffer_append_string(&bytes, behind, &error));
	sign_blob(world, manifest, bytes);
}

static void blob_makes_more(struct world *world, const struct row *row UNUSED)
{
	forge_blob(world, 1, 40, "", 0, "");
}

static void blob_makes_less(struct world *world, const struct row *row UNUSED)
{
	forge_blob(world, 1, 0.5, "", 0, "");
}

static void blob_says_more(struct world *world, const struct row *row UNUSED)
{
	forge_blob(world, 200, 200, "", 0, "");
}

static void blob_of_other_bytes(struct world *world, const struct row *row UNUSED)
{
	forge_blob(world, 1, 1, "", 0, "");
}

static void blob_behind_a_skipped_frame(struct world *world, const struct row *row UNUSED)
{
	forge_blob(world, 1, 1, "\x50\x2a\x4d\x18\x04\0\0\0skip", 12, "");
}

static void blob_with_something_behind(struct world *world, const struct row *row UNUSED)
{
	forge_blob(world, 1, 1, "", 0, "more");
}

static void blob_cut_off(struct world *world, const struct row *row UNUSED)
{
	json_t *manifest = manifest_of(world);
	struct buffer frame = make_frame((uint32_t)plain_of(manifest), plain_of(manifest));

	frame.size /= 2;
	sign_blob(world, manifest, frame);
}

/* No content size, and a window of 2^41 bytes: RFC 8878 §3.1.1.1.2. */
static void blob_with_a_vast_window(struct world *world, const struct row *row UNUSED)
{
	static const uint8_t bytes[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x03, 0x00, 0x00, 'x'};
	struct error error = {0};
	struct buffer frame = {0};

	assert_ok(buffer_append(&frame, bytes, sizeof(bytes), &error));
	sign_blob(world, manifest_of(world), frame);
}

static void blob_that_needs_a_dictionary(struct world *world, const struct row *row UNUSED)
{
	json_t *manifest = manifest_of(world);
	struct error error = {0};
	uint32_t plain = (uint32_t)plain_of(manifest);
	CLEANUP(buffer_free) struct buffer frame = make_frame(plain, plain);
	struct buffer bytes = {0};

	/* The flag for a dictionary id of one byte, and the id. */
	frame.data[4] |= 1;
	assert_ok(buffer_append(&bytes, frame.data, 5, &error));
	assert_ok(buffer_append(&bytes, "\x2a", 1, &error));
	assert_ok(buffer_append(&bytes, frame.data + 5, frame.size - 5, &error));
	sign_blob(world, manifest, bytes);
}

/* `text` is the field of a blob that gets a size out of bounds. */
static void size_of_blob(struct world *world, const struct row *row)
{
	json_t *manifest = manifest_of(world);

	json_object_set_new(json_array_get(json_object_get(manifest, "blobs"), 0), row->text,
			    json_integer((json_int_t)1 << 33));
	sign_forged(world, manifest);
}

#define MANIFEST "manifest"

static const struct row rows[] = {
	{"a path upwards", rename_entry, "../evil", NULL, MANIFEST},
	{"an absolute path", rename_entry, "/etc/evil", NULL, MANIFEST},
	{"a path upwards within", rename_entry, "s/../../evil", NULL, MANIFEST},
	{"a path with a dot", rename_entry, "s/./evil", NULL, MANIFEST},
	{"a path with two slashes", rename_entry, "s//evil", NULL, MANIFEST},
	{"an empty path", rename_entry, "", NULL, MANIFEST},
	{"a path with a newline", rename_entry, "same\n", NULL, MANIFEST},
	{"a path in a folder that is none", move_entry, "program/evil", NULL, MANIFEST},
	{"a path in no folder", rename_entry, "somewhere/evil", NULL, MANIFEST},
	{"a path with a NUL", path_with_nul, NULL, NULL, "format"},
	{"a name of 256 bytes", name_of_256, NULL, NULL, MANIFEST},
	{"a path through a link", add_below_link, "aside/evil", "program", MANIFEST},
	{"a path through a link outside", add_below_link, "aside/evil", "..", MANIFEST},
	{"a link outside", add_link, "link", "../../../evil", MANIFEST},
	{"a link outside by the root", add_link, "link", "/etc/passwd", MANIFEST},
	{"a link to itself", add_link, "link", "link/x", MANIFEST},
	{"an entry twice", double_entry, NULL, NULL, MANIFEST},
	{"a device node", set_field, "type", "device", MANIFEST},
	{"set-id bits that are not declared", set_field, "mode", "4755", MANIFEST},
	{"a file for everybody to write", set_field, "mode", "0666", MANIFEST},
	{"an owner of its own", set_field, "owner", "mallory", MANIFEST},
	{"an unknown field", set_field, "xattr", "security.capability", "format"},
	{"less room than is needed", understate, NULL, NULL, MANIFEST},
	{"millions of values", swell, "0,", "0]}", "format"},
	{"millions of objects", swell, "{},", "{}]}", "format"},
	{"millions of lists", swell, "[],", "[]]}", "format"},
	{"a long name without an end", swell, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "length"},
	{"a manifest that is too long", too_long, NULL, NULL, "length"},
	{"a blob that makes more than it says", blob_makes_more, NULL, NULL, "format"},
	{"a blob that makes less than it says", blob_makes_less, NULL, NULL, "format"},
	{"a blob that says more", blob_says_more, NULL, NULL, "length"},
	{"a blob of other bytes", blob_of_other_bytes, NULL, NULL, "hash"},
	{"a blob behind a frame to skip", blob_behind_a_skipped_frame, NULL, NULL, "format"},
	{"a blob with something behind", blob_with_something_behind, NULL, NULL, "format"},
	{"half a blob", blob_cut_off, NULL, NULL, "format"},
	{"a blob with a vast window", blob_with_a_vast_window, NULL, NULL, "format"},
	{"a blob that needs a dictionary", blob_that_needs_a_dictionary, NULL, NULL, "format"},
	{"a blob of 8 GiB", size_of_blob, "plain", NULL, "length"},
	{"a blob stored in 8 GiB", size_of_blob, "stored", NULL, "length"},
};

static const struct row *row_at; /* that the next test forges */

static int begin(void **state)
{
	row_at = *state;
	return world_begin(state);
}

static void test_refused(void **state)
{
	const struct row *row = row_at;

	row->forge(*state, row);
	stage_refused(*state, row->name);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(rows)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] =
			(struct CMUnitTest){rows[i].what, test_refused, begin, world_end, (void *)(uintptr_t)&rows[i]};
	return cmocka_run_group_tests_name("check/hostile", tests, pack_all, drop_packed);
}

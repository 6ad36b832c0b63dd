#include "tests/unit/check/pair.h"

#define FILE_SIZE     ((size_t)9 * 1024 * 1024) /* each lies in two blobs, the second in one with the third */
#define LOG_SIZE_MOST (1024 * 1024)

struct buffer made;

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

int pack_pair(void **state UNUSED)
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

int drop_pair(void **state)
{
	buffer_free(&made);
	return drop_packed(state);
}

struct buffer copy_of(const void *bytes, size_t size)
{
	struct buffer copy = {0};
	struct error error = {0};

	assert_ok(buffer_append(&copy, bytes, size, &error));
	return copy;
}

struct delta_head head_of_made(void)
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

void sign_delta(struct world *world, struct buffer head, struct buffer whole)
{
	add_bytes(&world->repository, "probe/deltas/1.0..1.1.manifest", head, custom_of_delta());
	add_bytes(&world->repository, "probe/deltas/1.0..1.1.delta", whole, custom_of_delta());
	publish_next(&world->repository);
}

int pair_begin(void **state)
{
	if (world_begin(state) != 0)
		return -1;
	log_start("test", LOG_LEVEL_INFO);
	put_noise("releases/1.0/first", FILE_SIZE, 3);
	put_noise("releases/1.0/second", FILE_SIZE, 4);
	return 0;
}

void sign_made(struct world *world)
{
	sign_delta(world, copy_of(made.data, head_of_made().size), copy_of(made.data, made.size));
}

void greet(struct world *world)
{
	int kept = dup(STDERR_FILENO), log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	assert_true(kept >= 0 && dup2(log, STDERR_FILENO) >= 0);
	start_session(world, SESSION_CONTROL, "status,upgrade");
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	close(log);
}

void assert_said(const char *words)
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

void assert_staged(void)
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

struct manifest *new_manifest(void)
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

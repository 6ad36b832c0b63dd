#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>

#include "base/sandbox.h"
#include "release/tree.h"
#include "release/unpack_pool.h"

/* A product with a file of three blobs, small files, a copy, an empty file, a link. */
static void make_product(const char *tree, const char *text)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/bin/server", tree);
	put_noise(path, 9 * 1024 * 1024 + 17, 1);
	chmod(path, 0755);
	snprintf(path, sizeof(path), "%s/lib/a.txt", tree);
	put_text(path, text);
	snprintf(path, sizeof(path), "%s/lib/deep/copy.txt", tree);
	put_text(path, text);
	snprintf(path, sizeof(path), "%s/lib/b.txt", tree);
	put_text(path, "unchanged");
	snprintf(path, sizeof(path), "%s/empty", tree);
	put_text(path, "");
	snprintf(path, sizeof(path), "%s/current", tree);
	assert_int_equal(symlink("lib/deep", path), 0);
}

/* "one" and "two" differ in one text; packed once for all tests, for level 19 takes its time. */
static int start(void **state)
{
	if (fixture_start(state) != 0)
		return -1;
	make_product("one", "one");
	make_product("two", "two");
	manifest_free(&(struct manifest *){pack_tree("one", "1", "one.bundle")});
	manifest_free(&(struct manifest *){pack_tree("two", "2", "two.bundle")});
	return 0;
}

static struct manifest *load(const char *path, struct bundle **ret_bundle)
{
	struct error error;
	struct manifest *manifest = NULL;
	assert_done(bundle_open(path, ret_bundle, &error));
	assert_done(manifest_parse(bundle_manifest(*ret_bundle)->data, bundle_manifest(*ret_bundle)->size, &manifest,
				   &error));
	return manifest;
}

static int stored_blob(struct bundle *bundle, const struct manifest *manifest, size_t index, struct buffer *ret_bytes)
{
	struct error error;
	char name[80] = "blobs/";
	hash_to_hex(manifest->blobs[index].hash, HASH_SIZE, name + 6);
	assert_done(bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, ret_bytes, &error));
	return 0;
}

static int give_blob(struct unpack *unpack, struct bundle *bundle, const struct manifest *manifest, size_t index,
		     struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
	stored_blob(bundle, manifest, index, &bytes);
	return unpack_blob(unpack, index, bytes.data, bytes.size, error);
}

static size_t give_all(struct unpack *unpack, struct bundle *bundle, const struct manifest *manifest)
{
	struct error error;
	size_t index = 0, count = 0;
	for (; unpack_next_blob(unpack, &index); count++)
		assert_done(give_blob(unpack, bundle, manifest, index, &error));
	return count;
}

static int staging_directory(const char *name)
{
	assert_int_equal(mkdir(name, 0755), 0);
	return open_dir(name);
}

static void verify(const char *tree, const struct manifest *manifest)
{
	struct error error;
	CLEANUP(file_close) int fd = open_dir(tree);
	assert_done(tree_verify(fd, manifest, MANIFEST_TREE, TREE_CONTENT, &error));
}

static void whole_release(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;

	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("whole.staging");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_refused(unpack_finish(unpack, &error), "incomplete");
	struct unpack_progress before = unpack_progress(unpack);
	assert_int_equal(before.blobs, manifest->blob_count);
	assert_int_equal(before.blobs_done, 0);
	assert_int_equal(give_all(unpack, bundle, manifest), manifest->blob_count);
	assert_done(unpack_finish(unpack, &error));
	struct unpack_progress after = unpack_progress(unpack);
	assert_int_equal(after.blobs_done, after.blobs);
	assert_int_equal(after.bytes_done, after.bytes);
	verify("whole.staging/tree", manifest);
	assert_true(same_files("one/bin/server", "whole.staging/tree/bin/server"));
	assert_true(same_files("one/lib/a.txt", "whole.staging/tree/lib/deep/copy.txt"));
	struct stat status;
	assert_int_equal(stat("whole.staging/tree/bin/server", &status), 0);
	assert_int_equal(status.st_mode & 07777, 0755);
}

static void damaged_blobs(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);

	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("damaged.staging");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	size_t last = manifest->blob_count - 1;
	stored_blob(bundle, manifest, last, &bytes);
	for (size_t i = 0; i < bytes.size; i += 997) {
		bytes.data[i] ^= 1;
		assert_refused(unpack_blob(unpack, last, bytes.data, bytes.size, &error), "hash");
		bytes.data[i] ^= 1;
	}
	assert_refused(unpack_blob(unpack, last, bytes.data, bytes.size - 1, &error), "length");
	assert_refused(unpack_blob(unpack, last, bytes.data, 0, &error), "length");
	assert_refused(unpack_blob(unpack, manifest->blob_count, bytes.data, bytes.size, &error), "blob");
	assert_int_equal(unpack_progress(unpack).blobs_done, 0);
	/* Another blob's bytes under this index. */
	bytes.size = 0;
	stored_blob(bundle, manifest, 0, &bytes);
	assert_int_not_equal(unpack_blob(unpack, last, bytes.data, bytes.size, &error), 0);
}

/* The manifest was signed over a frame whose plain side is longer, shorter, or another content. */
static void lying_manifest(void **state)
{
	(void)state;
	struct error error;

	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
	stored_blob(bundle, manifest, 0, &bytes);
	/* Blob 0's frame in the place of blob 1, with its true hash: its plain size or its contents do not fit. */
	struct manifest_blob saved = manifest->blobs[1];
	memcpy(manifest->blobs[1].hash, manifest->blobs[0].hash, HASH_SIZE);
	manifest->blobs[1].stored = manifest->blobs[0].stored;
	manifest->blobs[1].plain -= 1;
	CLEANUP(file_close) int staging = staging_directory("lying.staging");
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_refused(unpack_blob(unpack, 1, bytes.data, bytes.size, &error), "length");
	manifest->blobs[1] = saved;
	unpack_free(&unpack);

	/* A file that comes in one piece but is not the content that was promised. */
	CLEANUP(file_close) int second = staging_directory("lying.second");
	size_t small = 0;
	while (!hash_equal(manifest->contents[small].hash, manifest_find(manifest, MANIFEST_TREE, "lib/b.txt")->hash))
		small++;
	manifest->contents[small].hash[0] ^= 1;
	assert_done(unpack_begin(second, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	int refused = 0;
	for (size_t i = 0; i < manifest->blob_count; i++)
		if (give_blob(unpack, bundle, manifest, i, &error) < 0) {
			assert_string_equal(error.name, "hash");
			refused++;
		}
	assert_int_equal(refused, 1);
	assert_refused(unpack_finish(unpack, &error), "incomplete");
	assert_int_not_equal(access("lying.second/tree/lib/b.txt", F_OK), 0);
	manifest->contents[small].hash[0] ^= 1;
}

static void resumed(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;

	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	assert_true(manifest->blob_count >= 3);
	CLEANUP(file_close) int staging = staging_directory("resumed.staging");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_done(give_blob(unpack, bundle, manifest, 0, &error));
	assert_done(give_blob(unpack, bundle, manifest, 2, &error));
	unpack_free(&unpack);

	/* A stretch in the middle of a file counts again; so does a torn last line in the record. */
	int fd = open("resumed.staging/progress", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "blob 1 00", 9), 9);
	close(fd);
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_int_equal(unpack_progress(unpack).blobs_done, 2);
	assert_int_equal(unpack_progress(unpack).blobs, manifest->blob_count);
	assert_int_equal(give_all(unpack, bundle, manifest), manifest->blob_count - 2);
	unpack_free(&unpack);

	/* Everything was there; now one whole file and one stretch are damaged: only their blobs are fetched again. */
	fd = open("resumed.staging/tree/bin/server", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 5 * 1024 * 1024), 1);
	close(fd);
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	size_t again = give_all(unpack, bundle, manifest);
	assert_in_range(again, 1, 1);
	assert_done(unpack_finish(unpack, &error));
	verify("resumed.staging/tree", manifest);
	unpack_free(&unpack);

	/* Cut off, and a stranger beside it. */
	assert_int_equal(truncate("resumed.staging/tree/lib/a.txt", 1), 0);
	put_text("resumed.staging/tree/lib/stranger", "x");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_int_equal(give_all(unpack, bundle, manifest), 1);
	assert_done(unpack_finish(unpack, &error));
	verify("resumed.staging/tree", manifest);
}

static void another_release_staged(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;

	CLEANUP(manifest_free) struct manifest *first = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("another.staging");
	assert_done(unpack_begin(staging, first, -1, NULL, UNPACK_AUTO, &unpack, &error));
	give_all(unpack, bundle, first);
	unpack_free(&unpack);
	bundle_free(&bundle);
	CLEANUP(manifest_free) struct manifest *second = load("two.bundle", &bundle);
	assert_done(unpack_begin(staging, second, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_int_equal(give_all(unpack, bundle, second), second->blob_count);
	assert_done(unpack_finish(unpack, &error));
	verify("another.staging/tree", second);
}

static void unchanged_from_base(void **state)
{
	(void)state;
	static const enum unpack_share shares[] = {UNPACK_AUTO, UNPACK_REFLINK, UNPACK_HARDLINK, UNPACK_COPY};
	struct error error;

	CLEANUP(bundle_free) struct bundle *old_bundle = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *old = load("one.bundle", &old_bundle);
	CLEANUP(manifest_free) struct manifest *new = load("two.bundle", &bundle);
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		CLEANUP(unpack_free) struct unpack *unpack = NULL;
		char name[64], tree[80];
		snprintf(name, sizeof(name), "base.%zu", i);
		CLEANUP(file_close) int staging = staging_directory(name);
		CLEANUP(file_close) int base = open_dir("one");
		assert_done(unpack_begin(staging, new, base, old, shares[i], &unpack, &error));
		/* Only the blob with the changed text. */
		assert_int_equal(unpack_progress(unpack).blobs, 1);
		assert_int_equal(give_all(unpack, bundle, new), 1);
		assert_done(unpack_finish(unpack, &error));
		snprintf(tree, sizeof(tree), "%s/tree", name);
		verify(tree, new);
		unpack_free(&unpack);
		/* What stands in the way goes; what it shared stays. */
		char path[96];
		snprintf(path, sizeof(path), "%s/lib/b.txt", tree);
		assert_int_equal(unlink(path), 0);
		put_text(path, "mine");
		assert_done(unpack_begin(staging, new, base, old, shares[i], &unpack, &error));
		assert_done(unpack_finish(unpack, &error));
		verify(tree, new);
		verify("one", old);
	}
}

static void hard_links_are_shared(void **state)
{
	(void)state;
	struct error error;
	struct stat running, staged;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;

	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("linked.staging");
	CLEANUP(file_close) int base = open_dir("one");
	assert_done(unpack_begin(staging, manifest, base, manifest, UNPACK_HARDLINK, &unpack, &error));
	assert_done(unpack_finish(unpack, &error));
	assert_int_equal(stat("one/bin/server", &running), 0);
	assert_int_equal(stat("linked.staging/tree/bin/server", &staged), 0);
	assert_int_equal(running.st_ino, staged.st_ino);
}

/* What the running product changed under its own feet is not taken, and its own file is not written through a shared
 * name. */
static void damaged_base(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;

	make_product("torn-old", "one");
	CLEANUP(bundle_free) struct bundle *old_bundle = NULL;
	CLEANUP(manifest_free) struct manifest *old = load("one.bundle", &old_bundle);
	CLEANUP(manifest_free) struct manifest *new = load("two.bundle", &bundle);
	int fd = open("torn-old/bin/server", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "damage", 6, 1000), 6);
	close(fd);
	CLEANUP(buffer_free) struct buffer before = get_bytes("torn-old/bin/server");
	CLEANUP(file_close) int staging = staging_directory("torn.staging");
	CLEANUP(file_close) int base = open_dir("torn-old");
	assert_done(unpack_begin(staging, new, base, old, UNPACK_HARDLINK, &unpack, &error));
	assert_int_equal(give_all(unpack, bundle, new), new->blob_count);
	assert_done(unpack_finish(unpack, &error));
	verify("torn.staging/tree", new);
	CLEANUP(buffer_free) struct buffer after = get_bytes("torn-old/bin/server");
	assert_int_equal(before.size, after.size);
	assert_memory_equal(before.data, after.data, before.size);
}

/* Somebody put links where staging writes. */
static void links_in_staging(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;

	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("bent.staging");
	put_text("outside/server", "mine");
	put_text("outside/b.txt", "mine");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_int_equal(rmdir("bent.staging/tree/bin"), 0);
	assert_int_equal(symlink("../../outside", "bent.staging/tree/bin"), 0);
	assert_int_equal(symlink("../../../outside/b.txt", "bent.staging/tree/lib/b.txt"), 0);
	for (size_t i = 0; i < manifest->blob_count; i++)
		(void)give_blob(unpack, bundle, manifest, i, &error);
	assert_refused(unpack_finish(unpack, &error), "incomplete");
	CLEANUP(buffer_free) struct buffer server = get_bytes("outside/server");
	CLEANUP(buffer_free) struct buffer text = get_bytes("outside/b.txt");
	assert_string_equal((char *)server.data, "mine");
	assert_string_equal((char *)text.data, "mine");
	unpack_free(&unpack);
	/* The next try clears them away. */
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	give_all(unpack, bundle, manifest);
	assert_done(unpack_finish(unpack, &error));
	verify("bent.staging/tree", manifest);
}

/* Where foreign bytes are parsed: under the filter that the hook's check process has, every way of sharing included. */
static void sandboxed(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(bundle_free) struct bundle *old_bundle = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *old = load("one.bundle", &old_bundle);
	CLEANUP(manifest_free) struct manifest *new = load("two.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("boxed.staging");
	CLEANUP(file_close) int base = open_dir("one");

	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct unpack *unpack = NULL;
		size_t index = 0;
		int result = sandbox_enter(SANDBOX_FILES, "unpack", &error);
		for (int share = UNPACK_AUTO; result == 0 && share <= UNPACK_COPY; share++) {
			result = unpack_begin(staging, new, base, old, (enum unpack_share)share, &unpack, &error);
			while (result == 0 && unpack_next_blob(unpack, &index))
				result = give_blob(unpack, bundle, new, index, &error);
			if (result == 0)
				result = unpack_finish(unpack, &error);
			unpack_free(&unpack);
			if (result == 0)
				result = file_remove_tree_at(staging, "progress", &error);
		}
		if (result < 0)
			fprintf(stderr, "%s: %s\n", error.name, error.text);
		_exit(result < 0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	verify("boxed.staging/tree", new);
}

struct crew {
	struct unpack *unpack;
	const struct manifest *manifest;
	const char *path;
};

static void *work(void *context)
{
	const struct crew *crew = context;
	struct error error;
	struct bundle *bundle = NULL;
	size_t index = 0;
	if (bundle_open(crew->path, &bundle, &error) < 0)
		return context;
	while (unpack_next_blob(crew->unpack, &index)) {
		CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
		char name[80] = "blobs/";
		hash_to_hex(crew->manifest->blobs[index].hash, HASH_SIZE, name + 6);
		if (bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, &bytes, &error) < 0 ||
		    unpack_blob(crew->unpack, index, bytes.data, bytes.size, &error) < 0) {
			bundle_free(&bundle);
			return context;
		}
		(void)unpack_progress(crew->unpack);
	}
	bundle_free(&bundle);
	return NULL;
}

static void on_every_core(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("crew.staging");
	pthread_t threads[4];
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	struct crew crew = {unpack, manifest, "one.bundle"};
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &crew), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed = &crew;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_done(unpack_finish(unpack, &error));
	verify("crew.staging/tree", manifest);
}

/* A pool unpacks what it is given, says which blob was wrong whenever that was found, and unpacks nothing after it. */
static void by_a_pool(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(unpack_free) struct unpack *second = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("pool.staging");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_done(unpack_bundle(unpack, bundle, manifest, &error));
	assert_done(unpack_finish(unpack, &error));
	assert_done(unpack_sync(unpack, &error));
	verify("pool.staging/tree", manifest);

	CLEANUP(file_close) int other = staging_directory("pool.second");
	CLEANUP(unpack_pool_free) struct unpack_pool *pool = NULL;
	assert_done(unpack_begin(other, manifest, -1, NULL, UNPACK_AUTO, &second, &error));
	assert_done(unpack_pool_new(second, &pool, &error));
	size_t index = 0, given = 0;
	int result = 0;
	while (unpack_next_blob(second, &index)) {
		CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
		stored_blob(bundle, manifest, index, &bytes);
		bytes.data[bytes.size / 2] ^= given == 0;
		int now = unpack_pool_give(pool, index, &bytes, &error);
		assert_int_equal(bytes.size, 0);
		result = result < 0 ? result : now;
		given++;
	}
	assert_true(given > 2);
	assert_refused(unpack_pool_drain(pool, &error), "hash");
	assert_true(unpack_progress(second).blobs_done < given);
	assert_refused(unpack_finish(second, &error), "incomplete");
	unpack_pool_free(&pool);
	/* With the bytes that were meant it goes on. */
	for (size_t i = 0; i < manifest->blob_count; i++)
		assert_done(give_blob(second, bundle, manifest, i, &error));
	assert_done(unpack_finish(second, &error));
	verify("pool.second/tree", manifest);
	assert_true(result == 0 || result == -ERROR_DATA);
}

static void given_back(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	size_t first = 9, second = 9;

	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = load("one.bundle", &bundle);
	CLEANUP(file_close) int staging = staging_directory("back.staging");
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_AUTO, &unpack, &error));
	assert_true(unpack_next_blob(unpack, &first));
	assert_true(unpack_next_blob(unpack, &second));
	assert_int_not_equal(first, second);
	unpack_give_back(unpack, first);
	assert_true(unpack_next_blob(unpack, &second));
	assert_int_equal(first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_release),
		cmocka_unit_test(damaged_blobs),
		cmocka_unit_test(lying_manifest),
		cmocka_unit_test(resumed),
		cmocka_unit_test(another_release_staged),
		cmocka_unit_test(unchanged_from_base),
		cmocka_unit_test(hard_links_are_shared),
		cmocka_unit_test(damaged_base),
		cmocka_unit_test(links_in_staging),
		cmocka_unit_test(given_back),
		cmocka_unit_test(on_every_core),
		cmocka_unit_test(by_a_pool),
		cmocka_unit_test(sandboxed),
	};
	return cmocka_run_group_tests_name("unpack", tests, start, fixture_end);
}

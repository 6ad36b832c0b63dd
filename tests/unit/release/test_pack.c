#include "fixture.h"

#include <sys/wait.h>
#include <time.h>

/* A program of the system, for archives as others make them. */
static void run_command(const char *command)
{
	int status = system(command); /* NOLINT: fixed strings */
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int try_pack(const char *input, const char *output, struct error *error)
{
	struct pack_options options = {.input = input, .output = output, .product = "probe", .version = "1"};
	return pack_run(&options, NULL, error);
}

static void put_several(const char *tree, bool backwards)
{
	static const char *const names[] = {"bin/tool", "lib/a.js", "lib/b.js", "lib/sub/a.js", "readme.md", "empty"};
	char path[512];
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *name = names[backwards ? ARRAY_SIZE(names) - 1 - i : i];
		snprintf(path, sizeof(path), "%s/%s", tree, name);
		put_text(path, strcmp(name, "empty") == 0 ? "" : name);
	}
	snprintf(path, sizeof(path), "%s/bin/tool", tree);
	chmod(path, 0755);
	snprintf(path, sizeof(path), "%s/current", tree);
	assert_int_equal(symlink("lib/sub", path), 0);
}

static void same_bytes(void **state)
{
	(void)state;
	const struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 67890}};
	put_several("one", false);
	put_several("two", true);
	assert_int_equal(utimensat(AT_FDCWD, "two/lib/a.js", times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, "two/lib", times, 0), 0);
	assert_int_equal(chmod("two/lib/a.js", 0600), 0);
	assert_int_equal(chmod("two/lib", 0700), 0);
	assert_int_equal(chmod("two/bin/tool", 0711), 0);
	if (geteuid() == 0)
		assert_int_equal(lchown("two/readme.md", 1234, 4321), 0);
	manifest_free(&(struct manifest *){pack_tree("one", "1", "one.bundle")});
	manifest_free(&(struct manifest *){pack_tree("two/", "1", "two.bundle")});
	assert_true(same_files("one.bundle", "two.bundle"));
	/* And as archives, in other orders, with and without directories. */
	run_command("tar -C one -cf one.tar . && tar -C two -czf two.tgz readme.md lib current empty bin && "
		    "tar -C two -cf files.tar $(cd two && find . -type f -o -type l | sort -r)");
	static const char *const archives[] = {"one.tar", "two.tgz", "files.tar"};
	for (size_t i = 0; i < ARRAY_SIZE(archives); i++) {
		manifest_free(&(struct manifest *){pack_tree(archives[i], "1", "archive.bundle")});
		assert_true(same_files("one.bundle", "archive.bundle"));
	}
	/* The archive's own times follow SOURCE_DATE_EPOCH and nothing else. */
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	manifest_free(&(struct manifest *){pack_tree("one", "1", "dated.bundle")});
	manifest_free(&(struct manifest *){pack_tree("two", "1", "dated2.bundle")});
	unsetenv("SOURCE_DATE_EPOCH");
	assert_true(same_files("dated.bundle", "dated2.bundle"));
	assert_false(same_files("one.bundle", "dated.bundle"));
}

static void distinct_contents_once(void **state)
{
	(void)state;
	put_noise("twice/a.bin", 300000, 7);
	put_noise("twice/copy/b.bin", 300000, 7);
	put_noise("twice/z.bin", 1000, 8);
	CLEANUP(manifest_free) struct manifest *manifest = pack_tree("twice", "1", "twice.bundle");
	assert_int_equal(manifest->content_count, 2);
	assert_int_equal(manifest->blobs[0].plain, 301000);
	/* A blob of nothing but zeros comes many times and is stored once. */
	CLEANUP(free_pointer) uint8_t *zeros = calloc(1, 17 * 1024 * 1024);
	put_bytes("zeros/disk", zeros, 17 * 1024 * 1024, 0644);
	CLEANUP(manifest_free) struct manifest *sparse = pack_tree("zeros", "1", "zeros.bundle");
	assert_int_equal(sparse->blob_count, 5);
	assert_true(hash_equal(sparse->blobs[0].hash, sparse->blobs[1].hash));
	struct stat status;
	assert_int_equal(stat("zeros.bundle", &status), 0);
	assert_true(status.st_size < 30000);
}

static void order_by_likeness(void **state)
{
	(void)state;
	struct error error;
	put_text("likeness/a.js", "a.js");
	put_text("likeness/b.css", "b.css");
	put_text("likeness/x/a.js", "x/a.js");
	put_text("likeness/c.js", "c.js");
	put_text("likeness/Makefile", "Makefile");
	CLEANUP(manifest_free) struct manifest *manifest = pack_tree("likeness", "1", "likeness.bundle");
	static const char *const order[] = {"Makefile", "b.css", "a.js", "x/a.js", "c.js"};
	assert_done(manifest->content_count == ARRAY_SIZE(order) ? 0 : error_set(&error, ERROR_BUG, "count", "count"));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_string_equal(manifest_file(manifest, &manifest->contents[i], 0)->path, order[i]);
}

static void count_blob(void *context, size_t done, size_t count)
{
	(void)done, (void)count;
	*(int *)context += 1;
}

/* What leads outside is told before anything was compressed. */
static void refused_early(void **state)
{
	(void)state;
	struct error error;
	int compressed = 0;
	struct pack_options options = {.input = "early",
				       .output = "x.bundle",
				       .product = "probe",
				       .version = "1",
				       .progress = count_blob,
				       .context = &compressed};
	put_noise("early/large", 10 * 1024 * 1024, 9);
	assert_int_equal(symlink("/etc/passwd", "early/link"), 0);
	assert_refused(pack_run(&options, NULL, &error), "manifest");
	assert_int_equal(compressed, 0);
	assert_int_equal(unlink("early/link"), 0);
	assert_done(pack_run(&options, NULL, &error));
	assert_true(compressed > 0);
	assert_int_equal(unlink("x.bundle"), 0);
}

static void refused_inputs(void **state)
{
	(void)state;
	struct error error;
	assert_refused(try_pack("nowhere", "x.bundle", &error), "missing");
	assert_int_equal(mkdir("nothing", 0755), 0);
	assert_refused(try_pack("nothing", "x.bundle", &error), "empty");
	put_text("fifo/file", "x");
	assert_int_equal(mkfifo("fifo/pipe", 0644), 0);
	assert_refused(try_pack("fifo", "x.bundle", &error), "type");
	put_text("setuid/file", "x");
	assert_int_equal(chmod("setuid/file", 04755), 0);
	assert_refused(try_pack("setuid", "x.bundle", &error), "set-id");
	put_text("outward/file", "x");
	assert_int_equal(symlink("../../etc/passwd", "outward/link"), 0);
	assert_refused(try_pack("outward", "x.bundle", &error), "manifest");
	put_text("control/fi\nle", "x");
	assert_refused(try_pack("control", "x.bundle", &error), "path");
	put_text("text.txt", "this is no archive");
	assert_refused(try_pack("text.txt", "x.bundle", &error), "archive");
	run_command("mkdir up && touch up/file && tar -C up -cf up.tar --transform 's,^,../,' file && "
		    "tar -C up -cPf root.tar --transform 's,^,/tmp/,' file && "
		    "tar -C up -cf double.tar file && tar -C up -rf double.tar file && "
		    "head -c 700 double.tar > cut.tar");
	assert_refused(try_pack("up.tar", "x.bundle", &error), "path");
	assert_refused(try_pack("root.tar", "x.bundle", &error), "path");
	assert_refused(try_pack("double.tar", "x.bundle", &error), "manifest");
	assert_int_not_equal(access("x.bundle", F_OK), 0);
	put_text("good/file", "x");
	assert_int_not_equal(try_pack("good", "no/such/directory/x.bundle", &error), 0);
	assert_int_equal(error.code, ERROR_CANNOT_CREATE);
}

static void hard_links_become_copies(void **state)
{
	(void)state;
	put_text("hard/a", "content");
	assert_int_equal(link("hard/a", "hard/b"), 0);
	run_command("tar -C hard -cf hard.tar a b");
	CLEANUP(manifest_free) struct manifest *tree = pack_tree("hard", "1", "hard.bundle");
	CLEANUP(manifest_free) struct manifest *archive = pack_tree("hard.tar", "1", "hard2.bundle");
	assert_int_equal(tree->entry_count, 2);
	assert_int_equal(archive->entry_count, 2);
	assert_true(same_files("hard.bundle", "hard2.bundle"));
}

/* Well formed, of a known format, with what that format asks of every document; bound to the manifest by its hash. */
static void bills_of_materials(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{"{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"version\":1}", true},
		{"{\"spdxVersion\":\"SPDX-2.3\",\"SPDXID\":\"SPDXRef-DOCUMENT\",\"name\":\"probe\"}", true},
		{"{\"@context\":\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\",\"@graph\":[]}", true},
		{"", false},
		{"{", false},
		{"[]", false},
		{"{}", false},
		{"null", false},
		{"{\"bomFormat\":\"CycloneDX\"}", false},
		{"{\"bomFormat\":\"CycloneDY\",\"specVersion\":\"1.6\"}", false},
		{"{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\"} more", false},
		{"{\"bomFormat\":\"CycloneDX\",\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\"}", false},
		{"{\"spdxVersion\":\"SPDX-2.3\",\"name\":\"probe\"}", false},
		{"{\"spdxVersion\":\"SPDX-2.3\",\"SPDXID\":\"SPDXRef-DOCUMENT\"}", false},
		{"{\"@context\":\"x\"}", false},
		{"SPDXVersion: SPDX-2.3\n", false},
	};
	struct error error;

	(void)state;
	put_text("bill/file", "x");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(manifest_free) struct manifest *manifest = NULL;
		struct pack_options options = {.input = "bill",
					       .output = "bill.bundle",
					       .product = "probe",
					       .version = "1",
					       .sbom = "bill.json"};
		uint8_t hash[HASH_SIZE];

		put_text("bill.json", cases[i].text);
		if (!cases[i].good) {
			assert_refused(pack_run(&options, &manifest, &error), "sbom");
			assert_int_equal(error.code, ERROR_DATA);
			continue;
		}
		assert_done(pack_run(&options, &manifest, &error));
		hash_bytes(HASH_BLAKE2B, cases[i].text, strlen(cases[i].text), hash);
		assert_true(manifest->has_sbom && hash_equal(manifest->sbom, hash));
	}
}

static void hooks_and_documents(void **state)
{
	(void)state;
	struct error error;
	put_text("with/file", "x");
	put_bytes("hooks/preflight", "#!/bin/sh\n", 10, 0755);
	put_text("notes.txt", "what is new\n");
	put_text("sbom.json", "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"score\":1.5}");
	put_text("bad.json", "{\"name\":\"x\"}");
	struct pack_options options = {.input = "with",
				       .output = "with.bundle",
				       .product = "probe",
				       .version = "1",
				       .hooks = "hooks",
				       .notes = "notes.txt",
				       .sbom = "sbom.json",
				       .security = true,
				       .min_from = "0.9",
				       .apply_seconds = 77};
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	assert_done(pack_run(&options, NULL, &error));
	assert_done(bundle_open("with.bundle", &bundle, &error));
	assert_done(manifest_parse(bundle_manifest(bundle)->data, bundle_manifest(bundle)->size, &manifest, &error));
	assert_non_null(manifest_find(manifest, MANIFEST_HOOKS, "preflight"));
	assert_string_equal(manifest->notes, "what is new\n");
	assert_string_equal(manifest->min_from, "0.9");
	assert_true(manifest->security && manifest->has_sbom);
	assert_int_equal(manifest->apply_seconds, 77);
	assert_true(bundle_has(bundle, "sbom.json"));
	options.sbom = "bad.json";
	assert_refused(pack_run(&options, NULL, &error), "sbom");
	options.sbom = NULL;
	put_bytes("hooks/extra", "#!/bin/sh\n", 10, 0755);
	assert_refused(pack_run(&options, NULL, &error), "hook");
	unlink("hooks/extra");
	chmod("hooks/preflight", 0644);
	assert_refused(pack_run(&options, NULL, &error), "hook");
	options.hooks = NULL;
	options.version = "../1";
	assert_refused(pack_run(&options, NULL, &error), "name");
	assert_int_equal(error.code, ERROR_USAGE);
}

static void make_bundle(const char *const *names, size_t count, const char *path)
{
	struct error error;
	CLEANUP(bundle_writer_free) struct bundle_writer *writer = NULL;
	assert_done(bundle_create(path, &writer, &error));
	for (size_t i = 0; i < count; i++)
		assert_done(bundle_add(writer, names[i], names[i], strlen(names[i]), &error));
	assert_done(bundle_close(writer, &error));
}

static int try_open(const char *path, struct error *error)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	return bundle_open(path, &bundle, error);
}

static void bundles(void **state)
{
	(void)state;
	static const char *const good[] = {"manifest.json", "blobs/x", "metadata/1.root.json"};
	static const char *const twice[] = {"manifest.json", "blobs/x", "blobs/x"};
	static const char *const late[] = {"blobs/x", "manifest.json"};
	struct error error;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);

	make_bundle(good, 3, "good.bundle");
	assert_done(bundle_open("good.bundle", &bundle, &error));
	/* In any order, again and again. */
	assert_done(bundle_read(bundle, "metadata/1.root.json", 100, &bytes, &error));
	assert_done(bundle_read(bundle, "blobs/x", 100, &bytes, &error));
	assert_done(bundle_read(bundle, "metadata/1.root.json", 20, &bytes, &error));
	assert_string_equal((char *)bytes.data, "metadata/1.root.jsonblobs/xmetadata/1.root.json");
	assert_refused(bundle_read(bundle, "metadata/1.root.json", 19, &bytes, &error), "length");
	assert_refused(bundle_read(bundle, "blobs/y", 100, &bytes, &error), "missing");
	assert_string_equal((char *)bundle_manifest(bundle)->data, "manifest.json");
	run_command("bsdtar tf good.bundle > listed && printf 'manifest.json\\nblobs/x\\nmetadata/1.root.json\\n' | "
		    "cmp - listed");

	make_bundle(twice, 3, "twice.bundle");
	assert_refused(try_open("twice.bundle", &error), "format");
	make_bundle(late, 2, "late.bundle");
	assert_refused(try_open("late.bundle", &error), "format");
	run_command("echo '{}' > manifest.json; ln -sf manifest.json link; tar cf linked.bundle manifest.json link; "
		    "tar cPf up.bundle manifest.json --transform 's,link,../up,' link; tar czf packed.bundle "
		    "manifest.json");
	assert_refused(try_open("linked.bundle", &error), "format");
	assert_refused(try_open("up.bundle", &error), "format");
	assert_refused(try_open("packed.bundle", &error), "format");
	assert_refused(try_open("nowhere.bundle", &error), "missing");
	assert_int_equal(truncate("good.bundle", 1500), 0);
	assert_int_not_equal(try_open("good.bundle", &error), 0);

	/* What was begun and not closed leaves nothing. */
	struct bundle_writer *writer = NULL;
	assert_done(bundle_create("begun.bundle", &writer, &error));
	assert_done(bundle_add(writer, "manifest.json", "x", 1, &error));
	bundle_writer_free(&writer);
	run_command("! ls | grep -q begun");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_bytes),
		cmocka_unit_test(distinct_contents_once),
		cmocka_unit_test(order_by_likeness),
		cmocka_unit_test(refused_inputs),
		cmocka_unit_test(refused_early),
		cmocka_unit_test(hard_links_become_copies),
		cmocka_unit_test(hooks_and_documents),
		cmocka_unit_test(bills_of_materials),
		cmocka_unit_test(bundles),
	};
	return cmocka_run_group_tests_name("pack", tests, fixture_start, fixture_end);
}

/* The memory of a staging is the same however many cores the machine says it has: this one says 64. */
#include "fixture.h"

#include <sched.h>
#include <sys/wait.h>

#include "base/crew.h"
#include "release/unpack_pool.h"

#define MIB   ((size_t)1024 * 1024)
#define CORES 64
#define FILES 12
#define LARGE (7 * MIB) /* a file, and about a blob */
/* Two blobs at a time, and a little. What they are stored as is next to nothing here. */
#define STAGING_MOST (2 * (size_t)MANIFEST_BLOB_PLAIN_MOST + MIB)

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *ret_set);

int __wrap_sched_getaffinity(pid_t pid UNUSED, size_t size UNUSED, cpu_set_t *ret_set)
{
	CPU_ZERO(ret_set);
	for (size_t i = 0; i < CORES; i++)
		CPU_SET(i, ret_set);
	return 0;
}

/* The same 4 KiB again and again, others in each file: packed in no time. */
static int start(void **state)
{
	CLEANUP(free_pointer) uint8_t *bytes = malloc(LARGE);
	char path[64];

	if (fixture_start(state) != 0 || bytes == NULL)
		return -1;
	for (size_t file = 0; file < FILES; file++) {
		for (size_t i = 0; i < LARGE; i++)
			bytes[i] = (uint8_t)((i % 4096 * 2654435761u + file * 40503u) >> 7);
		snprintf(path, sizeof(path), "tree/file-%zu", file);
		put_bytes(path, bytes, LARGE, 0644);
	}
	manifest_free(&(struct manifest *){pack_tree("tree", "1", "1.bundle")});
	return 0;
}

static size_t memory_of(const char *row)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64 * 1024);
	struct error error;

	assert_done(file_read_at(AT_FDCWD, "/proc/self/status", &text, &error));
	assert_done(buffer_append(&text, "", 1, &error));
	const char *line = strstr((const char *)text.data, row);
	assert_non_null(line);
	return (size_t)strtoull(line + strlen(row), NULL, 10) * 1024;
}

/* VmHWM begins at what is held now (proc(5), clear_refs). */
static void reset_most(void)
{
	CLEANUP(file_close) int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0 && write(fd, "5", 1) == 1);
}

static void stage(void)
{
	struct error error;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(file_close) int staging = open_dir("staging");

	assert_done(bundle_open("1.bundle", &bundle, &error));
	const struct buffer *bytes = bundle_manifest(bundle);
	assert_done(manifest_parse(bytes->data, bytes->size, &manifest, &error));
	assert_true(manifest->blob_count >= 10);
	assert_done(unpack_begin(staging, manifest, -1, NULL, UNPACK_COPY, &unpack, &error));
	assert_done(unpack_bundle(unpack, bundle, manifest, &error));
	assert_done(unpack_finish(unpack, &error));
}

/* In a process of its own, which remembers nothing of the packing. */
static void staging_is_bounded(void **state)
{
	(void)state;
	size_t taken = 0;
	int ends[2];

	assert_int_equal(crew_size(CREW_MOST), CREW_MOST);
	assert_int_equal(mkdir("staging", 0755), 0);
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		reset_most();
		size_t before = memory_of("VmRSS:");
		stage();
		taken = memory_of("VmHWM:") - before;
		_exit(write(ends[1], &taken, sizeof(taken)) == sizeof(taken) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &taken, sizeof(taken)), sizeof(taken));
	close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	print_message("%zu KiB taken\n", taken / 1024);
	assert_in_range(taken, LARGE, STAGING_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(staging_is_bounded)};
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: release/memory (sanitized memory is another)\n");
	return 77;
#endif
	return cmocka_run_group_tests_name("memory", tests, start, fixture_end);
}

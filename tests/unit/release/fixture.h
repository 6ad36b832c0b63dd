/* A directory of its own for each test program, and files in it. */
#ifndef TEST_RELEASE_FIXTURE_H
#define TEST_RELEASE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "release/bundle.h"
#include "release/pack.h"

static char fixture_directory[64];

static UNUSED int fixture_start(void **state)
{
	(void)state;
	struct error error;
	umask(022);
	strcpy(fixture_directory, "/tmp/nightshift-release-XXXXXX");
	return secret_start(&error) == 0 && mkdtemp(fixture_directory) != NULL && chdir(fixture_directory) == 0 ? 0
														: -1;
}

static UNUSED int fixture_end(void **state)
{
	(void)state;
	struct error error;
	return chdir("/") == 0 && file_remove_tree_at(AT_FDCWD, fixture_directory, &error) == 0 ? 0 : -1;
}

/* Fails the test with the sentence. */
#define assert_done(call)                                                                                              \
	do {                                                                                                           \
		struct error *fixture_error_ = &error;                                                                 \
		if ((call) < 0)                                                                                        \
			fail_msg("%s: %s (%s)", #call, fixture_error_->text, fixture_error_->name);                    \
	} while (0)
#define assert_refused(call, why)                                                                                      \
	do {                                                                                                           \
		memset(&error, 0, sizeof(error));                                                                      \
		if ((call) == 0)                                                                                       \
			fail_msg("%s was not refused", #call);                                                         \
		if (strcmp(error.name, (why)) != 0)                                                                    \
			fail_msg("%s: refused as %s (%s), not as %s", #call, error.name, error.text, (why));           \
	} while (0)

static UNUSED void put_bytes(const char *path, const void *bytes, size_t size, mode_t mode)
{
	char copy[4096];
	struct error error;
	snprintf(copy, sizeof(copy), "%s", path);
	char *slash = strrchr(copy, '/');
	if (slash != NULL) {
		*slash = '\0';
		assert_done(file_make_directories(copy, 0755, &error));
	}
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_done(file_write_fd(fd, path, bytes, size, &error));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static UNUSED void put_text(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text), 0644);
}

/* Bytes without a pattern in the first 64 KiB, which then repeat with a count in front: no two stretches are equal, and
 * level 19 is through in no time. The same for the same seed. */
static UNUSED void put_noise(const char *path, size_t size, uint64_t seed)
{
	enum { TILE = 64 * 1024 };
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes[i] = i < TILE ? (uint8_t)(seed >> 56) : bytes[i - TILE];
	}
	for (size_t i = 0; i + sizeof(i) <= size; i += TILE)
		memcpy(bytes + i, &i, sizeof(i));
	put_bytes(path, bytes, size, 0644);
	free(bytes);
}

static UNUSED int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static UNUSED struct buffer get_bytes(const char *path)
{
	struct buffer bytes = BUFFER_INIT(0);
	struct error error;
	assert_done(file_read_at(AT_FDCWD, path, &bytes, &error));
	return bytes;
}

static UNUSED bool same_files(const char *a, const char *b)
{
	CLEANUP(buffer_free) struct buffer x = get_bytes(a);
	CLEANUP(buffer_free) struct buffer y = get_bytes(b);
	return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

static UNUSED struct manifest *pack_tree(const char *tree, const char *version, const char *output)
{
	struct manifest *manifest = NULL;
	struct error error;
	struct pack_options options = {.input = tree, .output = output, .product = "probe", .version = version};
	assert_done(pack_run(&options, &manifest, &error));
	return manifest;
}

#endif

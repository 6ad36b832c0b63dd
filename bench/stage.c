/* Builds a release's tree as the hook does, for bench/delta: stage STAGING BASE OLD.bundle NEW.bundle [DELTA]. Without
 * a delta from the new bundle's blobs alone. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "release/bundle.h"
#include "release/delta.h"
#include "release/unpack_pool.h"

static int open_release(const char *path, struct bundle **ret_bundle, struct manifest **ret_manifest,
			struct error *error)
{
	int result = bundle_open(path, ret_bundle, error);
	if (result < 0)
		return result;
	const struct buffer *bytes = bundle_manifest(*ret_bundle);
	return manifest_parse(bytes->data, bytes->size, ret_manifest, error);
}

static int take_delta(struct unpack *unpack, const char *path, const struct manifest *const manifests[2], int base,
		      struct error *error)
{
	CLEANUP(delta_free) struct delta *delta = NULL;
	CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct unpack_made made;
	uint8_t hash[HASH_SIZE];

	/* As the hook does before it believes a byte. */
	int result = hash_file(HASH_SHA256, fd, path, hash, NULL, error);
	if (result == 0)
		result = delta_open(fd, manifests[0], manifests[1], &delta, error);
	if (result == 0)
		result = unpack_delta(unpack, delta, base, &made, error);
	if (result == 0)
		printf("%zu made, %zu missed\n", made.contents, made.missed);
	return result;
}

static int stage(char **words, const char *delta, struct error *error)
{
	CLEANUP(bundle_free) struct bundle *old_bundle = NULL;
	CLEANUP(bundle_free) struct bundle *new_bundle = NULL;
	CLEANUP(manifest_free) struct manifest *old = NULL;
	CLEANUP(manifest_free) struct manifest *new = NULL;
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	CLEANUP(file_close) int staging = -1;
	CLEANUP(file_close) int base = -1;

	int result = secret_start(error);
	if (result == 0)
		result = file_open_directory(words[0], &staging, error);
	if (result == 0)
		result = file_open_directory(words[1], &base, error);
	if (result == 0)
		result = open_release(words[2], &old_bundle, &old, error);
	if (result == 0)
		result = open_release(words[3], &new_bundle, &new, error);
	const struct manifest *const manifests[2] = {old, new};
	if (result == 0)
		result = unpack_begin(staging, new, delta != NULL ? base : -1, delta != NULL ? old : NULL, UNPACK_AUTO,
				      &unpack, error);
	if (result == 0 && delta != NULL)
		result = take_delta(unpack, delta, manifests, base, error);
	if (result == 0)
		result = unpack_bundle(unpack, new_bundle, new, error);
	if (result == 0)
		result = unpack_finish(unpack, error);
	return result == 0 ? unpack_sync(unpack, error) : result;
}

int main(int argc, char **argv)
{
	struct error error;
	if (argc != 5 && argc != 6) {
		fprintf(stderr, "stage STAGING BASE OLD.bundle NEW.bundle [DELTA]\n");
		return ERROR_USAGE;
	}
	if (stage(argv + 1, argc == 6 ? argv[5] : NULL, &error) == 0)
		return 0;
	fprintf(stderr, "%s\n", error.text);
	return (int)error.code;
}

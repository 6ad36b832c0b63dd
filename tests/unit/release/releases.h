/* Two packed releases, and the way from one to the other as an appliance goes it. */
#ifndef TEST_RELEASE_RELEASES_H
#define TEST_RELEASE_RELEASES_H

#include "fixture.h"

#include "release/delta.h"
#include "release/unpack.h"

struct releases {
	struct bundle *bundles[2];
	struct manifest *manifests[2];
};

static UNUSED void releases_end(struct releases *releases)
{
	for (int i = 0; i < 2; i++) {
		bundle_free(&releases->bundles[i]);
		manifest_free(&releases->manifests[i]);
	}
}

static UNUSED struct releases releases_load(const char *old, const char *new)
{
	const char *const paths[] = {old, new};
	struct releases releases = {0};
	struct error error;
	for (int i = 0; i < 2; i++) {
		assert_done(bundle_open(paths[i], &releases.bundles[i], &error));
		const struct buffer *bytes = bundle_manifest(releases.bundles[i]);
		assert_done(manifest_parse(bytes->data, bytes->size, &releases.manifests[i], &error));
	}
	return releases;
}

/* Builds the new release in `staging` over `base`: the delta first (NULL: none), blobs for the rest. Returns how many
 * of these were needed. */
static UNUSED size_t releases_build(const struct releases *releases, const char *staging, const char *base,
				    const char *delta_path, struct unpack_made *ret_made)
{
	struct error error;
	struct unpack *unpack = NULL;
	size_t index = 0, blobs = 0;
	CLEANUP(delta_free) struct delta *delta = NULL;
	CLEANUP(file_close) int fd = delta_path != NULL ? open(delta_path, O_RDONLY | O_CLOEXEC) : -1;
	assert_int_equal(mkdir(staging, 0755), 0);
	CLEANUP(file_close) int directory = open_dir(staging);
	CLEANUP(file_close) int base_fd = open_dir(base);

	memset(ret_made, 0, sizeof(*ret_made));
	assert_done(unpack_begin(directory, releases->manifests[1], base_fd, releases->manifests[0], UNPACK_COPY,
				 &unpack, &error));
	if (fd >= 0 && delta_open(fd, releases->manifests[0], releases->manifests[1], &delta, &error) == 0)
		assert_done(unpack_delta(unpack, delta, base_fd, ret_made, &error));
	for (; unpack_next_blob(unpack, &index); blobs++) {
		CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
		char name[80] = "blobs/";
		hash_to_hex(releases->manifests[1]->blobs[index].hash, HASH_SIZE, name + 6);
		assert_done(bundle_read(releases->bundles[1], name, MANIFEST_BLOB_STORED_MOST, &bytes, &error));
		assert_done(unpack_blob(unpack, index, bytes.data, bytes.size, &error));
	}
	assert_done(unpack_finish(unpack, &error));
	unpack_free(&unpack);
	return blobs;
}

static UNUSED void run_command(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* What was built is that tree. It is removed. */
static UNUSED void releases_same(const char *tree, const char *staging)
{
	char command[256];
	snprintf(command, sizeof(command), "diff -r --no-dereference %s %s/tree 1>&2 && rm -rf %s", tree, staging,
		 staging);
	run_command(command);
}

/* Over a base of which `damaged` alone, which the delta draws on for one file, is not what it was: that file comes as a
 * blob. Returns how many contents the delta made. */
static UNUSED size_t releases_mend(const struct releases *releases, const char *base, const char *damaged,
				   const char *delta_path, const char *tree)
{
	struct unpack_made made;
	assert_true(releases_build(releases, "staging", base, delta_path, &made) > 0);
	assert_int_equal(made.missed, 1);
	assert_string_equal(made.damaged, damaged);
	releases_same(tree, "staging");
	return made.contents;
}

#endif

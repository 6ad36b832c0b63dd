/* Builds a release's tree as the hook does, for the benches: stage [seal] [hardlink] STAGING BASE OLD.bundle NEW.bundle
 * [DELTA]. What is unchanged comes from the old release's tree BASE ("-" and "-": there is none), then the delta, if
 * one is given, then the new bundle's blobs. Durable at its end. With the word `seal` in front the tree is taken and
 * hashed again before that, as act does it; with `hardlink` unchanged files are shared that way. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "release/bundle.h"
#include "release/delta.h"
#include "release/tree.h"
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

struct staged {
	struct bundle *bundles[2];
	struct manifest *manifests[2]; /* old, new */
	struct unpack *unpack;
	int staging, base;
};

static void end_staged(struct staged *staged)
{
	unpack_free(&staged->unpack);
	for (size_t i = 0; i < 2; i++) {
		manifest_free(&staged->manifests[i]);
		bundle_free(&staged->bundles[i]);
	}
	file_close(&staged->staging);
	file_close(&staged->base);
}

static int seal_tree(const struct staged *staged, struct error *error)
{
	CLEANUP(file_close) int tree = -1;
	int result = file_open_beneath(staged->staging, "tree", O_RDONLY | O_DIRECTORY, 0, &tree, error);
	return result == 0 ? tree_seal(tree, staged->manifests[1], MANIFEST_TREE, error) : result;
}

static int stage(char **words, size_t count, bool seal, enum unpack_share share, struct error *error)
{
	CLEANUP(end_staged) struct staged staged = {.staging = -1, .base = -1};

	int result = secret_start(error);
	if (result == 0)
		result = file_open_directory(words[0], &staged.staging, error);
	if (result == 0)
		result = open_release(words[3], &staged.bundles[1], &staged.manifests[1], error);
	if (result == 0 && strcmp(words[1], "-") != 0)
		result = file_open_directory(words[1], &staged.base, error);
	if (result == 0 && strcmp(words[2], "-") != 0)
		result = open_release(words[2], &staged.bundles[0], &staged.manifests[0], error);
	if (result == 0)
		result = unpack_begin(staged.staging, staged.manifests[1], staged.base, staged.manifests[0], share,
				      &staged.unpack, error);
	if (result == 0 && count > 4)
		result = take_delta(staged.unpack, words[4],
				    (const struct manifest *const[]){staged.manifests[0], staged.manifests[1]},
				    staged.base, error);
	if (result == 0)
		result = unpack_bundle(staged.unpack, staged.bundles[1], staged.manifests[1], error);
	if (result == 0)
		result = unpack_finish(staged.unpack, error);
	if (result == 0 && seal)
		result = seal_tree(&staged, error);
	return result == 0 ? unpack_sync(staged.unpack, error) : result;
}

/* Whether the word stands in front: it is taken. */
static bool take_word(const char *word, char ***words, size_t *count)
{
	bool stands = *count > 0 && strcmp(**words, word) == 0;
	*words += stands;
	*count -= stands;
	return stands;
}

int main(int argc, char **argv)
{
	struct error error;
	char **words = argv + 1;
	size_t count = (size_t)(argc - 1);
	bool seal = take_word("seal", &words, &count);
	enum unpack_share share = take_word("hardlink", &words, &count) ? UNPACK_HARDLINK : UNPACK_AUTO;
	if (count != 4 && count != 5) {
		fprintf(stderr, "stage [seal] [hardlink] STAGING BASE OLD.bundle NEW.bundle [DELTA]\n");
		return ERROR_USAGE;
	}
	if (stage(words, count, seal, share, &error) == 0)
		return 0;
	fprintf(stderr, "%s\n", error.text);
	return (int)error.code;
}

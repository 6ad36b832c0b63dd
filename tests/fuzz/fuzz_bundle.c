/* A bundle as it comes: opened, every blob that its manifest names read, verified and unpacked into a scratch tree that
 * is thrown away. Nothing may appear outside it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "release/bundle.h"
#include "release/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Blobs of a hostile manifest may be many; the first are enough. */
#define BLOBS_MOST 8

static void unpack_all(int staging, struct bundle *bundle, const struct manifest *manifest)
{
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	struct error error;
	size_t index = 0;

	if (unpack_begin(staging, manifest, -1, NULL, UNPACK_COPY, &unpack, &error) < 0)
		return;
	for (size_t count = 0; count < BLOBS_MOST && unpack_next_blob(unpack, &index); count++) {
		CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
		char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
		hash_to_hex(manifest->blobs[index].hash, HASH_SIZE, name + strlen(name));
		if (bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, &stored, &error) == 0)
			(void)!unpack_blob(unpack, index, stored.data, stored.size, &error);
	}
	(void)!unpack_finish(unpack, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(file_close) int memory = memfd_create("bundle", MFD_CLOEXEC);
	char path[64], scratch[] = "/tmp/nightshift-fuzz-XXXXXX";
	struct error error;

	if (memory < 0 || write(memory, data, size) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	if (bundle_open(path, &bundle, &error) < 0 ||
	    manifest_parse(bundle_manifest(bundle)->data, bundle_manifest(bundle)->size, &manifest, &error) < 0 ||
	    manifest->entry_count > 1000)
		return 0;
	CLEANUP(file_close) int staging = -1;
	if (mkdtemp(scratch) == NULL || file_open_directory(scratch, &staging, &error) < 0)
		return 0;
	unpack_all(staging, bundle, manifest);
	if (file_remove_tree_at(AT_FDCWD, scratch, &error) < 0)
		abort();
	return 0;
}

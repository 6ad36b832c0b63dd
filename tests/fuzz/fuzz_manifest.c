/* manifest.json as it comes: whatever is accepted is a closed set that writes itself and is read again the same. */
#include <stdlib.h>
#include <string.h>

#include "release/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(manifest_free) struct manifest *again = NULL;
	CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer second = BUFFER_INIT(0);
	struct error error;

	if (manifest_parse(data, size, &manifest, &error) < 0)
		return 0;
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest_find(manifest, manifest->entries[i].root, manifest->entries[i].path) !=
		    &manifest->entries[i])
			abort();
	if (manifest_write(manifest, &first, &error) < 0 ||
	    manifest_parse(first.data, first.size, &again, &error) < 0 || manifest_write(again, &second, &error) < 0)
		abort();
	if (first.size != second.size || memcmp(first.data, second.data, first.size) != 0)
		abort();
	return 0;
}

/* manifest.json as it comes: whatever is accepted is a closed set that writes itself and is read again the same, and
 * what is known by its words means the same to the parser. */
#include <stdlib.h>
#include <string.h>

#include "release/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same document with white space that manifest_write never has: no entry of it is known by its words, the parser
 * reads each. */
static void append_spaced(struct buffer *spaced, const uint8_t *data, size_t size)
{
	struct error error;
	bool inside = false;

	for (size_t i = 0; i < size; i++) {
		const bool escaped = inside && data[i] == '\\' && i + 1 < size;
		if (data[i] == '"')
			inside = !inside;
		if (buffer_append(spaced, data + i, 1 + escaped, &error) < 0 ||
		    (!inside && strchr("{[,", data[i]) != NULL && data[i] != 0 &&
		     buffer_append(spaced, " ", 1, &error) < 0))
			abort();
		i += escaped;
	}
}

static void write_again(const struct manifest *manifest, const struct buffer *first)
{
	CLEANUP(buffer_free) struct buffer second = BUFFER_INIT(0);
	struct error error;

	if (manifest_write(manifest, &second, &error) < 0 || first->size != second.size ||
	    memcmp(first->data, second.data, first->size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(manifest_free) struct manifest *again = NULL;
	CLEANUP(manifest_free) struct manifest *parsed = NULL;
	CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer spaced = BUFFER_INIT(0);
	struct error error;

	append_spaced(&spaced, data, size);
	int result = manifest_parse(data, size, &manifest, &error);
	if (result != manifest_parse(spaced.data, spaced.size, &parsed, &error))
		abort();
	if (result < 0)
		return 0;
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest_find(manifest, manifest->entries[i].root, manifest->entries[i].path) !=
		    &manifest->entries[i])
			abort();
	if (manifest_write(manifest, &first, &error) < 0 || manifest_parse(first.data, first.size, &again, &error) < 0)
		abort();
	write_again(again, &first);
	write_again(parsed, &first);
	return 0;
}

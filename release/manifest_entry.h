/* An entry of a manifest and its JSON. */
#ifndef RELEASE_MANIFEST_ENTRY_H
#define RELEASE_MANIFEST_ENTRY_H

#include "release/manifest.h"

/* The text of one member of "entries" → *ret_entry, whose texts are the manifest's. Which fields an entry has follows
 * from its type: exactly those. The rules that see other entries are rules_check's. ERROR_DATA "manifest", "format" or
 * "length". */
int manifest_entry_read(struct manifest *manifest, const char *text, size_t size, struct manifest_entry *ret_entry,
			struct error *error) MUST_CHECK;
/* NULL: a name is no UTF-8, or memory ended. The caller owns it. */
json_t *manifest_entry_value(const struct manifest_entry *entry);

#endif

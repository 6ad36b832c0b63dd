/* A bundle with its contents laid open in a temporary file, for making a delta. */
#ifndef RELEASE_DELTA_SOURCE_H
#define RELEASE_DELTA_SOURCE_H

#include "release/manifest.h"
#include "release/spool.h"

struct delta_source {
	struct manifest *manifest;
	struct buffer bytes; /* of the manifest */
	struct spool plain;  /* the content stream: content i lies at manifest->contents[i].offset */
};

/* Every blob's hash is compared. `beside`: where the temporary file goes. */
int delta_source_open(const char *bundle, const char *beside, struct delta_source *ret_source,
		      struct error *error) MUST_CHECK;
void delta_source_close(struct delta_source *source);

/* The content can be read from the tree of an appliance that runs this release. */
bool delta_source_in_tree(const struct manifest *manifest, const struct manifest_content *content);

#endif

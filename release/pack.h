/* Making a bundle from a tree or an archive. The same input under the same libzstd gives the same bytes, whatever its
 * times, owners and order in the directory. */
#ifndef RELEASE_PACK_H
#define RELEASE_PACK_H

#include "release/manifest.h"

#define PACK_SBOM_MOST   (64 * 1024 * 1024)
#define PACK_SBOM_MEMBER "sbom.json"

struct pack_options {
	const char *input;  /* directory or archive */
	const char *output; /* P-V.bundle */
	const char *product, *version;
	const char *min_from; /* NULL: from any version */
	const char *hooks;    /* directory; NULL: none */
	const char *notes;    /* file; NULL: none */
	const char *sbom;     /* file, SPDX or CycloneDX as JSON; NULL: none */
	bool security, stop, reboot, network, data_migration;
	int64_t apply_seconds, rollback_seconds;                    /* 0: estimated from the size */
	void (*progress)(void *context, size_t done, size_t count); /* blobs compressed; may be NULL */
	void *context;
};

/* *ret_manifest (may be NULL) is what was packed. */
int pack_run(const struct pack_options *options, struct manifest **ret_manifest, struct error *error) MUST_CHECK;

#endif

/* Verifying a repository or an offline bundle as an appliance would, from a root that one has on paper: chain,
 * manifests and every blob's hash. */
#ifndef RELEASE_VERIFY_H
#define RELEASE_VERIFY_H

#include "keys/trust.h"

/* `path` is a repository folder or a bundle that carries its chain (`export`). *ret_report: product, versions of the
 * roles, `timestamp` whether there was one, `releases` [{version, blobs, bytes}]. */
int verify_run(const char *path, const void *root, size_t root_size, json_t **ret_report,
	       struct error *error) MUST_CHECK;

#endif

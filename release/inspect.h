/* What a file of ours is: a bundle, a manifest, a signed envelope, a public or secret key, authority.json. Read with
 * the code that production reads it with, believed as far as `inspect` goes: structure, not signatures. */
#ifndef RELEASE_INSPECT_H
#define RELEASE_INSPECT_H

#include "base/jsonio.h"

/* *ret_report has `kind` and what there is to say. Never a secret. */
int inspect_file(const char *path, json_t **ret_report, struct error *error) MUST_CHECK;

#endif

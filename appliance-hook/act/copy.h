/* Whole directories copied as they stand: for snapshots of data, for what is set aside, and for a release's hooks. By
 * reflink (FICLONE) where the file system can, else by bytes, holes kept. Owner, mode, times and extended attributes go
 * along; hard links become copies; sockets are left out; device nodes are refused. No link is followed. */
#ifndef ACT_COPY_H
#define ACT_COPY_H

#include "base/file.h"

#define COPY_DEPTH_MOST 128

/* `parent`/`name` must not be there. Not durable until the caller syncs. A failed copy leaves what it made. */
int copy_tree(int from, int parent, const char *name, struct error *error) MUST_CHECK;

/* Bytes that a copy would take (4 KiB a file and directory besides), reading nothing but names. Fails with ERROR_DATA
 * "data" at what could not be copied. */
int copy_measure(int directory, uint64_t *ret_bytes, struct error *error) MUST_CHECK;

/* Whether a file below `from` can share its blocks with one below `to`. */
bool copy_can_reflink(int from, int to);

#endif

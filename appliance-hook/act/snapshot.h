/* Snapshots of the data directories, taken while the product stands still before a migration, and put back by a
 * rollback.
 *
 * STATE/PRODUCT/snapshots/ID/ has what was, STATE/PRODUCT/discarded/NAME/ (discarded.h) what a rollback took away: the
 * directories as 0, 1, …, and dirs.json, which says where each belongs. An ID is layout_id's. */
#ifndef ACT_SNAPSHOT_H
#define ACT_SNAPSHOT_H

#include "appliance-hook/act/layout.h"

/* Copies every [data] directory, durable when it returns 0. A leftover of an earlier try under the same id is removed
 * first. */
int snapshot_take(const struct layout *layout, const char *id, struct error *error) MUST_CHECK;

/* Puts the snapshot's directories in place and what stood there in discarded/`discard`. Asks at each directory what
 * stands, so that it may be called again after any interruption. The snapshot is used up. */
int snapshot_restore(const struct layout *layout, const char *id, const char *discard, struct error *error) MUST_CHECK;

bool snapshot_exists(const struct layout *layout, const char *id);
/* Removes all snapshots but `keep` (NULL or "": all). */
int snapshot_trim(const struct layout *layout, const char *keep, struct error *error) MUST_CHECK;

/* Bytes that a snapshot would take on STATE's file system, and whether each directory can be read and put back:
 * there, no symlink, no mount point. ERROR_DATA "data". */
int snapshot_need(const struct layout *layout, uint64_t *ret_bytes, struct error *error) MUST_CHECK;

#endif

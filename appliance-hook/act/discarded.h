/* STATE/PRODUCT/discarded/ID.START/: data that a version had written before it was gone back from, for people. The
 * newest `[data] discarded` of them stay. */
#ifndef ACT_DISCARDED_H
#define ACT_DISCARDED_H

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"

#define DISCARDED_NAME_SIZE (LAYOUT_ID_SIZE + 24)

/* An upgrade that is tried again keeps its id: what an earlier try set aside is another thing. */
void discarded_name(const struct journal_run *run, char ret_name[static DISCARDED_NAME_SIZE]);

/* Removes the oldest beyond the configured number, and never that of `last`. */
int discarded_trim(const struct layout *layout, const struct journal_run *last, struct error *error) MUST_CHECK;

#endif

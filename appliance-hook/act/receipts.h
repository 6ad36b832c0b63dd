/* STATE/PRODUCT/receipts/: what each upgrade and rollback did, from the journal, signed with the appliance's key when
 * it has joined (keys/receipt.h), otherwise an envelope without signatures: local. */
#ifndef ACT_RECEIPTS_H
#define ACT_RECEIPTS_H

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"

/* Writes the receipt of the run that ended last, unless it is there. Nothing for a run that is open, and for adopt. */
int receipts_ensure(const struct layout *layout, const struct journal_state *state, struct error *error) MUST_CHECK;
/* The envelope of that run; NULL without an error when there is none. Caller owns. */
int receipts_read(const struct layout *layout, const struct journal_run *run, json_t **ret_envelope,
		  struct error *error) MUST_CHECK;
/* An array of {"name", "receipt": envelope}, by name. Caller owns. */
int receipts_list(const struct layout *layout, json_t **ret_list, struct error *error) MUST_CHECK;

#endif

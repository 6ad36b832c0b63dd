/* What the signer refuses whoever asks: shapes, lifetimes, numbers that go back, and more than so many an hour. */
#ifndef SIGNER_RULES_H
#define SIGNER_RULES_H

#include "keys/key.h"
#include "orchestrator/signer/ledger.h"

/* The signer's limits file: [limits] orders, entitlements, answers, timestamps, exports, each so many an hour. */
struct rules {
	int64_t an_hour[LEDGER_KINDS];
};
/* `path` that is not there: the defaults. */
int rules_load(const char *path, struct rules *ret_rules, struct error *error) MUST_CHECK;

/* How far a fence or a snapshot's version may rise at once: far enough for every number that was counted up honestly,
 * and no way to use the numbers up. */
#define RULES_STEP_MOST 1000000

/* A document may be signed now; *ret_subject (borrowed from the document) and *ret_number are what the ledger keeps.
 * Refusals: "limit" (75), "lifetime", "clock", "fence", "format" (65). */
int rules_allow(const struct rules *rules, const struct ledger *ledger, enum ledger_kind kind, const json_t *document,
		int64_t now, const char **ret_subject, int64_t *ret_number, struct error *error) MUST_CHECK;

/* The ledger's subject for the snapshots that the timestamp key with this id has stamped. A key's memory goes with it:
 * after a theft of the snapshot key the directors give the timestamp role another key too, and the versions of the
 * thief bind it no more (TUF 1.0 §6.2, recovery from fast-forward). */
void rules_snapshot_subject(const char *key, char ret_subject[static KEY_ID_MOST]);

/* The timestamp for a snapshot {version,length,sha256}: its version is above every one signed before and above `after`.
 * A snapshot below the last that this key stamped, or far above it, is refused ("version"). Caller owns *ret_document.
 */
int rules_timestamp(const struct rules *rules, const struct ledger *ledger, const char *key, const json_t *snapshot,
		    int64_t after, int64_t now, json_t **ret_document, struct error *error) MUST_CHECK;

#endif

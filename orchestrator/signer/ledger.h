/* What the signer has signed: one JSON line each, durable before the signature leaves. From it come the rules that need
 * a memory: a fence above the last of its appliance, a snapshot and a timestamp never below the last, so many an hour.
 */
#ifndef SIGNER_LEDGER_H
#define SIGNER_LEDGER_H

#include "base/jsonio.h"

enum ledger_kind { LEDGER_ORDER, LEDGER_ENTITLEMENT, LEDGER_ANSWER, LEDGER_TIMESTAMP, LEDGER_OFFLINE };
#define LEDGER_KINDS 5
extern const char *const ledger_words[LEDGER_KINDS]; /* "order", "entitlement", "answer", "timestamp", "offline" */

struct ledger;

/* In `directory`, file "ledger". A torn last line is dropped; any other damage is ERROR_DATA "ledger". */
int ledger_open(int directory, struct ledger **ret_ledger, struct error *error) MUST_CHECK;
void ledger_free(struct ledger **ledger);

/* Signed since `since`. */
int64_t ledger_count(const struct ledger *ledger, enum ledger_kind kind, int64_t since);
/* The highest ever signed, 0 when none: the fence of an appliance's orders (`subject` its key id), the version of
 * timestamps (subject "timestamp") and of the snapshots they named (rules_snapshot_subject). */
int64_t ledger_highest(const struct ledger *ledger, const char *subject);

/* Appends and makes durable. `subject` NULL where nothing is to be remembered but the hour. */
int ledger_append(struct ledger *ledger, enum ledger_kind kind, int64_t at, const char *subject, int64_t number,
		  struct error *error) MUST_CHECK;
/* Only the number: nothing that counts in an hour. */
int ledger_remember(struct ledger *ledger, int64_t at, const char *subject, int64_t number,
		    struct error *error) MUST_CHECK;
/* For tests: fold beyond `size` bytes already. */
void ledger_fold_at(struct ledger *ledger, int64_t size);

#endif

/* STATE/PRODUCT/journal: what act means to do, before it does it, and what came of it, after. One JSON line each with
 * its number and a BLAKE2b-256 over the hash before it and the line; fsync after each. A last line that a power cut
 * tore is dropped; a line that was altered is refused. Past a MiB it begins anew, between two runs, with one line that
 * says what stands; journal.1 keeps what was before. Design section 6. */
#ifndef ACT_JOURNAL_H
#define ACT_JOURNAL_H

#include "base/clock.h"
#include "base/hash.h"
#include "base/jsonio.h"

#define JOURNAL_BYTES_MOST (64 * 1024 * 1024)
#define JOURNAL_LINE_MOST  8192
#define JOURNAL_STEPS_MOST 64
#define JOURNAL_NAME_SIZE  64
#define JOURNAL_TEXT_SIZE  320

enum journal_stage {
	JOURNAL_IDLE,
	JOURNAL_RECEIVING,
	JOURNAL_STAGED,
	JOURNAL_PREPARING,
	JOURNAL_SWITCHED,
	JOURNAL_REBOOTING,
	JOURNAL_CHECKING,
	JOURNAL_COMMITTED,
	JOURNAL_ROLLING_BACK,
	JOURNAL_ROLLED_BACK,
	JOURNAL_INCONSISTENT,
	JOURNAL_STAGES
};
/* "rolled-back" */
const char *journal_stage_name(enum journal_stage stage);
/* Something was begun that only its end or `resume` may leave. */
bool journal_stage_is_open(enum journal_stage stage);

struct journal_step {
	char name[32];
	char result[16]; /* "ok", "failed"; "" while it runs, or when nobody lived to say */
	int64_t ms;
	int64_t began; /* UTC */
};

/* One upgrade or rollback that was asked for: what its first line said and what followed. */
struct journal_run {
	char upgrade[JOURNAL_NAME_SIZE]; /* "" before the first */
	char from[JOURNAL_NAME_SIZE], to[JOURNAL_NAME_SIZE];
	char sha256[HASH_HEX_SIZE];       /* of the manifest of the new release */
	bool requested;                   /* a rollback that was asked for: `to` is the older one */
	bool migration;                   /* data was, or was to be, snapshotted */
	char snapshot[JOURNAL_NAME_SIZE]; /* the snapshot to restore when it goes wrong; "" none */
	bool restore;                     /* asked for with data */
	int64_t end;                      /* of the window, UTC */
	bool finish;                      /* may go on past it once switched */
	bool reboot;                      /* the machine restarts between switch and start, and back again */
	bool tunnel;                      /* counts: it was up when the run began, and may be up again */
	bool booted_new; /* the machine was last started while the release that is gone back from stood */
	char audit_head[HASH_HEX_SIZE];
	int64_t started, ended;        /* UTC */
	char boot[CLOCK_BOOT_ID_SIZE]; /* of its first line */
	bool confirmed;
	bool blamed; /* it goes back for the release's own fault: quarantine */
	char reason[JOURNAL_TEXT_SIZE];
	enum journal_stage outcome; /* COMMITTED, ROLLED_BACK, INCONSISTENT, or IDLE while open */
	struct journal_step steps[JOURNAL_STEPS_MOST];
	size_t step_count;
};

struct journal_state {
	enum journal_stage stage;
	uint64_t seq;                                                 /* of the last line; 0: an empty journal */
	char boot[CLOCK_BOOT_ID_SIZE];                                /* of the last line */
	struct journal_run run;                                       /* the open one, or the last that ended */
	char staged[JOURNAL_NAME_SIZE], staged_sha256[HASH_HEX_SIZE]; /* being received, or ready */
	/* Where `rollback` goes, since the last commit; "" nowhere. */
	char fallback[JOURNAL_NAME_SIZE], fallback_snapshot[JOURNAL_NAME_SIZE];
	bool fallback_migrated, fallback_reboot;
	int64_t fallback_time; /* when data began to be written by the new version */
};

/* How often a step was begun, of those that the list still has; whether the last of that name ended well; whether it is
 * the last of all. */
size_t journal_step_count(const struct journal_run *run, const char *name);
bool journal_step_begun(const struct journal_run *run, const char *name);
bool journal_step_is_ok(const struct journal_run *run, const char *name);
bool journal_step_is_last(const struct journal_run *run, const char *name);

struct journal;

/* Reads and folds the whole journal; a missing one is empty. For writing (the caller holds the lock) a torn tail is cut
 * off. ERROR_DATA "journal" names the first line that does not hold. */
enum journal_access { JOURNAL_READ, JOURNAL_WRITE };
int journal_open(int directory, enum journal_access access, struct journal **ret_journal,
		 struct error *error) MUST_CHECK;
void journal_free(struct journal **journal);
const struct journal_state *journal_state(const struct journal *journal); /* borrowed */

/* Room for one whole run, so that a disk that fills up meanwhile cannot keep a rollback from being written down. */
int journal_reserve(struct journal *journal, struct error *error) MUST_CHECK;

/* The next state with its fields (NULL: none); consumes `fields`. An edge that the design does not have is ERROR_BUG.
 * Durable when it returns 0; on failure nothing was written. */
int journal_enter_take(struct journal *journal, enum journal_stage stage, json_t *fields,
		       struct error *error) MUST_CHECK;
int journal_begin(struct journal *journal, const char *step, struct error *error) MUST_CHECK;
int journal_end(struct journal *journal, const char *step, const char *result, int64_t ms, const char *text,
		struct error *error) MUST_CHECK;

#endif

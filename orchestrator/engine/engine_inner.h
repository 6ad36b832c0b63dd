/* What the engine's files share; for them alone. One thread, one loop; nothing here blocks but the store and, for five
 * seconds at most, the signer. */
#ifndef ENGINE_ENGINE_INNER_H
#define ENGINE_ENGINE_INNER_H

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "orchestrator/engine/catalogue.h"
#include "orchestrator/engine/pace.h"
#include "orchestrator/engine/peer.h"
#include "orchestrator/engine/talk.h"
#include "orchestrator/store/store_gate.h"
#include "orchestrator/store/store_upgrade.h"

#define ENGINE_LEASE       60
#define ENGINE_RENEW_MS    20000
#define ENGINE_SKEW_MOST   600
#define ENGINE_PLAN_GRACE  3 /* seconds that a dry run waits for a HELLO */
#define ENGINE_STREAMS     4 /* bulk streams a staging */
#define ENGINE_TICKET_SIZE 65

struct engine;
struct session;

/* What an attached control stream is used for; one thing at a time. */
enum session_work { SESSION_IDLE, SESSION_STAGE, SESSION_RUN, SESSION_RECONCILE, SESSION_PLAN, SESSION_WORKS };

/* One appliance's tunnel. */
struct session {
	struct engine *engine;
	struct session *next;
	char appliance[STORE_NAME_SIZE];
	int64_t connection;
	bool forward; /* came by stock ssh -R: bulk streams are opened by the hub */
	bool waiting; /* said HELLO and idles at the hub: can be attached */
	bool duplicate;
	bool may_upgrade; /* the grant's scope */
	int64_t fence;    /* as HELLO reported it */
	int64_t skew;
	struct talk *talk;
	struct talk *bulk[ENGINE_STREAMS];
	enum session_work work;
	char upgrade[STORE_UPGRADE_ID_SIZE];
	int64_t claimed;               /* our fence, once claimed */
	int64_t task, task_asked;      /* of a plan: its id, and when it was asked for */
	char version[STORE_NAME_SIZE]; /* of a plan */
	char ticket[ENGINE_TICKET_SIZE];
	int64_t progress_at, renewed_at; /* clock_ticks_ms */
	int64_t began_at;                /* clock_ticks_ms: when the work began */
	int64_t seen;                    /* last sign of life that the store does not know yet; 0: none */
	int64_t rest_until;              /* clock_ticks_ms: no new run before, after one that could not begin */
	bool progress_whole; /* the end of the transfer was written down */
	bool abort_asked;
	uint64_t timer;
};

/* The export under way; task 0: none. */
struct export {
	int64_t task;
	pid_t pid;
	int answer;
	json_t *result; /* what the task will be told when the file stands */
};

struct engine {
	struct loop *loop;
	struct store *store;
	struct peer *supervisor, *hub;
	int signer; /* -1: none */
	int releases, exports;
	int lock; /* this store has one engine */
	enum store_gate_lapsed lapsed;
	char owner[STORE_NAME_SIZE]; /* this node's name: a restarted engine knows its own leases by it */
	struct session *sessions;
	struct pull *pulls;
	struct join *joins;
	struct catalogue *catalogue; /* NULL before the first import */
	json_t *roster;              /* what the hub was told: key → entry */
	json_t *paces;               /* pace.h */
	json_t *entitlements;        /* appliance → what was signed of late */
	int64_t data_version;
	int64_t agenda_at, timestamp_at; /* clock_ticks_ms of the last run */
	size_t agenda_next;              /* where a turn that took too long goes on */
	bool agenda_runs;
	json_t *sentences; /* steps.c: id → what the agenda has to say */
	int64_t complete_at;             /* clock_ticks_ms when hub and signer were last there, or asked for */
	uint64_t wake_timer;
	int64_t import; /* that runs; 0: none */
	int import_fd;
	struct export export;
	int exit_code;
};

/* engine.c: the agenda runs in a moment. */
void engine_wake(struct engine *engine);

/* steps.c: one step of an upgrade in the store, failures logged; false when it was not taken. */
struct steps_change {
	const char *upgrade, *appliance;
	enum upgrade_state to;
	enum upgrade_owner owner; /* engine or hook */
	int code;
	const char *held_for;
	int64_t fence;    /* -1: not checked */
	int64_t retry_in; /* seconds */
};
bool steps_take(struct engine *engine, const struct steps_change *change, const char *format, ...) PRINTF_LIKE(3, 4);
/* From held back to where it was. */
bool steps_free(struct engine *engine, const struct store_upgrade *upgrade, const char *format, ...) PRINTF_LIKE(3, 4);
/* Within the agenda the sentences are kept back, and written by steps_write in one commit: on the day that a window of
 * thousands opens, a commit each would keep everybody waiting. */
void steps_why(struct engine *engine, const struct store_upgrade *upgrade, int code, const char *format, ...)
	PRINTF_LIKE(4, 5);
void steps_write(struct engine *engine);

/* sign.c: waits for the signer five seconds at most. Caller owns *ret_envelope. */
int sign_document(struct engine *engine, const char *kind, json_t *document, json_t **ret_envelope,
		  struct error *error) MUST_CHECK; /* takes the document */
/* The same envelope again for an hour while the contract says the same, so that an appliance that asks and asks does
 * not use up the signer's hour. */
int sign_entitlement(struct engine *engine, const char *appliance, json_t **ret_envelope,
		     struct error *error) MUST_CHECK;
/* The timestamp for the newest snapshot, when the one that stands is of another snapshot or older than a day. */
int sign_timestamp_if_due(struct engine *engine, struct error *error) MUST_CHECK;

/* roster.c: who may log in at the hub, whole at first and as changes later. */
void roster_send(struct engine *engine, bool whole);

/* hub_link.c */
void hub_link_message(struct engine *engine, const json_t *message, int fd);
void hub_link_lost(struct engine *engine);
void hub_link_close(struct engine *engine, const char *appliance);

/* session.c */
struct session *session_find(struct engine *engine, const char *appliance);
void session_hello(struct engine *engine, const json_t *message);
void session_alive(struct engine *engine, const char *appliance);
/* Who gave a sign of life since the last time, in one commit. */
void session_store_seen(struct engine *engine);
void session_gone(struct engine *engine, const char *appliance, int64_t connection);
void session_attached_take(struct engine *engine, const char *appliance, int64_t connection, int fd);
void session_stream_take(struct engine *engine, const char *appliance, const char *ticket, int fd);
void session_drop_all(struct engine *engine);
/* Asks the hub for the control stream; the work begins when it comes. */
bool session_begin(struct session *session, enum session_work work, const char *upgrade);
/* The work is over, well or not: the stream is closed and the hook says HELLO anew. */
void session_finish(struct session *session);
bool session_free_for(const struct session *session, const char **ret_why);
/* A question on the control stream; its work's `lost` is told when the stream ends under it. */
void session_ask_take(struct session *session, enum message_type type, int64_t timeout_ms, talk_progress *progress,
		      talk_answer *answer, json_t *body);

/* The works: begin when the stream is attached; lost when it ended under them; request for what the hook asks. */
void staging_begin(struct session *session);
void staging_lost(struct session *session, const struct error *why);
/* Its upgrade was aborted: the hook drops what it had. */
void staging_abort(struct session *session);
void run_begin(struct session *session);
void run_lost(struct session *session, const struct error *why);
void reconcile_begin(struct session *session);
void reconcile_lost(struct session *session, const struct error *why);
void plan_begin(struct session *session);
void plan_lost(struct session *session, const struct error *why);

/* run.c: what came of it, by a reply or by the journal: {outcome, reason?, receipt?}. */
void run_outcome(struct session *session, const struct store_upgrade *upgrade, const json_t *outcome);
/* Renews the lease of what runs, and asks the hook to end what somebody aborted. */
void run_keep(struct session *session, const struct store_upgrade *upgrade);
/* receipts.c: verified under the appliance's key and kept. */
int receipts_keep(struct engine *engine, const char *appliance, const char *upgrade, const json_t *receipt,
		  const char *outcome, struct error *error) MUST_CHECK;
/* A receipt that the hook hands in by itself. */
void receipts_request(struct engine *engine, const char *appliance, struct talk *talk,
		      const struct stream_message *message);

/* Streams that the hook drives; both take the descriptor. */
void pull_take(struct engine *engine, const char *appliance, int fd);
void join_take(struct engine *engine, const char *key, const char *name, int fd);
void pull_drop_all(struct engine *engine);
/* Those of a release that is served no more. */
void pull_end_halted(struct engine *engine);
void join_drop_all(struct engine *engine);

/* agenda.c: looks at every unfinished upgrade and does what is due. */
void agenda_run(struct engine *engine);
/* tasks.c, imports.c */
void tasks_run(struct engine *engine);
void imports_run(struct engine *engine);
/* lifetimes.c: what the store knows of the metadata that is served. */
void lifetimes_store(struct engine *engine);
/* exports.c: takes the task on, or leaves it for later. */
struct store_task;
void exports_run(struct engine *engine, const struct store_task *task);
void exports_drop(struct engine *engine);
void imports_answer_take(struct engine *engine, const json_t *message, int fd);
/* Reads the catalogue anew and brings the store's releases up to it. */
int imports_load(struct engine *engine, struct error *error) MUST_CHECK;

#endif

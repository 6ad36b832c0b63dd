/* A session: one stream, one process. What it knows of itself and the doors it has: the stream, the broker (check's
 * main), act, and the directories that its sandbox leaves open. */
#ifndef CHECK_SESSION_H
#define CHECK_SESSION_H

#include "appliance-hook/check/actor.h"
#include "appliance-hook/check/check.h"
#include "base/clock.h"
#include "dialogue/stream.h"
#include "keys/order.h"

#define SESSION_SCOPE_MOST   64
#define SESSION_VERSION_MOST 64

enum session_kind { SESSION_CONTROL, SESSION_PULL };

/* A pull session's: who answers on the stream. */
enum session_way { SESSION_BY_HUB, SESSION_BY_MIRROR, SESSION_BY_FILE };

enum session_permit {
	SESSION_MAY_STATUS = 1 << 0,
	SESSION_MAY_UPGRADE = 1 << 1,
};

/* What the customer allows while this stream lives. */
struct session_grant {
	char scope[SESSION_SCOPE_MOST]; /* "status,upgrade" */
	int64_t until;                  /* UTC; 0: no end (permanent) */
	bool permanent;
};
unsigned session_permits(const char *scope);

struct session {
	enum session_kind kind;
	struct stream *stream;
	int broker; /* SEQPACKET to check's main */
	struct actor actor;
	const struct check_places *places;
	struct session_grant grant;
	char appliance[KEY_ID_MOST]; /* id of the appliance's own key */

	/* pull: what the job asked for */
	enum session_way way;
	char to[SESSION_VERSION_MOST]; /* "": what the orchestrator offers */
	bool dry;

	/* control: the nonce that was given and not used yet */
	uint8_t nonce[ORDER_NONCE_SIZE];
	int64_t nonce_ticks; /* clock_ticks_ms when it was given, 0: none */
	int64_t beat_ticks;  /* when the last heartbeat left */
	uint64_t ignored;    /* bytes of fetches that were given up and still flowed in */
};

/* Who gives what; the descriptors are taken. */
struct session_start {
	enum session_kind kind;
	int stream, broker, act;
	struct session_grant grant;
	enum session_way way;
	char to[SESSION_VERSION_MOST];
	bool dry;
};
#define SESSION_START_NONE ((struct session_start){.stream = -1, .broker = -1, .act = -1})
/* In the child: sandbox first, then the dialogue until it ends. The sandbox is irrevocable: never call it in check's
 * main. */
int session_run(const struct session_start *start, const struct check_places *places, struct error *error) MUST_CHECK;

/* Landlock over the places alone: for check's main and, again, for each session. */
int session_confine(const struct check_places *places, struct error *error) MUST_CHECK;

/* The id of the appliance's key, from STATE/PRODUCT/appliance.pub (written by join). ERROR_CONFIG "joined" before that.
 */
int session_read_appliance(int product, char ret_id[static KEY_ID_MOST], struct error *error) MUST_CHECK;

/* One line for the log: who was refused what, by which rule. */
void session_log_refusal(const struct session *session, const char *what, const struct error *error);

#endif

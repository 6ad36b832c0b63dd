/* Staging: the hook fetches, verifies and unpacks a release beside the one that runs, any time before its window. */
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "orchestrator/engine/engine_inner.h"

#define PROGRESS_MS 500
#define ABORT_MS    10000
/* After a refusal that time may mend. */
#define RETRY_SECONDS       60
#define RETRY_SPACE_SECONDS 300
/* One that was over at once is not begun again at once: a tunnel may flap for days. */
#define SHORT_MS       5000
#define RETRY_FLAPPING 5

/* What a refusal of the hook means for the upgrade. */
static const struct {
	int code;
	enum upgrade_state to;
	enum upgrade_owner owner;
	const char *held_for;
	int64_t retry_in;
} refusals[] = {
	{ERROR_NOT_PERMITTED, UPGRADE_HELD, UPGRADE_HOOK, "entitlement", 0},
	{ERROR_NOT_NOW, UPGRADE_BOOKED, UPGRADE_ENGINE, NULL, RETRY_SECONDS},
	{ERROR_UNREACHABLE, UPGRADE_BOOKED, UPGRADE_ENGINE, NULL, RETRY_SECONDS},
	{ERROR_CANNOT_CREATE, UPGRADE_BOOKED, UPGRADE_ENGINE, NULL, RETRY_SPACE_SECONDS},
};

static void refused(struct session *session, const struct error *why)
{
	struct steps_change change = {
		.upgrade = session->upgrade,
		.appliance = session->appliance,
		.to = UPGRADE_NEEDS_HUMAN,
		.owner = UPGRADE_HOOK,
		.code = (int)why->code,
		.fence = -1,
	};
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == (int)why->code) {
			change.to = refusals[i].to;
			change.owner = refusals[i].owner;
			change.held_for = refusals[i].held_for;
			change.retry_in = refusals[i].retry_in;
		}
	/* The tunnel was opened for something else: no matter of support, and the customer can mend it. */
	if (!strcmp(why->name, "scope") || !strcmp(why->name, "request")) {
		change.to = UPGRADE_BOOKED;
		change.owner = UPGRADE_ENGINE;
		change.held_for = NULL;
		change.retry_in = RETRY_SECONDS;
	}
	steps_take(session->engine, &change, "staging was refused: %s (%s)", why->text, why->name);
}

static void progressed(void *context, const json_t *body)
{
	struct session *session = context;
	struct error error = {0};
	int64_t ticks = clock_ticks_ms(), done = jsonio_integer(body, "bytes_done"),
		all = jsonio_integer(body, "bytes");
	bool whole = done >= all && !session->progress_whole;
	if (session->progress_at && ticks - session->progress_at < PROGRESS_MS && !whole)
		return;
	session->progress_at = ticks;
	session->progress_whole = done >= all;
	if (store_upgrade_progress(session->engine->store, session->upgrade, jsonio_integer(body, "blobs"),
				   jsonio_integer(body, "blobs_done"), all, done, clock_now(), &error))
		log_failure(session->appliance, &error);
}

/* The hook says which manifest it has verified: it must be the one that was imported here. */
static int check_staged(struct session *session, const json_t *body, struct error *error)
{
	struct store_upgrade upgrade;
	struct store_release release;
	uint8_t sha256[HASH_SIZE];
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, error) ||
	    store_release_get(session->engine->store, upgrade.product, upgrade.to_version, &release, error) ||
	    hash_from_hex(jsonio_string(body, "sha256"), sha256, sizeof sha256, error))
		return -(int)error->code;
	if (strcmp(jsonio_string(body, "version"), upgrade.to_version) || !hash_equal(sha256, release.sha256))
		return error_set(error, ERROR_DATA, "hash", "%s staged another release than %s", session->appliance,
				 upgrade.to_version);
	return 0;
}

static void answered(void *context, const json_t *body, const struct error *why)
{
	struct session *session = context;
	struct store_upgrade upgrade;
	struct error error = {0};
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, &error) ||
	    upgrade.state != UPGRADE_STAGING) {
		/* paused or aborted meanwhile: the answer is nobody's */
	} else if (!body) {
		refused(session, why);
	} else if (check_staged(session, body, &error)) {
		refused(session, &error);
	} else {
		struct steps_change change = {.upgrade = session->upgrade,
					      .appliance = session->appliance,
					      .to = UPGRADE_STAGED,
					      .owner = UPGRADE_HOOK,
					      .fence = -1};
		steps_take(session->engine, &change,
			   "release %s is verified and unpacked there, nothing that runs was touched",
			   jsonio_string(body, "version"));
	}
	session_finish(session);
}

void staging_begin(struct session *session)
{
	struct engine *engine = session->engine;
	struct store_upgrade upgrade;
	struct error error = {0};
	json_t *entitlement = NULL;
	uint8_t ticket[(ENGINE_TICKET_SIZE - 1) / 2];
	if (store_upgrade_get(engine->store, session->upgrade, &upgrade, &error) ||
	    sign_entitlement(engine, session->appliance, &entitlement, &error)) {
		/* Nothing was said yet: whoever refuses here is ours, and time mends it. */
		staging_lost(session, &error);
		session_finish(session);
		return;
	}
	secret_random(ticket, sizeof ticket);
	hash_to_hex(ticket, sizeof ticket, session->ticket);
	session->progress_at = 0;
	session->progress_whole = false;
	peer_send_take(engine->hub, json_pack("{s:s, s:s, s:I, s:s, s:i}", "do", "streams", "appliance",
					      session->appliance, "connection", (json_int_t)session->connection,
					      "ticket", session->ticket, "count", ENGINE_STREAMS));
	session_ask_take(session, MESSAGE_STAGE, 0, progressed, answered,
			 json_pack("{s:s, s:s, s:o, s:s, s:i}", "upgrade", session->upgrade, "version",
				   upgrade.to_version, "entitlement", entitlement, "ticket", session->ticket, "streams",
				   ENGINE_STREAMS));
}

void staging_lost(struct session *session, const struct error *why)
{
	struct store_upgrade upgrade;
	struct error error = {0};
	int64_t lasted = clock_ticks_ms() - session->began_at;
	/* Somebody may have paused or aborted it meanwhile; then there is nothing to take back. */
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, &error) ||
	    upgrade.state != UPGRADE_STAGING)
		return;
	struct steps_change change = {
		.upgrade = session->upgrade,
		.appliance = session->appliance,
		.to = UPGRADE_BOOKED,
		.owner = UPGRADE_ENGINE,
		.code = (int)why->code,
		.fence = -1,
		.retry_in = why->code == ERROR_UNREACHABLE && strcmp(why->name, "signer") && lasted >= SHORT_MS
				    ? 0
				    : RETRY_FLAPPING,
	};
	steps_take(session->engine, &change, "staging was interrupted and goes on from where it was: %s", why->text);
}

static void abort_answered(void *context UNUSED, const json_t *body UNUSED, const struct error *why UNUSED)
{
	/* The answer to `stage` itself follows and ends the work. */
}

void staging_abort(struct session *session)
{
	if (session->abort_asked || !session->talk)
		return;
	session->abort_asked = true;
	session_ask_take(session, MESSAGE_ABORT, ABORT_MS, NULL, abort_answered,
			 json_pack("{s:s}", "upgrade", session->upgrade));
}

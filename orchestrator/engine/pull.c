/* Pull: the hook asks what it may install; the answer is signed and repeats its nonce, the bytes follow on the same
 * stream. Needs current support, no tunnel, no technician. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/engine/engine_inner.h"

#define ANSWER_LIFE 3600
#define PULLS_MOST  2 /* streams of one appliance: an hour-old one that hangs, and the new one */
#define PULL_MS     (6 * 60 * 60 * 1000LL)

/* An answer costs the signer one of its hour. */
static const struct pace answer_pace = {"answer", 120000, 20};

struct pull {
	struct engine *engine;
	struct pull *next;
	char appliance[STORE_NAME_SIZE];
	char product[STORE_NAME_SIZE], version[STORE_NAME_SIZE]; /* what was answered; "": nothing newer */
	struct talk *talk;
	uint64_t timer;
};

static void pull_free(struct pull *pull)
{
	for (struct pull **at = &pull->engine->pulls; *at; at = &(*at)->next)
		if (*at == pull) {
			*at = pull->next;
			break;
		}
	loop_cancel(pull->engine->loop, pull->timer);
	talk_free(&pull->talk);
	free(pull);
}

void pull_drop_all(struct engine *engine)
{
	while (engine->pulls)
		pull_free(engine->pulls);
}

void pull_end_halted(struct engine *engine)
{
	for (struct pull *pull = engine->pulls, *next; pull; pull = next) {
		struct store_release release;
		struct error error = {0};
		next = pull->next;
		if (!pull->version[0] ||
		    (store_release_get(engine->store, pull->product, pull->version, &release, &error) == 0 &&
		     !release.halted && !release.yanked))
			continue;
		log_write(LOG_LEVEL_NOTICE, "%s: the pull of release %s ends: it is served no more", pull->appliance,
			  pull->version);
		pull_free(pull);
	}
}

static bool in_channel(const struct library_release *release, const char *channel)
{
	size_t i;
	json_t *name;
	json_array_foreach((json_t *)release->channels, i, name)
	{
		if (!strcmp(json_string_value(name), channel))
			return true;
	}
	return false;
}

/* May the box have this one? The first rule that says no is told. */
static int allowed(struct engine *engine, const struct store_appliance *box, const struct library_release *release,
		   const char *from, struct error *error)
{
	struct store_release row;
	if (library_path_allows(catalogue_targets(engine->catalogue), box->product, from, release->version, error) ||
	    store_release_get(engine->store, box->product, release->version, &row, error))
		return -(int)error->code;
	if (row.halted)
		return error_set(error, ERROR_NOT_NOW, "halt", "release %s of %s is halted: %s", row.version,
				 row.product, row.halt_reason);
	return store_gate_entitled(engine->store, box->name, release->version, STORE_GATE_PULL, engine->lapsed,
				   clock_now(), error);
}

/* A refusal that the customer can do something about; the others mean that there is an older one to look at. */
static bool tells(const struct error *why)
{
	return why->code == ERROR_NOT_PERMITTED || !strcmp(why->name, "unknown-release");
}

/* Nothing newer is an answer only for those who are supported. */
static int supported(struct engine *engine, const struct store_appliance *box, const char *from, struct error *error)
{
	struct store_release running;
	struct error unknown = {0};
	if (store_release_get(engine->store, box->product, from, &running, &unknown))
		return 0;
	return store_gate_entitled(engine->store, box->name, from, STORE_GATE_PULL, engine->lapsed, clock_now(), error);
}

/* The newest of the box's channel that it may have; the running one (*ret_found false) when there is none newer. Lapsed
 * support is told even when there is nothing newer, since nothing is served then. */
static int choose(struct engine *engine, const struct store_appliance *box, const char *from, const char *to,
		  struct library_release *ret_release, bool *ret_found, struct error *error)
{
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	size_t count = 0;
	bool refused = false;
	struct error first = {0};
	if (library_list(catalogue_targets(engine->catalogue), box->product, &releases, &count, error))
		return -(int)error->code;
	*ret_found = false;
	for (size_t i = count; i-- > 0 && !*ret_found;) {
		struct error why = {0};
		bool wanted = to ? !strcmp(releases[i].version, to)
				 : in_channel(&releases[i], box->channel) && strcmp(releases[i].version, from);
		/* Without a wish, what runs ends the search: all that follows is older. */
		if (!to && !strcmp(releases[i].version, from))
			break;
		if (!wanted)
			continue;
		if (allowed(engine, box, &releases[i], from, &why) == 0) {
			*ret_release = releases[i];
			*ret_found = true;
		} else if (to || (tells(&why) && !refused)) {
			first = why;
			refused = true;
		}
	}
	if (!*ret_found && refused) {
		*error = first;
		return -(int)first.code;
	}
	if (!*ret_found && to)
		return error_set(error, ERROR_DATA, "unknown-release", "there is no release %s of %s", to,
				 box->product);
	return *ret_found ? 0 : supported(engine, box, from, error);
}

static int sign_answer(struct pull *pull, const struct store_appliance *box, const char *nonce, const char *version,
		       const uint8_t manifest[static HASH_SIZE], json_t **ret_answer, struct error *error)
{
	char hex[HASH_HEX_SIZE], issued[CLOCK_UTC_SIZE], expires[CLOCK_UTC_SIZE];
	int64_t now = clock_now();
	hash_to_hex(manifest, HASH_SIZE, hex);
	clock_format_utc(now, issued);
	clock_format_utc(now + ANSWER_LIFE, expires);
	return sign_document(pull->engine, "answer",
			     json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "_type", "answer", "appliance",
				       box->key_id, "product", box->product, "nonce", nonce, "version", version,
				       "manifest", hex, "issued", issued, "expires", expires),
			     ret_answer, error);
}

static int check_box(struct pull *pull, const json_t *body, struct store_appliance *ret_box, struct error *error)
{
	if (!pull->engine->catalogue)
		return error_set(error, ERROR_NOT_NOW, "release", "nothing was imported at the support centre yet");
	if (store_appliance_get(pull->engine->store, pull->appliance, ret_box, error))
		return -(int)error->code;
	if (ret_box->duplicate)
		return error_set(error, ERROR_NOT_PERMITTED, "duplicate",
				 "%s was seen twice (a clone or a restored snapshot): join it anew with a new code",
				 ret_box->name);
	if (strcmp(jsonio_string(body, "product"), ret_box->product))
		return error_set(error, ERROR_DATA, "product", "%s is registered with product %s", ret_box->name,
				 ret_box->product);
	return 0;
}

static int answer(struct pull *pull, const json_t *body, json_t **ret_reply, struct error *error)
{
	struct engine *engine = pull->engine;
	struct store_appliance box;
	struct library_release release = {0};
	bool found = false;
	const char *from = jsonio_string(body, "version"), *to = jsonio_string(body, "to");
	CLEANUP(jsonio_free) json_t *signed_answer = NULL, *entitlement = NULL;
	if (!pace_allow(&engine->paces, &answer_pace, pull->appliance, clock_ticks_ms()))
		return error_set(error, ERROR_NOT_NOW, "limit", "%s has asked for updates too often: try again later",
				 pull->appliance);
	if (check_box(pull, body, &box, error) || choose(engine, &box, from, to, &release, &found, error))
		return -(int)error->code;
	if (!found)
		snprintf(release.version, sizeof release.version, "%s", from);
	if (sign_answer(pull, &box, jsonio_string(body, "nonce"), release.version, release.sha256, &signed_answer,
			error) ||
	    sign_entitlement(engine, box.name, &entitlement, error))
		return -(int)error->code;
	json_t *reply =
		json_pack("{s:O, s:O, s:s, s:s}", "answer", signed_answer, "entitlement", entitlement, "version",
			  release.version, "text", found ? "a newer release may be installed" : "nothing newer");
	if (!reply)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an answer");
	log_write(LOG_LEVEL_NOTICE, "%s: asks for updates at %s: %s", box.name, from, release.version);
	snprintf(pull->product, sizeof pull->product, "%s", box.product);
	snprintf(pull->version, sizeof pull->version, "%s", found ? release.version : "");
	*ret_reply = reply;
	return 0;
}

static void requested(void *context, struct talk *talk, const struct stream_message *message)
{
	struct pull *pull = context;
	struct error why = {0};
	json_t *reply = NULL;
	if (message->type == MESSAGE_RECEIPT) {
		receipts_request(pull->engine, pull->appliance, talk, message);
		return;
	}
	if (message->type != MESSAGE_UPDATES)
		error_set(&why, ERROR_NOT_PERMITTED, "request", "\"%s\" has no place on a pull stream",
			  message_name(message->type));
	else if (answer(pull, message->body, &reply, &why) == 0) {
		talk_serve(talk, SERVE_FETCH_METADATA | SERVE_FETCH_BLOBS);
		talk_reply_take(talk, message, reply);
		return;
	}
	log_failure(pull->appliance, &why);
	talk_serve(talk, SERVE_FETCH_NOTHING);
	talk_refuse(talk, message, &why);
}

static void closed(void *context, struct talk *talk UNUSED, const struct error *why UNUSED)
{
	struct pull *pull = context;
	pull->talk = NULL;
	pull_free(pull);
}

static void too_long(void *context)
{
	struct pull *pull = context;
	log_write(LOG_LEVEL_WARNING, "%s: a pull that lasted too long is cut off", pull->appliance);
	pull_free(pull);
}

/* The newest are first in the list. */
static void end_older(struct engine *engine, const char *appliance)
{
	size_t count = 0;
	for (struct pull *pull = engine->pulls, *next; pull; pull = next) {
		next = pull->next;
		if (!strcmp(pull->appliance, appliance) && ++count >= PULLS_MOST)
			pull_free(pull);
	}
}

void pull_take(struct engine *engine, const char *appliance, int fd)
{
	static const struct talk_events events = {requested, closed};
	end_older(engine, appliance);
	struct pull *pull = calloc(1, sizeof *pull);
	struct error error = {0};
	if (!pull) {
		file_close(&fd);
		return;
	}
	pull->engine = engine;
	snprintf(pull->appliance, sizeof pull->appliance, "%s", appliance);
	if (talk_new_take(engine->loop, fd, engine->releases, &events, pull, &pull->talk, &error)) {
		log_failure(appliance, &error);
		free(pull);
		return;
	}
	pull->next = engine->pulls;
	engine->pulls = pull;
	pull->timer = loop_after(engine->loop, PULL_MS, too_long, pull);
}

#include "appliance-hook/check/session.h"

#include <string.h>
#include <unistd.h>

#include "appliance-hook/check/control.h"
#include "appliance-hook/check/pull.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/sandbox.h"
#include "base/text.h"

#define APPLIANCE_FILE "appliance.pub"

unsigned session_permits(const char *scope)
{
	static const struct {
		const char *word;
		unsigned permit;
	} words[] = {{"status", SESSION_MAY_STATUS}, {"upgrade", SESSION_MAY_UPGRADE}};
	unsigned permits = 0;
	for (const char *at = scope; *at;) {
		size_t length = strcspn(at, ",");
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (strlen(words[i].word) == length && strncmp(at, words[i].word, length) == 0)
				permits |= words[i].permit;
		at += length;
		at += *at == ',';
	}
	return permits;
}

int session_read_appliance(int product, char ret_id[static KEY_ID_MOST], struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(KEY_FILE_MOST);
	CLEANUP(jsonio_free) json_t *object = NULL;
	CLEANUP(key_free) struct key *key = NULL;
	if (file_read_at(product, APPLIANCE_FILE, &bytes, error) < 0) {
		if (strcmp(error->name, "missing") != 0)
			return -(int)error->code;
		return error_set(error, ERROR_CONFIG, "joined",
				 "this appliance has not joined a support centre yet: `appliance-hook join CODE`");
	}
	if (jsonio_parse(bytes.data, bytes.size, APPLIANCE_FILE, &object, error) < 0 ||
	    key_parse(object, NULL, &key, error) < 0)
		return -(int)error->code;
	text_copy(ret_id, KEY_ID_MOST, key_id(key));
	return 0;
}

void session_log_refusal(const struct session *session, const char *what, const struct error *error)
{
	log_write(LOG_LEVEL_WARNING, "refused %s (%s stream): %s: %s (exit %d)", what,
		  session->kind == SESSION_PULL ? "pull" : "control", error->name, error->text, (int)error->code);
}

int session_confine(const struct check_places *places, struct error *error)
{
	const struct sandbox_path all[] = {
		{places->trust, true},    {places->metadata, true}, {places->product, false},
		{places->releases, true}, {places->zones, false},
	};
	bool enforced = false;
	return sandbox_confine(all, places->zones < 0 ? ARRAY_SIZE(all) - 1 : ARRAY_SIZE(all), &enforced, error);
}

static void end_session(struct session *session)
{
	stream_free(&session->stream);
	file_close(&session->broker);
	file_close(&session->actor.fd);
	secret_wipe(session->nonce, sizeof(session->nonce));
}

static int run(struct session *session, struct error *error)
{
	if (session_confine(session->places, error) < 0 ||
	    sandbox_enter(SANDBOX_COMPUTE | SANDBOX_FILES, "check's session", error) < 0 ||
	    session_read_appliance(session->places->product, session->appliance, error) < 0)
		return -(int)error->code;
	return session->kind == SESSION_PULL ? pull_run(session, error) : control_run(session, error);
}

int session_run(const struct session_start *start, const struct check_places *places, struct error *error)
{
	CLEANUP(end_session)
	struct session session = {
		.kind = start->kind,
		.broker = start->broker,
		.actor = {start->act},
		.places = places,
		.grant = start->grant,
		.way = start->way,
		.dry = start->dry,
	};
	memcpy(session.to, start->to, sizeof(session.to));
	if (stream_new_take(start->stream, MESSAGE_FROM_HOOK, &session.stream, error) < 0)
		return -(int)error->code;
	int result = run(&session, error);
	/* Somebody waits for a pull's end. */
	struct error unheard = {0};
	if (result < 0 && session.kind == SESSION_PULL &&
	    packet_send_take(session.broker, packet_refusal(error), -1, &unheard) < 0)
		log_failure("telling how the pull ended", &unheard);
	return result;
}

#include "orchestrator/signer/signer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "keys/envelope.h"
#include "orchestrator/signer/ledger.h"
#include "orchestrator/signer/rules.h"

#define SIGNER_START_MS   30000
#define SIGNER_AFTER_MOST (1LL << 40)

struct signer {
	int supervisor, engine; /* engine -1: none yet */
	struct key_secret *order, *timestamp, *entitlement;
	struct ledger *ledger;
	struct rules rules;
};

static int load_key(const char *directory, const char *name, struct key_secret **ret_secret, struct error *error)
{
	/* Nobody sits at a terminal here: a sealed key's passphrase comes from the systemd credential. */
	const struct key_passphrase unattended = {0};
	CLEANUP(free_pointer) char *path = file_join(directory, name);

	if (!path)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	return key_secret_load(path, &unattended, ret_secret, error);
}

static int configure(struct signer *signer, const json_t *settings, struct error *error)
{
	static const struct jsonio_field fields[] = {
		{"keys", JSONIO_STRING, true, 4095, false},
		{"limits", JSONIO_STRING, true, 4095, false},
		{NULL, JSONIO_STRING, false, 0, false},
	};
	CLEANUP(file_close) int directory = -1;
	int status = jsonio_check(settings, fields, "the signer's settings", error);

	if (status < 0)
		return status;
	const char *keys = jsonio_string(settings, "keys");
	status = file_open_directory(keys, &directory, error);
	if (status == 0)
		status = rules_load(jsonio_string(settings, "limits"), &signer->rules, error);
	if (status == 0)
		status = load_key(keys, SIGNER_ORDER_KEY, &signer->order, error);
	if (status == 0)
		status = load_key(keys, SIGNER_TIMESTAMP_KEY, &signer->timestamp, error);
	if (status == 0)
		status = load_key(keys, SIGNER_ENTITLEMENT_KEY, &signer->entitlement, error);
	if (status == 0)
		status = ledger_open(directory, &signer->ledger, error);
	/* Everything else that it needs it holds by now. */
	const struct sandbox_path ledger = {directory, true};
	bool confined = false;
	return status < 0 ? status : sandbox_confine(&ledger, 1, &confined, error);
}

static int sign(const struct key_secret *key, json_t *document, json_t **ret_envelope, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(PACKET_MOST);
	int status = envelope_new(document, &envelope, error);

	if (status == 0)
		status = envelope_sign(envelope, key, error);
	if (status == 0)
		status = envelope_write(envelope, &text, error);
	if (status == 0)
		status = jsonio_parse(text.data, text.size, "the signed document", ret_envelope, error);
	return status;
}

static int sign_document(struct signer *signer, enum ledger_kind kind, const json_t *request, json_t **ret_envelope,
			 struct error *error)
{
	json_t *document = json_object_get(request, "document");
	const struct key_secret *key = kind == LEDGER_ENTITLEMENT ? signer->entitlement : signer->order;
	const char *subject = NULL;
	int64_t number = 0, now = clock_now();

	if (!json_is_object(document))
		return error_set(error, ERROR_DATA, "format", "nothing was given to be signed");
	int status = rules_allow(&signer->rules, signer->ledger, kind, document, now, &subject, &number, error);
	if (status == 0)
		status = ledger_append(signer->ledger, kind, now, subject, number, error);
	return status < 0 ? status : sign(key, document, ret_envelope, error);
}

static int sign_timestamp(struct signer *signer, const json_t *request, json_t **ret_envelope, struct error *error)
{
	CLEANUP(jsonio_free) json_t *document = NULL;
	const json_t *snapshot = jsonio_member(request, "snapshot");
	int64_t after = jsonio_integer(request, "after"), now = clock_now();

	if (!json_is_object(snapshot) || after < 0 || after > SIGNER_AFTER_MOST)
		return error_set(error, ERROR_DATA, "format", "a timestamp was asked for without a snapshot");
	const char *key = key_id(key_secret_public(signer->timestamp));
	char subject[KEY_ID_MOST];
	rules_snapshot_subject(key, subject);
	int status = rules_timestamp(&signer->rules, signer->ledger, key, snapshot, after, now, &document, error);
	if (status == 0)
		status = ledger_remember(signer->ledger, now, subject, jsonio_integer(snapshot, "version"), error);
	if (status == 0)
		status = ledger_append(signer->ledger, LEDGER_TIMESTAMP, now, "timestamp",
				       jsonio_integer(document, "version"), error);
	return status < 0 ? status : sign(signer->timestamp, document, ret_envelope, error);
}

static int answer(struct signer *signer, const json_t *request, json_t **ret_envelope, struct error *error)
{
	const char *what = jsonio_string(request, "sign");

	if (what && strcmp(what, ledger_words[LEDGER_TIMESTAMP]) == 0)
		return sign_timestamp(signer, request, ret_envelope, error);
	for (int kind = 0; what && kind < LEDGER_KINDS; kind++)
		if (strcmp(what, ledger_words[kind]) == 0)
			return sign_document(signer, (enum ledger_kind)kind, request, ret_envelope, error);
	return error_set(error, ERROR_DATA, "format", "the signer does not sign \"%.40s\"", what ? what : "");
}

/* One request of the engine; a failure of the socket ends that engine's connection. */
static int serve(struct signer *signer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *request = NULL;
	CLEANUP(jsonio_free) json_t *envelope = NULL;
	CLEANUP(file_close) int fd = -1;
	struct error why = {0};
	int status = packet_receive(signer->engine, &request, &fd, error);

	if (status < 0)
		return status;
	if (answer(signer, request, &envelope, &why) == 0)
		return packet_send_take(signer->engine, json_pack("{s:O}", "envelope", envelope), -1, error);
	log_failure("refused to sign", &why);
	return packet_send_take(signer->engine, packet_refusal(&why), -1, error);
}

static int take_from_supervisor(struct signer *signer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int fd = -1;
	int status = packet_receive(signer->supervisor, &message, &fd, error);

	if (status < 0)
		return status;
	if (jsonio_string(message, "peer") && fd >= 0) {
		file_close(&signer->engine);
		signer->engine = fd;
		fd = -1;
	}
	return 0;
}

static int run(struct signer *signer, struct error *error)
{
	for (;;) {
		struct pollfd watched[2] = {{.fd = signer->supervisor, .events = POLLIN},
					    {.fd = signer->engine, .events = POLLIN}};
		int status = 0;
		if (poll(watched, 2, -1) < 0)
			continue;
		if (watched[0].revents)
			status = take_from_supervisor(signer, error);
		else if (watched[1].revents && serve(signer, error) < 0)
			file_close(&signer->engine);
		if (status < 0)
			return status;
	}
}

static int start(struct signer *signer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int fd = -1;
	int status = secret_start(error);

	secret_protect_process();
	if (status == 0)
		status = packet_wait(signer->supervisor, clock_ticks_ms() + SIGNER_START_MS, &message, &fd, error);
	if (status == 0)
		status = configure(signer, jsonio_member(message, "set"), error);
	if (status == 0)
		status = sandbox_enter(SANDBOX_FILES, "signer", error);
	return status < 0 ? status : run(signer, error);
}

int signer_main(int supervisor_fd)
{
	struct signer signer = {.supervisor = supervisor_fd, .engine = -1};
	struct error error = {0};

	log_start("signer", LOG_LEVEL_INFO);
	int status = start(&signer, &error);
	key_secret_free(&signer.order);
	key_secret_free(&signer.timestamp);
	key_secret_free(&signer.entitlement);
	ledger_free(&signer.ledger);
	file_close(&signer.engine);
	/* The supervisor's end closes when the whole service stops. */
	if (status < 0 && error.code != ERROR_UNREACHABLE) {
		log_failure("the signer stops", &error);
		return (int)error.code;
	}
	return 0;
}

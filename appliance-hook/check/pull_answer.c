#include <inttypes.h>
#include <string.h>

#include "appliance-hook/check/control.h"
#include "appliance-hook/check/pull.h"
#include "base/text.h"

enum { ANSWER_MOST = 16384, ANSWER_LIFE_MOST = 24 * 60 * 60 };

static const struct jsonio_field fields[] = {
	{"_type", JSONIO_STRING, true, 32, false},
	{"appliance", JSONIO_STRING, true, KEY_ID_MOST - 1, false},
	{"product", JSONIO_STRING, true, SESSION_VERSION_MOST - 1, false},
	{"nonce", JSONIO_STRING, true, 2 * ORDER_NONCE_SIZE, false},
	{"version", JSONIO_STRING, true, SESSION_VERSION_MOST - 1, false},
	{"manifest", JSONIO_STRING, false, 2 * HASH_SIZE, false},
	{"issued", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1, false},
	{"expires", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1, false},
	{0},
};

static int check_times(const struct pull_answer *answer, int64_t now, struct error *error)
{
	if (answer->issued > now + CONTROL_SKEW_MOST || answer->issued < now - CONTROL_SKEW_MOST)
		return error_set(error, ERROR_DATA, "clock",
				 "this appliance's clock is %" PRId64 " s from the orchestrator's: set the clock",
				 now - answer->issued);
	if (answer->expires <= now || answer->expires > answer->issued + ANSWER_LIFE_MOST)
		return error_set(error, ERROR_DATA, "freeze", "the answer has expired");
	return 0;
}

static int check_document(const json_t *document, const struct pull_question *question, struct error *error)
{
	uint8_t nonce[ORDER_NONCE_SIZE];
	if (jsonio_check(document, fields, "the answer", error) < 0 ||
	    hash_from_hex(jsonio_string(document, "nonce"), nonce, sizeof(nonce), error) < 0)
		return -(int)error->code;
	if (strcmp(jsonio_string(document, "_type"), "answer") != 0)
		return error_set(error, ERROR_DATA, "format", "a signed %s stands where an answer is needed",
				 jsonio_string(document, "_type"));
	if (strcmp(jsonio_string(document, "appliance"), question->appliance) != 0)
		return error_set(error, ERROR_DATA, "appliance", "the answer is for another appliance");
	if (strcmp(jsonio_string(document, "product"), question->product) != 0)
		return error_set(error, ERROR_DATA, "product", "the answer is for product %s",
				 jsonio_string(document, "product"));
	if (!secret_equal(nonce, question->nonce, ORDER_NONCE_SIZE))
		return error_set(error, ERROR_DATA, "nonce",
				 "the answer does not repeat this appliance's nonce: it is a replay");
	return 0;
}

int pull_answer_check(const json_t *object, const struct authority *authority, const struct pull_question *question,
		      struct pull_answer *ret_answer, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ANSWER_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct pull_answer answer = {0};
	if (jsonio_write(object, false, &bytes, error) < 0 ||
	    envelope_parse(bytes.data, bytes.size, "the answer", &envelope, error) < 0 ||
	    envelope_verify(envelope, &authority->order, "the answer", error) < 0)
		return -(int)error->code;
	const json_t *document = envelope_signed(envelope);
	const char *manifest = jsonio_string(document, "manifest");
	if (check_document(document, question, error) < 0 ||
	    (manifest && manifest[0] && hash_from_hex(manifest, answer.manifest, HASH_SIZE, error) < 0) ||
	    clock_parse_utc(jsonio_string(document, "issued"), &answer.issued, error) < 0 ||
	    clock_parse_utc(jsonio_string(document, "expires"), &answer.expires, error) < 0 ||
	    check_times(&answer, question->now, error) < 0)
		return -(int)error->code;
	text_copy(answer.version, sizeof answer.version, jsonio_string(document, "version"));
	*ret_answer = answer;
	return 0;
}

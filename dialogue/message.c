#include "dialogue/message.h"

#include <stdlib.h>

#define NAME_MOST        63
#define ID_MOST          64
#define WORD_MOST        32
#define SENTENCE_MOST    512
#define KEY_ID_TEXT_MOST 128
#define HEX_HASH         64
#define TIME_MOST        253402300799 /* year 9999 */
#define COUNT_MOST       INT64_MAX

#define TEXT(name, most)                                                                                               \
	{                                                                                                              \
		name, JSONIO_STRING, true, most, false                                                                 \
	}
#define TEXT_MAYBE(name, most)                                                                                         \
	{                                                                                                              \
		name, JSONIO_STRING, false, most, false                                                                \
	}
#define NUMBER(name, most)                                                                                             \
	{                                                                                                              \
		name, JSONIO_INTEGER, true, most, false                                                                \
	}
#define NUMBER_MAYBE(name, most)                                                                                       \
	{                                                                                                              \
		name, JSONIO_INTEGER, false, most, false                                                               \
	}
#define FLAG(name)                                                                                                     \
	{                                                                                                              \
		name, JSONIO_BOOLEAN, true, 0, false                                                                   \
	}
#define FLAG_MAYBE(name)                                                                                               \
	{                                                                                                              \
		name, JSONIO_BOOLEAN, false, 0, false                                                                  \
	}
#define OBJECT(name)                                                                                                   \
	{                                                                                                              \
		name, JSONIO_OBJECT, true, 64, false                                                                   \
	}
#define OBJECT_MAYBE(name)                                                                                             \
	{                                                                                                              \
		name, JSONIO_OBJECT, false, 64, false                                                                  \
	}
#define LIST(name, most)                                                                                               \
	{                                                                                                              \
		name, JSONIO_ARRAY, true, most, false                                                                  \
	}
#define END                                                                                                            \
	{                                                                                                              \
		NULL, JSONIO_STRING, false, 0, false                                                                   \
	}

/* What stands at the appliance: HELLO's body and STATUS's reply share these. */
#define STANDING                                                                                                       \
	NUMBER("protocol", 65535), TEXT("hook", NAME_MOST), TEXT("product", NAME_MOST), TEXT("version", NAME_MOST),    \
		TEXT("state", WORD_MOST), TEXT_MAYBE("upgrade", ID_MOST), NUMBER("fence", COUNT_MOST),                 \
		TEXT_MAYBE("order_key", KEY_ID_TEXT_MOST), NUMBER("generation", COUNT_MOST),                           \
		TEXT("boot", WORD_MOST + 8), NUMBER("time", TIME_MOST), TEXT("scope", WORD_MOST),                      \
		NUMBER("until", TIME_MOST), FLAG("permanent"), NUMBER("root", COUNT_MOST)

static const struct jsonio_field nothing[] = {END};
static const struct jsonio_field hello[] = {STANDING, END};
static const struct jsonio_field welcome[] = {NUMBER("protocol", 65535), NUMBER("time", TIME_MOST), END};
static const struct jsonio_field heartbeat[] = {NUMBER("time", TIME_MOST), END};
static const struct jsonio_field standing[] = {STANDING, OBJECT("journal"), LIST("quarantine", 1000), END};
static const struct jsonio_field plan[] = {TEXT("version", NAME_MOST), OBJECT_MAYBE("entitlement"), END};
static const struct jsonio_field plan_reply[] = {LIST("checks", 64), FLAG("ok"), END};
static const struct jsonio_field stage[] = {TEXT("upgrade", ID_MOST), TEXT("version", NAME_MOST), OBJECT("entitlement"),
					    TEXT("ticket", HEX_HASH), NUMBER("streams", 8),       END};
static const struct jsonio_field progress[] = {NUMBER("blobs", COUNT_MOST), NUMBER("blobs_done", COUNT_MOST),
					       NUMBER("bytes", COUNT_MOST), NUMBER("bytes_done", COUNT_MOST), END};
static const struct jsonio_field staged[] = {TEXT("version", NAME_MOST), TEXT("sha256", HEX_HASH), END};
static const struct jsonio_field nonce[] = {TEXT("nonce", HEX_HASH), NUMBER("time", TIME_MOST), END};
static const struct jsonio_field run[] = {TEXT("upgrade", ID_MOST), OBJECT("order"), OBJECT("entitlement"), END};
static const struct jsonio_field step[] = {TEXT("state", WORD_MOST), TEXT("step", WORD_MOST),
					   TEXT_MAYBE("text", SENTENCE_MOST), END};
static const struct jsonio_field outcome[] = {TEXT("outcome", WORD_MOST), TEXT_MAYBE("reason", SENTENCE_MOST),
					      OBJECT_MAYBE("receipt"), END};
static const struct jsonio_field rollback[] = {TEXT("upgrade", ID_MOST), OBJECT("order"), TEXT_MAYBE("data", WORD_MOST),
					       END};
static const struct jsonio_field upgrade[] = {TEXT("upgrade", ID_MOST), END};
static const struct jsonio_field aborted[] = {FLAG("aborted"), END};
static const struct jsonio_field stream[] = {TEXT("ticket", HEX_HASH), END};
static const struct jsonio_field fetch[] = {TEXT("name", 512), NUMBER("offset", COUNT_MOST), END};
static const struct jsonio_field fetched[] = {NUMBER("size", COUNT_MOST), END};
static const struct jsonio_field updates[] = {TEXT("product", NAME_MOST), TEXT("version", NAME_MOST),
					      TEXT("nonce", HEX_HASH), TEXT_MAYBE("to", NAME_MOST), END};
static const struct jsonio_field answer[] = {OBJECT("answer"), OBJECT("entitlement"), TEXT_MAYBE("version", NAME_MOST),
					     TEXT_MAYBE("text", SENTENCE_MOST), END};
static const struct jsonio_field join[] = {TEXT("public_key", HEX_HASH), TEXT("proof", 256), TEXT("product", NAME_MOST),
					   END};
static const struct jsonio_field joined[] = {TEXT("appliance", NAME_MOST), END};
static const struct jsonio_field receipt[] = {OBJECT("receipt"), END};
static const struct jsonio_field refusal[] = {NUMBER("code", 255), TEXT("name", WORD_MOST), TEXT("text", SENTENCE_MOST),
					      END};

struct message_row {
	const char *name;
	unsigned askers;                          /* who may send the request, or the event that stands alone */
	const struct jsonio_field *request;       /* NULL: there is none */
	const struct jsonio_field *lone_event;    /* an event from the asker's side that expects no reply */
	const struct jsonio_field *event, *reply; /* from the other side; NULL: there is none */
	bool data;                                /* raw DATA frames from the other side */
};

#define HOOK   MESSAGE_FROM_HOOK
#define CENTRE MESSAGE_FROM_ORCHESTRATOR

static const struct message_row rows[MESSAGE_TYPES] = {
	[MESSAGE_HELLO] = {"hello", HOOK, hello, NULL, NULL, welcome, false},
	[MESSAGE_HEARTBEAT] = {"heartbeat", HOOK, NULL, heartbeat, NULL, NULL, false},
	[MESSAGE_STATUS] = {"status", CENTRE, nothing, NULL, NULL, standing, false},
	[MESSAGE_PLAN] = {"plan", CENTRE, plan, NULL, NULL, plan_reply, false},
	[MESSAGE_STAGE] = {"stage", CENTRE, stage, NULL, progress, staged, false},
	[MESSAGE_NONCE] = {"nonce", CENTRE, nothing, NULL, NULL, nonce, false},
	[MESSAGE_RUN] = {"run", CENTRE, run, NULL, step, outcome, false},
	[MESSAGE_ROLLBACK] = {"rollback", CENTRE, rollback, NULL, step, outcome, false},
	[MESSAGE_ABORT] = {"abort", CENTRE, upgrade, NULL, NULL, aborted, false},
	[MESSAGE_STREAM] = {"stream", HOOK | CENTRE, NULL, stream, NULL, NULL, false},
	[MESSAGE_FETCH] = {"fetch", HOOK, fetch, NULL, NULL, fetched, true},
	[MESSAGE_UPDATES] = {"updates", HOOK, updates, NULL, NULL, answer, false},
	[MESSAGE_JOIN] = {"join", HOOK, join, NULL, NULL, joined, false},
	[MESSAGE_RECEIPT] = {"receipt", HOOK, receipt, NULL, NULL, nothing, false},
};

/* The fields of a frame with these flags from this side; NULL when nobody may send that. *ret_data: raw bytes. */
static const struct jsonio_field *find_fields(enum message_type type, enum message_side from, uint16_t flags,
					      bool *ret_data)
{
	const struct message_row *row = &rows[type];
	bool asker = (row->askers & (unsigned)from) != 0;
	/* The side that answers; for messages that both may begin, each answers the other. */
	bool answerer = (row->askers & ~(unsigned)from & (HOOK | CENTRE)) != 0;

	*ret_data = false;
	switch (flags) {
	case 0:
		return asker ? row->request : NULL;
	case FRAME_REPLY:
		return answerer ? row->reply : NULL;
	case FRAME_REPLY | FRAME_ERROR:
		return answerer && row->reply ? refusal : NULL;
	case FRAME_EVENT:
		return asker && row->lone_event ? row->lone_event : answerer ? row->event : NULL;
	case FRAME_EVENT | FRAME_DATA:
		*ret_data = answerer && row->data;
		return NULL;
	default:
		return NULL;
	}
}

const char *message_name(enum message_type type)
{
	return type > 0 && type < MESSAGE_TYPES ? rows[type].name : "unknown";
}

int message_parse(const struct frame *frame, enum message_side from, json_t **ret_body, struct error *error)
{
	CLEANUP(jsonio_free) json_t *body = NULL;
	bool data = false;

	if (frame->type == 0 || frame->type >= MESSAGE_TYPES)
		return error_set(error, ERROR_DATA, "dialogue", "the peer sent a message of unknown type %u",
				 frame->type);
	const char *name = message_name(frame->type);
	const struct jsonio_field *fields = find_fields(frame->type, from, frame->flags, &data);
	if (data) {
		*ret_body = NULL;
		return 0;
	}
	if (!fields)
		return error_set(error, ERROR_DATA, "dialogue", "the peer may not send \"%s\" with flags %#x", name,
				 frame->flags);
	int status = jsonio_parse(frame->body, frame->size, name, &body, error);
	if (status == 0)
		status = jsonio_check(body, fields, name, error);
	if (status == 0)
		*ret_body = TAKE(body);
	return status;
}

int message_write(struct buffer *output, enum message_side from, enum message_type type, uint16_t flags, uint64_t id,
		  const json_t *body, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(FRAME_JSON_MOST);
	bool data = false;
	const struct jsonio_field *fields = find_fields(type, from, flags, &data);

	if (!fields || !body || jsonio_check(body, fields, message_name(type), error) < 0) {
		struct error why = *error;
		return error_set(error, ERROR_BUG, "dialogue", "our own \"%s\" is not what the dialogue allows: %s",
				 message_name(type), fields && body ? why.text : "no such message");
	}
	int status = jsonio_write(body, false, &text, error);
	return status < 0 ? status : frame_write(output, (uint16_t)type, flags, id, text.data, text.size, error);
}

/* The messages as a table: type, who may send it, the fields of request, event and reply with their bounds. What the table does not
 * know is refused. The hook accepts a closed list of requests; nothing is ever a shell string. */
#ifndef DIALOGUE_MESSAGE_H
#define DIALOGUE_MESSAGE_H

#include "base/packet.h"
#include "dialogue/frame.h"

#define MESSAGE_PROTOCOL 1

enum message_type {
	MESSAGE_HELLO = 1,     /* hook → orchestrator, first on a control stream; reply: welcome */
	MESSAGE_HEARTBEAT = 2, /* hook → orchestrator, event, no reply */
	MESSAGE_STATUS = 3,    /* orchestrator → hook: what stands */
	MESSAGE_PLAN = 4,      /* orchestrator → hook: preflight of a version, each check with value and limit */
	MESSAGE_STAGE = 5,     /* orchestrator → hook: fetch, verify, unpack; events: progress */
	MESSAGE_NONCE = 6,     /* orchestrator → hook: a fresh nonce for an order */
	MESSAGE_RUN = 7,       /* orchestrator → hook: order and entitlement; events: state; reply: outcome and receipt */
	MESSAGE_ROLLBACK = 8,  /* orchestrator → hook: a signed rollback order */
	MESSAGE_ABORT = 9,     /* orchestrator → hook: end a staging or a run that has not switched yet */
	MESSAGE_STREAM = 10,   /* either: first frame on a bulk stream, shows the ticket */
	MESSAGE_FETCH = 11,    /* hook → orchestrator: bytes by name; DATA events, then a reply */
	MESSAGE_UPDATES = 12,  /* hook → orchestrator, first on a pull stream: what may I install? */
	MESSAGE_JOIN = 13,     /* hook → orchestrator, first on a join stream: here is my key */
	MESSAGE_RECEIPT = 14,  /* hook → orchestrator: a receipt, of an upgrade or kept from earlier */
	MESSAGE_TYPES
};

enum message_side { MESSAGE_FROM_HOOK = 1, MESSAGE_FROM_ORCHESTRATOR = 2 };

/* Parses a frame's JSON body and checks it against the table for its type, direction and flags. Raw data frames give NULL. */
int message_parse(const struct frame *frame, enum message_side from, json_t **ret_body, struct error *error) MUST_CHECK;
/* Appends the frame; checks its own side of the table first, so that we never send what would be refused (ERROR_BUG). */
int message_write(struct buffer *output, enum message_side from, enum message_type type, uint16_t flags, uint64_t id,
                  const json_t *body, struct error *error) MUST_CHECK;
const char *message_name(enum message_type type);

/* The body of a FRAME_ERROR reply is packet_from_error's. */

#endif

/* The control dialogue: HELLO, heartbeats, and the closed list of what an orchestrator may ask, each within the scope
 * that the customer granted. */
#ifndef CHECK_CONTROL_H
#define CHECK_CONTROL_H

#include "appliance-hook/check/session.h"

#define CONTROL_HEARTBEAT_MS  30000
#define CONTROL_NONCE_LIFE_MS (10 * 60 * 1000)
/* How far the orchestrator's clock may be from this one before orders are refused. */
#define CONTROL_SKEW_MOST (10 * 60)

/* Until the stream ends or the grant's time is over. */
int control_run(struct session *session, struct error *error) MUST_CHECK;

/* A request under way, for what arrives on the stream meanwhile. */
struct control_busy {
	struct session *session;
	const struct stream_message *message; /* the request; its type and id go with each event */
	const char *upgrade;                  /* what `abort` must name; "" none */
	bool abortable;                       /* false once act has the switch */
	bool act_is_busy;                     /* then `status` cannot be answered */
};
/* A stream_other: answers status and abort, refuses the rest with 75, keeps the heartbeat. An abort that is obeyed
 * returns ERROR_NOT_NOW "aborted". */
int control_meanwhile(void *context, struct stream_message *message, struct error *error) MUST_CHECK;
/* Sends a heartbeat when one is due. */
int control_beat(struct session *session, struct error *error) MUST_CHECK;

#endif

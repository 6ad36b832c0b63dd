/* What wire.c and wire_channel.c share; for them alone. */
#ifndef HUB_WIRE_INNER_H
#define HUB_WIRE_INNER_H

/* Leaves out its names of 2009, which are ours today (buffer_free). */
#define LIBSSH_LEGACY_0_4
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "dialogue/relay.h"
#include "orchestrator/hub/wire.h"

/* More than libssh's own window can hold (1,280,000): a peer that goes past it ignores the window. */
#define WIRE_UNREAD_MOST (2 * 1024 * 1024)
/* A frame that is not yet whole, and then some. */
#define WIRE_HEAD_MOST    (320 * 1024)
#define WIRE_ADDRESS_MOST 64

struct wire_channel {
	struct wire_session *session;
	ssh_channel ssh;
	struct ssh_channel_callbacks_struct callbacks;
	void *tag;
	struct buffer head; /* from the peer, until attached */
	struct buffer out;  /* to the peer; the remainder of what the policy queued */
	struct relay *relay;
	bool reverse;  /* ours, to the peer's forward */
	bool opening;  /* and not yet confirmed */
	bool granted;  /* it has its subsystem */
	bool reported; /* policy->opened was called */
	bool told;     /* policy->closed was called */
	bool grew;     /* the head did */
	bool unread;   /* libssh holds bytes that were not taken */
	bool remote_ended, remote_closed;
	bool ended; /* relay_finish was called */
	bool closing;
};

struct wire_session {
	struct loop *loop;
	const struct wire_policy *policy;
	void *context;
	ssh_session ssh;
	ssh_event event;
	int fd;
	struct ssh_server_callbacks_struct server_callbacks;
	struct ssh_callbacks_struct callbacks;
	struct ssh_counter_struct socket_counter, raw_counter;
	uint64_t heard_bytes;
	int64_t heard_at;
	uint32_t watched;
	uint64_t timer;
	const char *ending; /* why */
	bool logged_in;
	unsigned attempts, refusals, global_requests, forwards, opened_ever;
	char address[WIRE_ADDRESS_MOST]; /* as the peer named the forward; forwarded-tcpip repeats it */
	struct wire_channel *channels[WIRE_CHANNELS_MOST];
};

/* Runs the session's next turn soon; safe anywhere. */
void wire_session_kick(struct wire_session *session);
/* One turn, outside of libssh. */
void wire_session_turn(struct wire_session *session);

/* A new channel in a free slot, or NULL; runs inside libssh too. */
struct wire_channel *wire_channel_new(struct wire_session *session);
/* Moves what can be moved; true when something did. */
bool wire_channel_pump(struct wire_channel *channel);
/* Tells the policy what happened and releases the channel when it is over. */
void wire_channel_settle(struct wire_channel *channel);
/* Closes and frees it, at the end of its session. */
void wire_channel_release(struct wire_channel *channel);

#endif

/* What line.c and line_channel.c share; for them alone. */
#ifndef LINK_LINE_INNER_H
#define LINK_LINE_INNER_H

/* Leaves out its names of 2009, which are ours today (buffer_free). */
#define LIBSSH_LEGACY_0_4
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h> /* ssh_send_keepalive */

#include "appliance-hook/link/line.h"
#include "dialogue/relay.h"

/* More than libssh's own window can hold (1,280,000): a hub that goes past it ignores the window. */
#define LINE_UNREAD_MOST (2 * 1024 * 1024)

enum line_phase { LINE_CONNECTING, LINE_LOGIN, LINE_UP };

struct line_channel {
	struct line *line;
	ssh_channel ssh;
	struct ssh_channel_callbacks_struct callbacks;
	char subsystem[32];
	unsigned tag;
	struct buffer out; /* what goes before the receiver's own bytes */
	struct relay *relay;
	int handed; /* the receiver's end, until it is handed out; -1 then */
	bool open;  /* the channel is, the subsystem not yet */
	bool unread, remote_ended, remote_closed;
	bool finished; /* relay_finish was called */
	bool closing;
	int64_t closed_at; /* we have closed it and wait for the hub to close it too; 0: we have not */
};

struct line {
	struct loop *loop;
	const struct line_events *events;
	void *context;
	ssh_session ssh;
	ssh_event event;
	ssh_key key;
	int fd;
	enum line_phase phase;
	bool pinned_by_hash;
	uint8_t pinned[32], shown[32];
	struct ssh_counter_struct counter;
	uint64_t heard_bytes;
	int64_t heard_at;
	uint32_t watched;
	uint64_t turn_timer, pulse_timer;
	bool ending;
	struct error why;
	struct line_channel *channels[LINE_STREAMS_MOST];
};

void line_kick(struct line *line);
void line_turn(struct line *line);

/* Opens what is not yet open and moves what can be moved; true when something did. */
bool line_channel_pump(struct line_channel *channel);
/* Hands out or reports what happened, and releases the channel when it is over. */
void line_channel_settle(struct line_channel *channel);
/* Closes and frees it without a word. */
void line_channel_release(struct line_channel *channel);

#endif

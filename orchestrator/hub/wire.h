/* The SSH server's door: the one module of the hub that knows libssh (wire.c sessions, wire_channel.c channels). It
 * moves bytes and enforces what every peer must keep to; who may do what is asked of a policy.
 *
 * Public keys only, ed25519 only; curve25519, AES-GCM and chacha20-poly1305, no compression, no configuration files.
 * One ssh_event a session: a shared one polls every session at each write. A session lives on the loop that accepted
 * it.
 *
 * Policy functions with "ask" in their comment run inside libssh and must only decide; the others run outside of it and
 * may call anything here. */
#ifndef HUB_WIRE_H
#define HUB_WIRE_H

#include "base/buffer.h"
#include "base/loop.h"

#define WIRE_KEY_SIZE      32
#define WIRE_CHANNELS_MOST 9 /* eight that the peer opens or that we lend, and the control stream of a forward */
#define WIRE_ASKED_MOST    8
#define WIRE_FORWARDS_MOST 4
#define WIRE_PORT          1 /* the one virtual port that can be forwarded */

struct wire;
struct wire_session;
struct wire_channel;

struct wire_policy {
	/* Asks: is this key welcome? First without proof, then `proved` by a valid signature: true logs it in. */
	bool (*login)(void *context, const uint8_t key[static WIRE_KEY_SIZE], bool proved);
	/* Asks: may this channel be that subsystem? May call wire_channel_set. */
	bool (*subsystem)(void *context, struct wire_channel *channel, const char *name);
	/* Asks: may it forward our virtual port? */
	bool (*forward)(void *context);
	/* After a turn in which the peer sent something. */
	void (*heard)(void *context);
	/* A subsystem was granted, or a reverse channel of ours stands. */
	void (*opened)(void *context, struct wire_channel *channel);
	/* Its head grew. Not called once it is attached. */
	void (*bytes)(void *context, struct wire_channel *channel);
	/* The peer is done with it, or it could not be opened; the pointer is not to be used after this returns. */
	void (*closed)(void *context, struct wire_channel *channel);
	/* The connection is over; `why` in words. All channels were reported closed before. Last call for this session.
	 */
	void (*ended)(void *context, const char *why);
};

/* `host_key`: the text of an OpenSSH private key. */
int wire_new(const char *host_key, struct wire **ret_wire, struct error *error) MUST_CHECK;
void wire_free(struct wire **wire);

/* Takes an accepted non-blocking TCP socket (closed on failure too). */
int wire_accept_take(struct wire *wire, struct loop *loop, int fd, const struct wire_policy *policy, void *context,
		     struct wire_session **ret_session, struct error *error) MUST_CHECK;
/* Ends it at the next turn of the loop; policy->ended is called then. `why` is a literal. Safe anywhere. */
void wire_end(struct wire_session *session, const char *why);
/* Ends it now, at shutdown. */
void wire_session_free(struct wire_session *session);
/* clock_ticks_ms of the last byte that came in. */
int64_t wire_heard_at(const struct wire_session *session);
bool wire_is_logged_in(const struct wire_session *session);

/* Opens a channel to the peer's end of the forward; `opened` or `closed` follows. ERROR_NOT_NOW when there are too
 * many. */
int wire_open_reverse(struct wire_session *session, void *tag, struct wire_channel **ret_channel,
		      struct error *error) MUST_CHECK;

/* The policy's own pointer beside the channel; NULL at first. */
void wire_channel_set(struct wire_channel *channel, void *tag);
void *wire_channel_tag(const struct wire_channel *channel);
/* What the peer sent and nobody has taken yet; the policy consumes what it has read. */
struct buffer *wire_channel_head(struct wire_channel *channel);
/* Queues bytes for the peer, before the channel is attached. */
int wire_channel_send(struct wire_channel *channel, const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* From now on every byte is the descriptor's, those in the head first. Closing the descriptor closes the channel. */
int wire_channel_attach(struct wire_channel *channel, int *ret_fd, struct error *error) MUST_CHECK;
/* Closes it at the next turn, dropping what is queued; `closed` is called then. Safe anywhere. */
void wire_channel_close(struct wire_channel *channel);

#endif

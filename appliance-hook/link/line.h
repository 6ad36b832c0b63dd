/* One SSH connection to the hub: the hook's only module that knows libssh (line.c the connection, line_channel.c its
 * streams).
 *
 * The hub's host key is compared with the pinned one before anything else is said; no known_hosts file, no
 * configuration, no agent. Streams are subsystem channels; each becomes a local stream socket. All events come from the
 * loop, outside of libssh. */
#ifndef LINK_LINE_H
#define LINK_LINE_H

#include "base/loop.h"
#include "base/secret.h"

#define LINE_STREAMS_MOST 8
#define LINE_FIRST_MOST   4096

struct line;

struct line_identity {
	const char *key;              /* the text of an OpenSSH private key */
	const uint8_t *host_key;      /* the 32 bytes of the hub's key, or NULL and */
	const uint8_t *host_key_hash; /* SHA-256 of its public key blob */
};

struct line_events {
	/* The hub is the pinned one and the login stands: line_open may be called. */
	void (*ready)(void *context);
	/* A stream was granted; the descriptor is the receiver's. Closing it closes the stream. */
	void (*opened)(void *context, unsigned tag, int fd);
	/* A stream is over, or was refused (then `opened` was not called). */
	void (*closed)(void *context, unsigned tag);
	/* The connection is over; the last call. ERROR_DATA "host-key": it is not the pinned hub. ERROR_NOT_PERMITTED
	 * "login": the hub does not take our key (now). Everything else is ERROR_UNREACHABLE. */
	void (*ended)(void *context, const struct error *why);
};

/* Takes a connected non-blocking socket; the identity is copied. */
int line_start_take(struct loop *loop, int fd, const struct line_identity *identity, const struct line_events *events,
		    void *context, struct line **ret_line, struct error *error) MUST_CHECK;
/* Asks for a stream; `first` is sent before all that the receiver writes. ERROR_NOT_NOW past LINE_STREAMS_MOST. */
int line_open(struct line *line, const char *subsystem, const void *first, size_t size, unsigned tag,
	      struct error *error) MUST_CHECK;
/* The key that the hub showed; after `ready`. */
const uint8_t *line_host_key(const struct line *line);
/* Ends it at the next turn; `ended` follows with ERROR_UNREACHABLE "closed". Safe anywhere. */
void line_end(struct line *line);
/* Ends it now without a word; not from within an event. */
void line_free(struct line **line);

#endif

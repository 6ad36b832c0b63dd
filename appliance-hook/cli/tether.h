/* The three parts on their sockets: started together, and anew together when one ends, at once, then after 1, 2, 4 … 30
 * s. */
#ifndef CLI_TETHER_H
#define CLI_TETHER_H

#include "appliance-hook/cli/part.h"
#include "base/jsonio.h"
#include "base/loop.h"

struct tether;

struct tether_watcher {
	/* A packet of a part's. */
	void (*packet)(void *context, enum part part, const json_t *packet);
	/* All three were started; what they must know is to be told again. */
	void (*started)(void *context);
	/* They ended; whoever waits for an answer waits in vain. */
	void (*lost)(void *context);
	void *context;
};

/* Starts nothing yet. Everything is borrowed. `hook_listener` is hook.sock, or -1. */
int tether_new(struct loop *loop, const struct hook_settings *settings, const struct places *places, int hook_listener,
	       const struct tether_watcher *watcher, struct tether **ret_tether, struct error *error) MUST_CHECK;
int tether_start(struct tether *tether, struct error *error) MUST_CHECK;
/* ERROR_UNREACHABLE "part" while the parts are down. The packet is consumed. */
int tether_send_take(struct tether *tether, enum part part, json_t *packet, struct error *error) MUST_CHECK;
/* With a descriptor beside it, which stays the caller's; -1: none. */
int tether_pass_take(struct tether *tether, enum part part, json_t *packet, int fd, struct error *error) MUST_CHECK;
/* For SIGCHLD. */
void tether_reap(struct tether *tether);
/* Ends the parts and waits, five seconds, then by force. What act has begun goes on. */
void tether_stop(struct tether *tether);
void tether_free(struct tether **tether);

#endif

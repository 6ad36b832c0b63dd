/* What the units of check/ share: a published product in memory, an act that says yes and writes down what it was
 * asked, and the real session in its own sandboxed process between it and the orchestrator's end (exchange.h). */
#ifndef TESTS_CHECK_WORLD_H
#define TESTS_CHECK_WORLD_H

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "appliance-hook/check/control.h"
#include "appliance-hook/check/ownwindow.h"
#include "appliance-hook/check/session.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/process.h"
#include "keys/entitlement.h"
#include "release/bundle.h"
#include "release/pack.h"
#include "tests/unit/keys/fixture.h"

/* Keys by number beside the repository's 1 to 4. */
#define ORDER_KEY       "\5"
#define ENTITLEMENT_KEY "\6"
#define APPLIANCE_KEY   7

#define WAIT_MS 30000

struct world {
	char path[64];
	int directory;
	struct repository repository;
	struct buffer root;
	struct check_places places;
	char appliance[KEY_ID_MOST];
	json_t *standing;    /* act's answer to `status` */
	const char *no_room; /* act's preflight fails so */
	int64_t fence;       /* act's highest */

	pid_t session, act;
	struct stream *stream; /* the orchestrator's end */
	int broker;
};

void put_file(const char *path, const void *bytes, size_t size, mode_t mode);
/* Bytes that no compressor makes smaller, the same for the same seed. */
void put_noise(const char *path, size_t size, uint64_t seed);

/* Where a program packed its releases, once: probe-1.0.bundle and probe-1.1.bundle. */
extern char packed_path[64];
/* Of a group of tests. */
int pack_all(void **state);
int drop_packed(void **state);

/* A signed target with these bytes. */
void add_bytes(struct repository *repository, const char *path, struct buffer bytes, json_t *custom);
json_t *target_custom(struct world *world, const char *version);

/* 1.0 runs; 1.1 (some blobs of fresh bytes) is published. */
int world_begin(void **state);
int world_end(void **state);

void start_session(struct world *world, enum session_kind kind, const char *scope);
void end_session(struct world *world);
/* The most that the session's process ever held, in KiB. */
long most_held(const struct world *world);
/* Fails with `words` when that is over `held` by more than `most`. A sanitizer's own memory would count: under one
 * nothing is measured. */
void assert_held(const struct world *world, long held, long most, const char *words);
/* Nothing that was staged so far is there any more. */
void empty_staging(void);

/* Answers on that socket for ever; what was asked goes to "act.log". */
_Noreturn void be_act(struct world *world, int socket);
/* Whether act was asked that; the last such request, or NULL. Caller owns. */
json_t *asked_act(const char *name);
bool act_was_asked(const char *name);

#endif

/* What serve's files share: its callers, the grant, the pull under way. Included by serve*.c alone. */
#ifndef CLI_SERVE_INSIDE_H
#define CLI_SERVE_INSIDE_H

#include "appliance-hook/cli/door.h"
#include "appliance-hook/cli/grant.h"
#include "appliance-hook/cli/serve.h"
#include "appliance-hook/cli/tether.h"

#define SERVE_CALLERS_MOST 16
/* How long `tunnel open` waits for the connection, and `pull` for its stream. */
#define SERVE_CONNECT_MS 30000

enum serve_wait { SERVE_WAIT_REQUEST, SERVE_WAIT_TUNNEL, SERVE_WAIT_PULL };

struct serve;
struct serve_caller {
	struct serve *serve;
	int fd; /* -1: free row */
	enum serve_wait wait;
	int64_t deadline; /* clock_ticks_ms; 0: none */
	int passed;       /* while its request is taken: the descriptor beside it, or -1 */
};

enum serve_pull_state { SERVE_PULL_NONE, SERVE_PULL_CONNECTING, SERVE_PULL_RUNNING };

struct serve {
	struct loop *loop;
	const struct hook_settings *settings;
	struct places places;
	struct tether *tether;
	int door; /* control.sock */
	struct serve_caller callers[SERVE_CALLERS_MOST];

	struct grant grant;
	char link_state[16];   /* "connecting", "connected", "closed": the control connection, as link says */
	int64_t link_up;       /* clock_ticks_ms when it last came up */
	struct error link_why; /* why it is not connected; code 0: link said nothing bad */

	enum serve_pull_state pull;
	int64_t pull_deadline; /* while connecting */
	int64_t self_service;  /* clock_ticks_ms of the next question; 0: off */
};

/* serve_calls.c: who calls, and who waits for what. */
void serve_calls_ready(void *context, int fd, uint32_t events);                         /* on the listening socket */
void serve_calls_tell(struct serve *serve, enum serve_wait wait, const json_t *packet); /* an event to all who wait */
void serve_calls_answer(struct serve *serve, enum serve_wait wait, json_t *ok);         /* consumed; ends their calls */
void serve_calls_refuse(struct serve *serve, enum serve_wait wait, const struct error *why);
void serve_calls_tick(struct serve *serve);
bool serve_calls_wait(const struct serve *serve, enum serve_wait wait);

/* serve_tunnel.c: the grant. */
int serve_tunnel_open(struct serve *serve, const json_t *request, struct error *error) MUST_CHECK;
int serve_tunnel_close(struct serve *serve, const char *why, struct error *error) MUST_CHECK;
int serve_tunnel_permanent(struct serve *serve, bool on, struct error *error) MUST_CHECK;
json_t *serve_tunnel_status(const struct serve *serve);
void serve_tunnel_resume(struct serve *serve); /* tells a new link */
void serve_tunnel_link(struct serve *serve, const json_t *packet);
void serve_tunnel_tick(struct serve *serve);

/* serve_pull.c: pulls, asked for by a caller or by the self-service timer. */
int serve_pull_begin(struct serve *serve, const struct serve_wish *wish, struct error *error) MUST_CHECK;
void serve_pull_link(struct serve *serve, const json_t *packet);
void serve_pull_check(struct serve *serve, const json_t *packet);
void serve_pull_lost(struct serve *serve);
void serve_pull_tick(struct serve *serve);

#endif

#include "orchestrator/engine/engine.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_import.h"
#include "orchestrator/store/store_tunnel.h"

#define POLL_MS      200
#define WAKE_MS      10
#define AGENDA_MS    1000
#define TIMESTAMP_MS 60000
#define LOCK_MS      10000 /* an engine that was killed a moment ago lets go in this time */
/* A peer that died comes back by itself; one that lives on, its socket lost, must be asked for. */
#define PEER_MS 3000

static void wake(void *context)
{
	struct engine *engine = context;
	engine->wake_timer = 0;
	engine->agenda_at = clock_ticks_ms();
	if (!engine->store)
		return;
	tasks_run(engine); /* people wait for these, so they come first */
	agenda_run(engine);
}

/* A little later, so that what happens together is looked at once, and a store that refuses every step cannot make us
 * spin. */
void engine_wake(struct engine *engine)
{
	if (!engine->wake_timer)
		engine->wake_timer = loop_after(engine->loop, WAKE_MS, wake, engine);
}

static void hub_message(void *context, const json_t *message, int fd)
{
	hub_link_message(context, message, fd);
}

static void hub_closed(void *context)
{
	hub_link_lost(context);
}

static void connect_hub(struct engine *engine, int fd)
{
	static const struct peer_events events = {hub_message, hub_closed};
	struct error error = {0};
	if (engine->hub) {
		peer_free(&engine->hub);
		hub_link_lost(engine);
	}
	if (peer_new_take(engine->loop, fd, &events, engine, &engine->hub, &error))
		log_failure("the hub", &error);
	else
		roster_send(engine, true);
}

static void connect_signer(struct engine *engine, int fd)
{
	file_close(&engine->signer);
	jsonio_free(&engine->entitlements); /* its keys may be others now */
	engine->signer = fd;
	engine->timestamp_at = 0;
}

/* Two engines on one store would take each other's work for a restart's. The lock goes with the process. */
static int lock_store(struct engine *engine, const char *path, struct error *error)
{
	char name[PATH_MAX];
	if ((size_t)snprintf(name, sizeof name, "%s.engine", path) >= sizeof name)
		return error_set(error, ERROR_CONFIG, "path", "the store's path is too long");
	if (file_lock_at(AT_FDCWD, name, LOCK_MS, &engine->lock, error)) {
		if (!strcmp(error->name, "busy"))
			return error_set(error, ERROR_NOT_NOW, "busy", "another engine works on the store %s", path);
		return -(int)error->code;
	}
	return 0;
}

static int open_house(struct engine *engine, const json_t *settings, struct error *error)
{
	const char *path = jsonio_string(settings, "store"), *releases = jsonio_string(settings, "releases"),
		   *exports = jsonio_string(settings, "exports"), *lapsed = jsonio_string(settings, "lapsed");
	if (!path || !releases || !exports)
		return error_set(error, ERROR_BUG, "settings",
				 "the engine was given no store, or no directory of releases or exports");
	engine->lapsed = lapsed && !strcmp(lapsed, "published") ? STORE_GATE_PUBLISHED : STORE_GATE_BLOCKED;
	if (file_make_directories(releases, 0755, error) || file_open_directory(releases, &engine->releases, error) ||
	    file_make_directories(exports, 0700, error) || file_open_directory(exports, &engine->exports, error) ||
	    lock_store(engine, path, error) || store_open(path, &engine->store, error) ||
	    store_tunnel_clear(engine->store, error) || store_import_restart(engine->store, error))
		return -(int)error->code;
	if (imports_load(engine, error) && strcmp(error->name, "missing")) {
		/* What was imported before still stands in the store; what is served is checked by the hook. */
		log_failure("the releases directory", error);
	}
	return 0;
}

static void supervisor_message(void *context, const json_t *message, int fd)
{
	struct engine *engine = context;
	CLEANUP(file_close) int owned = fd;
	const char *peer = jsonio_string(message, "peer");
	const json_t *settings = jsonio_member(message, "set");
	struct error error = {0};
	if (settings && !engine->store) {
		if (open_house(engine, settings, &error)) {
			log_failure("the engine cannot start", &error);
			engine->exit_code = (int)error.code;
			loop_stop(engine->loop);
		} else if (engine->hub) {
			roster_send(engine, true);
		}
		engine_wake(engine);
	} else if (peer && fd >= 0) {
		owned = -1;
		if (!strcmp(peer, "hub"))
			connect_hub(engine, fd);
		else if (!strcmp(peer, "signer"))
			connect_signer(engine, fd);
		else
			owned = fd;
	} else if (json_is_integer(json_object_get(message, "import")) && engine->store) {
		owned = -1;
		imports_answer_take(engine, message, fd);
	}
}

static void supervisor_closed(void *context)
{
	struct engine *engine = context;
	engine->supervisor = NULL;
	loop_stop(engine->loop);
}

static void renew_timestamp(struct engine *engine)
{
	struct error error = {0};
	engine->timestamp_at = clock_ticks_ms();
	if (sign_timestamp_if_due(engine, &error))
		log_failure("the timestamp", &error);
	lifetimes_store(engine);
}

static void ask_for_peer(struct engine *engine, const char *name)
{
	if (engine->supervisor)
		peer_send_take(engine->supervisor, json_pack("{s:s}", "introduce", name));
}

static void look_for_peers(struct engine *engine, int64_t ticks)
{
	bool due = ticks - engine->complete_at >= PEER_MS;
	if (!engine->hub && due)
		ask_for_peer(engine, "hub");
	if (engine->signer < 0 && due)
		ask_for_peer(engine, "signer");
	if (due || (engine->hub && engine->signer >= 0))
		engine->complete_at = ticks;
}

static void turn(void *context)
{
	struct engine *engine = context;
	struct error error = {0};
	int64_t version = engine->data_version, ticks = clock_ticks_ms();
	loop_after(engine->loop, POLL_MS, turn, engine);
	if (!engine->store)
		return;
	look_for_peers(engine, ticks);
	if (store_data_version(engine->store, &version, &error))
		log_failure("the store", &error);
	if (version != engine->data_version) {
		engine->data_version = version;
		engine_wake(engine);
		pull_end_halted(engine);
		roster_send(engine, false);
		imports_run(engine);
	}
	if (engine->signer >= 0 && (!engine->timestamp_at || ticks - engine->timestamp_at >= TIMESTAMP_MS))
		renew_timestamp(engine);
	if (ticks - engine->agenda_at < AGENDA_MS)
		return;
	session_store_seen(engine);
	/* Join codes run out and windows open by time alone. */
	roster_send(engine, false);
	imports_run(engine);
	engine_wake(engine);
}

static int start(struct engine *engine, int supervisor_fd, struct error *error)
{
	static const struct peer_events events = {supervisor_message, supervisor_closed};
	if (secret_start(error) || loop_new(&engine->loop, error) ||
	    peer_new_take(engine->loop, supervisor_fd, &events, engine, &engine->supervisor, error))
		return -(int)error->code;
	engine->complete_at = clock_ticks_ms();
	if (gethostname(engine->owner, sizeof engine->owner - 1))
		snprintf(engine->owner, sizeof engine->owner, "engine");
	if (!loop_after(engine->loop, 0, turn, engine))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a timer");
	return loop_run(engine->loop, true, error);
}

static void stop(struct engine *engine)
{
	/* Sessions first: what they leave in the store is what the next engine finds. */
	if (engine->store)
		session_drop_all(engine);
	peer_free(&engine->hub);
	peer_free(&engine->supervisor);
	pull_drop_all(engine);
	join_drop_all(engine);
	file_close(&engine->signer);
	file_close(&engine->import_fd);
	exports_drop(engine);
	file_close(&engine->exports);
	file_close(&engine->releases);
	catalogue_free(&engine->catalogue);
	jsonio_free(&engine->roster);
	jsonio_free(&engine->paces);
	jsonio_free(&engine->sentences);
	jsonio_free(&engine->entitlements);
	store_free(&engine->store);
	file_close(&engine->lock);
	loop_free(&engine->loop);
}

int engine_main(int supervisor_fd)
{
	struct engine engine = {.signer = -1,
				.lock = -1,
				.releases = -1,
				.exports = -1,
				.import_fd = -1,
				.export = {.answer = -1},
				.data_version = -1};
	struct error error = {0};
	log_start("engine", LOG_LEVEL_INFO);
	if (start(&engine, supervisor_fd, &error)) {
		log_failure("the engine stops", &error);
		engine.exit_code = (int)error.code;
	}
	stop(&engine);
	return engine.exit_code;
}

/* Files for appliances without a network: the set, the release, an entitlement and an offline grant in one bundle. A
 * child process writes it, since a large release takes its time; what it may not ask the signer was asked before. A
 * file stands for a day in the exports directory, from which the API hands it out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/packet.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_task.h"
#include "release/chain.h"

#define KEPT_SECONDS (24 * 60 * 60)

struct order_slip {
	char version[STORE_NAME_SIZE];
	int64_t valid; /* seconds */
	struct offline offline;
	struct entitlement entitlement;
};

/* What was not fetched within a day, and what a child left half written. */
static void sweep(const struct engine *engine)
{
	int copy = openat(engine->exports, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	if (!directory) {
		file_close(&copy);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));) {
		struct stat status;
		if (entry->d_name[0] != '.' &&
		    fstatat(engine->exports, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    status.st_mtime < clock_now() - KEPT_SECONDS)
			unlinkat(engine->exports, entry->d_name, 0);
	}
	closedir(directory);
}

static int read_slip(const struct store_task *task, struct order_slip *slip, struct error *error)
{
	const char *space = strchr(task->argument, ' ');
	if (!space || (size_t)(space - task->argument) >= sizeof slip->version)
		return error_set(error, ERROR_BUG, "task", "an export was asked for in an unknown way");
	snprintf(slip->version, sizeof slip->version, "%.*s", (int)(space - task->argument), task->argument);
	slip->valid = strtoll(space + 1, NULL, 10);
	return 0;
}

/* All that can be said no to here; the appliance asks again. */
static int check_release(struct engine *engine, const char *appliance, struct order_slip *slip, struct error *error)
{
	struct store_release row;
	struct library_release release;
	const char *product = slip->entitlement.product;
	if (library_find(catalogue_targets(engine->catalogue), product, slip->version, &release, error) ||
	    store_release_get(engine->store, product, slip->version, &row, error))
		return -(int)error->code;
	if (release.yanked)
		return error_set(error, ERROR_DATA, "yanked", "%s %s was withdrawn: %s", product, slip->version,
				 release.yank_reason);
	if (row.halted)
		return error_set(error, ERROR_NOT_NOW, "halt", "release %s of %s is halted: %s", row.version, product,
				 row.halt_reason);
	return store_gate_entitled(engine->store, appliance, slip->version, STORE_GATE_PULL, engine->lapsed,
				   clock_now(), error);
}

/* Good for as long as was asked, but no longer than the metadata that it stands on. */
static int fill_grant(struct engine *engine, struct order_slip *slip, struct error *error)
{
	struct offline *offline = &slip->offline;
	int64_t now = clock_now(), expires = 0;
	catalogue_describe(engine->catalogue, offline, &expires);
	if (expires <= now)
		return error_set(error, ERROR_DATA, "freeze",
				 "the imported metadata has expired: have the release engineers sign it anew");
	snprintf(offline->appliance, sizeof offline->appliance, "%s", slip->entitlement.appliance);
	snprintf(offline->product, sizeof offline->product, "%s", slip->entitlement.product);
	snprintf(offline->version, sizeof offline->version, "%s", slip->version);
	offline->issued = now;
	offline->expires = expires < now + slip->valid ? expires : now + slip->valid;
	slip->entitlement.issued = now;
	slip->entitlement.expires = offline->expires;
	return 0;
}

static int prepare(struct engine *engine, const struct store_task *task, struct order_slip *slip,
		   json_t **ret_entitlement, json_t **ret_offline, struct error *error)
{
	if (!engine->catalogue)
		return error_set(error, ERROR_NOT_NOW, "release", "nothing was imported yet");
	if (read_slip(task, slip, error) ||
	    store_gate_entitlement(engine->store, task->target, engine->lapsed, clock_now(), &slip->entitlement,
				   error) ||
	    check_release(engine, task->target, slip, error) || fill_grant(engine, slip, error) ||
	    sign_document(engine, "entitlement", entitlement_document(&slip->entitlement), ret_entitlement, error))
		return -(int)error->code;
	return sign_document(engine, "offline", offline_document(&slip->offline), ret_offline, error);
}

/* --- the child --- */

static int add_envelope(struct bundle_writer *writer, const char *name, const json_t *envelope, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(OFFLINE_MOST);
	if (jsonio_write(envelope, false, &bytes, error))
		return -(int)error->code;
	return bundle_add(writer, name, bytes.data, bytes.size, error);
}

static int write_file(const struct engine *engine, const char *name, const struct order_slip *slip,
		      const json_t *entitlement, const json_t *offline, struct error *error)
{
	CLEANUP(bundle_writer_free) struct bundle_writer *writer = NULL;
	const json_t *targets = catalogue_targets(engine->catalogue);
	const struct chain_set set = {
		.targets = targets,
		.snapshot_version = slip->offline.snapshot_version,
		.targets_version = jsonio_integer(targets, "version"),
	};
	if (bundle_create(name, &writer, error) ||
	    chain_write_set(engine->releases, &set, slip->offline.product, slip->version, writer, error) ||
	    add_envelope(writer, "entitlement.json", entitlement, error) ||
	    add_envelope(writer, "offline.json", offline, error))
		return -(int)error->code;
	return bundle_close(writer, error);
}

/* Of the engine's descriptors it keeps two directories and the one it answers on. */
static void keep_only(const struct engine *engine, int answer)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fd != engine->releases && fd != engine->exports && fd != answer)
			close(fd);
	syscall(SYS_close_range, 1024, ~0U, 0);
}

static _Noreturn void be_writer(const struct engine *engine, int answer, pid_t parent, int64_t task,
				const struct order_slip *slip, const json_t *entitlement, const json_t *offline)
{
	struct error error = {0}, lost = {0};
	char name[64];
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	keep_only(engine, answer);
	snprintf(name, sizeof name, "%lld.bundle", (long long)task);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(ERROR_BUG);
	int result = fchdir(engine->exports) < 0
			     ? error_set_errno(&error, ERROR_CANNOT_CREATE, "directory", "the exports directory")
			     : sandbox_enter(SANDBOX_FILES, "export", &error);
	if (result == 0)
		result = write_file(engine, name, slip, entitlement, offline, &error);
	json_t *answered =
		result == 0 ? json_pack("{s:{}}", "ok") : packet_refusal(&error);
	result = packet_send_take(answer, answered, -1, &lost);
	_exit(result == 0 ? 0 : ERROR_BUG);
}

/* --- the parent --- */

static void finish_take(struct engine *engine, int64_t task, json_t *result)
{
	CLEANUP(jsonio_free) json_t *owned = result;
	struct error error = {0};
	if (!owned || store_task_done(engine->store, task, owned, clock_now(), &error))
		log_failure("export", &error);
}

static void refuse(struct engine *engine, int64_t task, const struct error *why)
{
	log_failure("export", why);
	finish_take(engine, task, packet_refusal(why));
}

void exports_drop(struct engine *engine)
{
	struct export *export = &engine->export;
	if (export->answer >= 0)
		loop_forget(engine->loop, export->answer);
	file_close(&export->answer);
	if (export->pid > 0) {
		kill(export->pid, SIGKILL);
		waitpid(export->pid, NULL, 0);
	}
	jsonio_free(&export->result);
	*export = (struct export){.answer = -1};
}

static void child_ready(void *context, int fd, uint32_t events UNUSED)
{
	struct engine *engine = context;
	struct export *export = &engine->export;
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int extra = -1;
	struct error error = {0};
	if (packet_receive(fd, &message, &extra, &error) == 0 && json_object_get(message, "ok")) {
		log_write(LOG_LEVEL_NOTICE, "export %lld is written", (long long)export->task);
		finish_take(engine, export->task, json_incref(export->result));
	} else {
		const json_t *refusal = jsonio_member(message, "error");
		if (!refusal || packet_to_error(refusal, &error) == 0)
			error_set(&error, ERROR_BUG, "export", "the export ended without an answer");
		refuse(engine, export->task, &error);
	}
	exports_drop(engine);
	engine_wake(engine);
}

static int start_child(struct engine *engine, const struct store_task *task, const struct order_slip *slip,
		       const json_t *entitlement, const json_t *offline, struct error *error)
{
	struct export *export = &engine->export;
	pid_t parent = getpid();
	int pair[2];
	if (process_socketpair(false, pair, error))
		return -(int)error->code;
	export->pid = fork();
	if (export->pid == 0)
		be_writer(engine, pair[1], parent, task->id, slip, entitlement, offline);
	close(pair[1]);
	export->answer = pair[0];
	export->task = task->id;
	if (export->pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "an export cannot be started");
	return loop_watch(engine->loop, export->answer, EPOLLIN, child_ready, engine, error);
}

void exports_run(struct engine *engine, const struct store_task *task)
{
	CLEANUP(jsonio_free) json_t *entitlement = NULL, *offline = NULL;
	struct order_slip slip = {0};
	struct error error = {0};
	/* One at a time; the others stay in the store until it is done. */
	if (engine->export.task)
		return;
	sweep(engine);
	if (prepare(engine, task, &slip, &entitlement, &offline, &error) ||
	    start_child(engine, task, &slip, entitlement, offline, &error)) {
		exports_drop(engine);
		refuse(engine, task->id, &error);
		return;
	}
	engine->export.result =
		json_pack("{s:s, s:s, s:s, s:I}", "appliance", task->target, "product", slip.offline.product, "version",
			  slip.version, "expires", (json_int_t)slip.offline.expires);
}

#include "orchestrator/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/packet.h"
#include "base/process.h"
#include "keys/sshkey.h"
#include "orchestrator/supervisor/listen.h"
#include "orchestrator/supervisor/notify.h"

#define SUPERVISOR_BACKOFF_MOST_MS 30000
/* A role that lived this long has recovered: its next death is a first one. */
#define SUPERVISOR_STEADY_MS 60000
#define SUPERVISOR_STOP_MS   10000
/* An import that takes longer than this hangs. */
#define SUPERVISOR_IMPORT_MS (6 * 60 * 60 * 1000)

enum role_name { ROLE_HUB, ROLE_SIGNER, ROLE_ENGINE, ROLE_API, ROLES };

struct supervisor;

/* A role's settings packet; NULL when memory ends. */
typedef json_t *role_settings(const struct supervisor *supervisor);

static json_t *hub_settings(const struct supervisor *supervisor);
static json_t *signer_settings(const struct supervisor *supervisor);
static json_t *engine_settings(const struct supervisor *supervisor);
static json_t *api_settings(const struct supervisor *supervisor);

static const struct {
	const char *name, *title;
	role_settings *settings;
	bool listens_tcp, listens_unix, own_user;
} rows[ROLES] = {
	[ROLE_HUB] = {"hub", "nightshiftd: hub", hub_settings, true, false, true},
	[ROLE_SIGNER] = {"signer", "nightshiftd: signer", signer_settings, false, false, false},
	[ROLE_ENGINE] = {"engine", "nightshiftd: engine", engine_settings, false, false, false},
	[ROLE_API] = {"api", "nightshiftd: api", api_settings, false, true, false},
};

/* Who talks to whom. */
static const struct {
	enum role_name a, b;
} introductions[] = {{ROLE_ENGINE, ROLE_HUB}, {ROLE_ENGINE, ROLE_SIGNER}};

struct role {
	struct supervisor *supervisor;
	enum role_name name;
	pid_t pid; /* 0: not running */
	int socket;
	int64_t started, backoff; /* ms */
};

struct supervisor {
	const struct settings *settings;
	struct loop *loop;
	struct role roles[ROLES];
	pid_t import; /* 0: none runs */
	uint64_t import_timer;
	int tcp[LISTEN_MOST], api, api_lock;
	size_t tcp_count;
	struct buffer host_key; /* text */
	char host_key_hash[HASH_HEX_SIZE];
	uid_t hub_uid;
	gid_t hub_gid;
	bool stopping;
};

static json_t *hub_settings(const struct supervisor *supervisor)
{
	return json_pack("{s:{s:s, s:i}}", "set", "host_key", (const char *)supervisor->host_key.data, "listen",
			 (int)supervisor->tcp_count);
}

static json_t *signer_settings(const struct supervisor *supervisor)
{
	return json_pack("{s:{s:s, s:s}}", "set", "keys", supervisor->settings->signer_keys, "limits",
			 supervisor->settings->signer_limits);
}

static const char *lapsed_word(const struct settings *settings)
{
	return settings->policy_lapsed == SETTINGS_LAPSED_PUBLISHED ? "published" : "blocked";
}

static json_t *engine_settings(const struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->settings;

	return json_pack("{s:{s:s, s:s, s:s, s:s}}", "set", "store", settings->store_path, "releases",
			 settings->releases_directory, "exports", settings->exports, "lapsed", lapsed_word(settings));
}

static json_t *api_settings(const struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->settings;

	return json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "set", "store", settings->store_path, "exports",
			 settings->exports, "public",
			 settings->hub_public[0] ? settings->hub_public : settings->hub_listen, "host_key",
			 supervisor->host_key_hash, "lapsed", lapsed_word(settings), "approvals",
			 settings->policy_approvals == SETTINGS_APPROVALS_SECOND_PERSON ? "second-person" : "none");
}

static void start_role(void *context);

static void introduce_pair(struct role *a, struct role *b)
{
	int pair[2];
	struct error error = {0};

	if (!a->pid || !b->pid)
		return;
	if (process_socketpair(false, pair, &error) < 0) {
		log_failure("two roles cannot be introduced", &error);
		return;
	}
	if (packet_send_take(a->socket, json_pack("{s:s}", "peer", rows[b->name].name), pair[0], &error) < 0 ||
	    packet_send_take(b->socket, json_pack("{s:s}", "peer", rows[a->name].name), pair[1], &error) < 0)
		log_failure("two roles cannot be introduced", &error);
	close(pair[0]);
	close(pair[1]);
}

static void introduce(struct supervisor *supervisor, enum role_name newcomer)
{
	for (size_t i = 0; i < ARRAY_SIZE(introductions); i++)
		if (introductions[i].a == newcomer || introductions[i].b == newcomer)
			introduce_pair(&supervisor->roles[introductions[i].a], &supervisor->roles[introductions[i].b]);
}

static void end_import(void *context)
{
	struct supervisor *supervisor = context;

	loop_cancel(supervisor->loop, supervisor->import_timer);
	supervisor->import_timer = 0;
	if (!supervisor->import)
		return;
	kill(supervisor->import, SIGKILL);
	/* Gone before the next one may begin: both would work in one place. */
	while (waitpid(supervisor->import, NULL, 0) < 0 && errno == EINTR)
		;
	supervisor->import = 0;
}

/* Opened here, so that the import process needs no path: it reads beneath one descriptor and writes beneath another. */
static int start_import(struct supervisor *supervisor, const char *directory, int *ret_result, struct error *error)
{
	static const char *const arguments[] = {"role", "import", NULL};
	CLEANUP(file_close) int source = -1;
	CLEANUP(file_close) int releases = -1;
	CLEANUP(file_close) int ours = -1;
	CLEANUP(file_close) int its = -1;
	int pair[2];

	if (supervisor->import)
		return error_set(error, ERROR_NOT_NOW, "busy", "an import is running; the next one may begin after it");
	int status = file_open_directory(directory, &source, error);
	if (status == 0)
		status = file_open_directory(supervisor->settings->releases_directory, &releases, error);
	if (status == 0)
		status = process_socketpair(false, pair, error);
	if (status < 0)
		return status;
	ours = pair[0];
	its = pair[1];
	const int fds[] = {its, source, releases};
	const struct process_role role = {.title = "nightshiftd: import",
					  .arguments = arguments,
					  .fds = fds,
					  .fd_count = ARRAY_SIZE(fds),
					  .uid = (uid_t)-1};
	status = process_start_role(&role, &supervisor->import, error);
	if (status < 0)
		return status;
	supervisor->import_timer = loop_after(supervisor->loop, SUPERVISOR_IMPORT_MS, end_import, supervisor);
	*ret_result = ours;
	ours = -1;
	return 0;
}

/* What cannot be started is told where the descriptor would have come. */
static int answer_import(struct role *engine, const json_t *message, struct error *error)
{
	const char *directory = jsonio_string(message, "directory");
	json_int_t id = (json_int_t)jsonio_integer(message, "import");
	CLEANUP(file_close) int result = -1;
	struct error why = {0};

	if (!directory)
		return error_set(error, ERROR_DATA, "format", "the engine asks for the import of nothing");
	if (start_import(engine->supervisor, directory, &result, &why) == 0)
		return packet_send_take(engine->socket, json_pack("{s:I}", "import", id), result, error);
	return packet_send_take(engine->socket, json_pack("{s:I, s:o}", "import", id, "error", packet_from_error(&why)),
				-1, error);
}

/* One that lost a peer which lives on (a time-out, a queue that ran over) asks to meet it again. */
static int answer_introduction(struct role *engine, const char *name, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(introductions); i++)
		if (strcmp(rows[introductions[i].b].name, name) == 0) {
			introduce_pair(engine, &engine->supervisor->roles[introductions[i].b]);
			return 0;
		}
	return error_set(error, ERROR_DATA, "format", "the engine asks for a peer that it does not have");
}

static int take_request(struct role *role, struct error *error)
{
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int fd = -1;
	int status = packet_receive(role->socket, &message, &fd, error);

	if (status < 0)
		return status;
	const char *peer = jsonio_string(message, "introduce");
	if (role->name == ROLE_ENGINE && peer)
		return answer_introduction(role, peer, error);
	if (role->name == ROLE_ENGINE && json_is_integer(jsonio_member(message, "import")))
		return answer_import(role, message, error);
	return error_set(error, ERROR_DATA, "format", "%s asks for something that it may not have",
			 rows[role->name].name);
}

static void role_ready(void *context, int fd, uint32_t events UNUSED)
{
	struct role *role = context;
	struct error error = {0};
	int status = take_request(role, &error);

	if (status == 0 || status == -ERROR_NOT_NOW)
		return;
	/* Its death is seen by SIGCHLD. What speaks nonsense, or does not read, is started anew. */
	if (status != -ERROR_UNREACHABLE) {
		log_failure(rows[role->name].name, &error);
		kill(role->pid, SIGKILL);
	}
	loop_forget(role->supervisor->loop, fd);
}

static int launch(struct role *role, struct error *error)
{
	struct supervisor *supervisor = role->supervisor;
	const char *const arguments[] = {"role", rows[role->name].name, NULL};
	int fds[LISTEN_MOST + 2], pair[2];
	size_t count = 0;
	int status = process_socketpair(false, pair, error);

	if (status < 0)
		return status;
	fds[count++] = pair[1];
	for (size_t i = 0; rows[role->name].listens_tcp && i < supervisor->tcp_count; i++)
		fds[count++] = supervisor->tcp[i];
	if (rows[role->name].listens_unix)
		fds[count++] = supervisor->api;
	const struct process_role start = {
		.title = rows[role->name].title,
		.arguments = arguments,
		.fds = fds,
		.fd_count = count,
		.uid = rows[role->name].own_user ? supervisor->hub_uid : (uid_t)-1,
		.gid = supervisor->hub_gid,
	};
	status = process_start_role(&start, &role->pid, error);
	close(pair[1]);
	if (status < 0) {
		close(pair[0]);
		return status;
	}
	role->socket = pair[0];
	role->started = clock_ticks_ms();
	/* Nobody who does not read may stop us. */
	if (fcntl(role->socket, F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(error, ERROR_BUG, "process", "%s cannot be spoken to", start.title);
	status = packet_send_take(role->socket, rows[role->name].settings(supervisor), -1, error);
	if (status == 0)
		status = loop_watch(supervisor->loop, role->socket, EPOLLIN, role_ready, role, error);
	return status;
}

static void start_later(struct role *role)
{
	if (!loop_after(role->supervisor->loop, role->backoff, start_role, role))
		loop_stop(role->supervisor->loop);
	role->backoff = role->backoff == 0                               ? 1000
			: 2 * role->backoff > SUPERVISOR_BACKOFF_MOST_MS ? SUPERVISOR_BACKOFF_MOST_MS
									 : 2 * role->backoff;
}

static void start_role(void *context)
{
	struct role *role = context;
	struct error error = {0};

	if (role->supervisor->stopping)
		return;
	if (launch(role, &error) == 0) {
		introduce(role->supervisor, role->name);
		return;
	}
	log_failure(rows[role->name].name, &error);
	/* One that runs without its settings is started again when its end is seen. */
	if (role->pid)
		kill(role->pid, SIGKILL);
	else
		start_later(role);
}

static void role_ended(struct role *role, int status)
{
	struct supervisor *supervisor = role->supervisor;

	loop_forget(supervisor->loop, role->socket);
	file_close(&role->socket);
	role->pid = 0;
	/* Nobody is left who waits for its outcome; the next engine asks for it anew. */
	if (role->name == ROLE_ENGINE)
		end_import(supervisor);
	if (supervisor->stopping)
		return;
	if (clock_ticks_ms() - role->started > SUPERVISOR_STEADY_MS)
		role->backoff = 0;
	log_write(LOG_LEVEL_WARNING, "%s ended (%s %d); it is started again in %lld s", rows[role->name].name,
		  WIFSIGNALED(status) ? "signal" : "exit code",
		  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)(role->backoff / 1000));
	start_later(role);
}

static void reap(void *context, int signal_number UNUSED)
{
	struct supervisor *supervisor = context;
	int status = 0;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid == supervisor->import) {
			supervisor->import = 0;
			end_import(supervisor);
		}
		for (size_t i = 0; i < ROLES; i++)
			if (supervisor->roles[i].pid == pid)
				role_ended(&supervisor->roles[i], status);
	}
}

/* The API and the engine are told before those that they work with. */
static void stop_roles(struct supervisor *supervisor)
{
	int64_t deadline = clock_ticks_ms() + SUPERVISOR_STOP_MS;

	supervisor->stopping = true;
	for (size_t i = ROLES; i > 0; i--) {
		struct role *role = &supervisor->roles[i - 1];
		if (role->pid)
			kill(role->pid, SIGTERM);
		file_close(&role->socket);
	}
	for (size_t i = 0; i < ROLES; i++) {
		struct role *role = &supervisor->roles[i];
		while (role->pid && waitpid(role->pid, NULL, WNOHANG) == 0) {
			if (clock_ticks_ms() > deadline)
				kill(role->pid, SIGKILL);
			usleep(5000);
		}
		role->pid = 0;
	}
	end_import(supervisor);
}

static int read_host_key(struct supervisor *supervisor, struct error *error)
{
	const char *path = supervisor->settings->hub_host_key;
	uint8_t seed[SECRET_ED25519_SEED], public_key[SECRET_ED25519_PUBLIC], secret[SECRET_ED25519_SECRET];
	uint8_t blob[SSHKEY_BLOB_SIZE], hash[HASH_SIZE];

	supervisor->host_key = BUFFER_INIT(SSHKEY_FILE_MOST);
	int status = file_read_at(AT_FDCWD, path, &supervisor->host_key, error);
	if (status < 0)
		return error_set(error, ERROR_CONFIG, "host-key",
				 "the hub's host key %s cannot be read; nightshiftd --init makes it", path);
	status = sshkey_read(supervisor->host_key.data, supervisor->host_key.size, seed, error);
	if (status < 0)
		return error_prefix(error, "%s", path);
	secret_ed25519_from_seed(seed, public_key, secret);
	secret_wipe(seed, sizeof seed);
	secret_wipe(secret, sizeof secret);
	sshkey_blob(public_key, blob);
	hash_bytes(HASH_SHA256, blob, sizeof blob, hash);
	hash_to_hex(hash, sizeof hash, supervisor->host_key_hash);
	return 0;
}

/* Started as root, the process that meets the internet is somebody else. */
static int find_hub_user(struct supervisor *supervisor, struct error *error)
{
	const char *name = supervisor->settings->hub_user[0] ? supervisor->settings->hub_user : "nobody";

	supervisor->hub_uid = (uid_t)-1;
	return geteuid() == 0 ? process_user(name, &supervisor->hub_uid, &supervisor->hub_gid, error) : 0;
}

static int prepare(struct supervisor *supervisor, struct error *error)
{
	const struct settings *settings = supervisor->settings;
	int status = 0;

	if (settings->api_tls_listen[0])
		return error_set(error, ERROR_CONFIG, "tls",
				 "[api] tls_listen: this version has no TLS port; leave it empty");
	if (settings->mail_relay[0])
		log_write(LOG_LEVEL_WARNING, "[mail] relay is set, but this version sends no mail");
	status = read_host_key(supervisor, error);
	if (status == 0)
		status = find_hub_user(supervisor, error);
	if (status == 0)
		status = listen_tcp(settings->hub_listen, supervisor->tcp, &supervisor->tcp_count, error);
	if (status == 0)
		status = listen_unix(settings->api_socket, &supervisor->api, &supervisor->api_lock, error);
	if (status == 0)
		status = loop_new(&supervisor->loop, error);
	return status;
}

int supervisor_run(const struct settings *settings, struct error *error)
{
	struct supervisor supervisor = {.settings = settings, .api = -1, .api_lock = -1};

	for (int i = 0; i < ROLES; i++)
		supervisor.roles[i] = (struct role){.supervisor = &supervisor, .name = (enum role_name)i, .socket = -1};
	/* The hub's host key passes through here. */
	secret_protect_process();
	int status = prepare(&supervisor, error);
	if (status == 0) {
		loop_on_signal(supervisor.loop, SIGCHLD, reap, &supervisor);
		for (int i = 0; i < ROLES; i++)
			start_role(&supervisor.roles[i]);
		notify_ready();
		log_write(LOG_LEVEL_INFO, "the hub listens at %s, the API at %s", settings->hub_listen,
			  settings->api_socket);
		status = loop_run(supervisor.loop, true, error);
		stop_roles(&supervisor);
		unlink(settings->api_socket);
	}
	for (size_t i = 0; i < supervisor.tcp_count; i++)
		file_close(&supervisor.tcp[i]);
	file_close(&supervisor.api);
	file_close(&supervisor.api_lock);
	buffer_wipe(&supervisor.host_key);
	loop_free(&supervisor.loop);
	return status;
}

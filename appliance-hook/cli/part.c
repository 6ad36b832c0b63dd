#include "appliance-hook/cli/part.h"

#include <assert.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/act.h"
#include "appliance-hook/check/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "keys/role.h"

const char *const part_titles[PARTS] = {"appliance-hook: link", "appliance-hook: check", "appliance-hook: act"};

enum { FIRST_FD = 3 };

static int run_link(const struct hook_settings *settings, const struct places_users *users, struct error *error);
static int run_check(const struct hook_settings *settings, const struct places_users *users, struct error *error);
static int run_act(const struct hook_settings *settings, const struct places_users *users, struct error *error);

static const struct {
	const char *name;
	int (*run)(const struct hook_settings *settings, const struct places_users *users, struct error *error);
} parts[PARTS] = {
	[PART_LINK] = {"link", run_link},
	[PART_CHECK] = {"check", run_check},
	[PART_ACT] = {"act", run_act},
};

int part_start(enum part part, const struct hook_settings *settings, const int *fds, size_t fd_count, pid_t *ret_pid,
	       struct error *error)
{
	const char *const arguments[] = {"part", parts[part].name, "--config", settings->file, NULL};
	struct process_role role = {
		.title = part_titles[part],
		.arguments = arguments,
		.fds = fds,
		.fd_count = fd_count,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
	};
	return process_start_role(&role, ret_pid, error);
}

/* For good, and still ending with serve: a change of user clears the signal of the parent's death. */
static int become(const struct places_user *user, const char *name, struct error *error)
{
	pid_t parent = getppid();
	if (user->uid == (uid_t)-1)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0 || setuid(0) == 0)
		return error_set_errno(error, ERROR_CONFIG, "user", "%s cannot become its own user", name);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return error_set(error, ERROR_UNREACHABLE, "serve", "serve has gone");
	return 0;
}

struct link_settings part_link_settings(const struct hook_settings *settings)
{
	struct link_settings link = {
		.address = settings->hub_address,
		.port_count = settings->port_count,
		.proxy = settings->hub_proxy,
		.proxy_password_file = settings->hub_proxy_password_file,
		.jitter = settings->hub_jitter,
	};
	static_assert(sizeof(link.ports) == sizeof(settings->ports), "as many ports here as there");
	memcpy(link.ports, settings->ports, sizeof(link.ports));
	return link;
}

static int run_link(const struct hook_settings *settings, const struct places_users *users, struct error *error)
{
	struct link_settings link = part_link_settings(settings);
	if (become(&users->link, "link", error) < 0)
		return -(int)error->code;
	/* Where serve gave none, something of a library's may stand under that number. */
	struct stat status;
	int listener = fstat(FIRST_FD + 3, &status) == 0 && S_ISSOCK(status.st_mode) ? FIRST_FD + 3 : -1;
	return link_main(FIRST_FD, FIRST_FD + 1, FIRST_FD + 2, listener, &link);
}

static int open_zones(void)
{
	const char *path = getenv("TZDIR");
	return open(path ? path : "/usr/share/zoneinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int run_check(const struct hook_settings *settings, const struct places_users *users, struct error *error)
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	CLEANUP(buffer_free) struct buffer root = BUFFER_INIT(ROLE_ROOT_MOST);
	CLEANUP(file_close) int zones = open_zones();
	if (places_open(settings, users, &places, error) < 0)
		return -(int)error->code;
	if (file_read_at(AT_FDCWD, settings->trust_root, &root, error) < 0)
		return error_prefix(error, "the installed root of trust");
	struct check_places given = {
		.trust = places.trust,
		.metadata = places.metadata,
		.product = places.product,
		.releases = places.releases,
		.zones = zones,
		.product_name = settings->product,
		.root = &root,
	};
	clock_boot_id(given.boot);
	/* Not check's: what is link's, and the directory that holds everything. */
	file_close(&places.link);
	file_close(&places.state);
	if (become(&users->check, "check", error) < 0)
		return -(int)error->code;
	return check_main(FIRST_FD, FIRST_FD + 1, FIRST_FD + 2, &given, error);
}

static int run_act(const struct hook_settings *settings, const struct places_users *users UNUSED,
		   struct error *error UNUSED)
{
	return act_main(FIRST_FD, FIRST_FD + 1, settings);
}

int part_run(const char *name, const struct hook_settings *settings, struct error *error)
{
	struct places_users users;
	if (places_find_users(settings, &users, error) < 0)
		return -(int)error->code;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (strcmp(parts[i].name, name) != 0)
			continue;
		log_start(parts[i].name, LOG_LEVEL_INFO);
		return parts[i].run(settings, &users, error);
	}
	return error_set(error, ERROR_USAGE, "part", "the hook has no part \"%s\"", name);
}

#include "appliance-hook/link/reflect.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "dialogue/offer.h"
#include "release/manifest.h"
#include "release/mirror.h"

struct reflect {
	struct mirror *mirror;
	struct error why; /* code set: the URL is of no use, whatever is asked for */
};

static void end_reflect(struct reflect *reflect)
{
	mirror_free(&reflect->mirror);
}

static int send(void *context, const void *bytes, size_t size, struct error *error)
{
	return offer_bytes(context, bytes, size, error);
}

/* Only what a repository publishes has a name. How long each may be is known to who asks; this is the most of any. */
static int answer(void *context, const char *name, struct offer *offer, struct error *error)
{
	static const char *const published[] = {"metadata/", "targets/", "blobs/"};
	struct reflect *reflect = context;
	if (reflect->why.code) {
		*error = reflect->why;
		return -(int)error->code;
	}
	for (size_t i = 0; i < ARRAY_SIZE(published); i++)
		if (strncmp(name, published[i], strlen(published[i])) == 0)
			return mirror_fetch(reflect->mirror, name, MANIFEST_BYTES_MOST,
					    (struct mirror_sink){send, offer}, error);
	return error_set(error, ERROR_DATA, "path", "\"%.200s\" is nothing that a mirror has", name);
}

/* What name resolution and TLS read, and no more: link's own directory is closed to it. */
static int confine(struct error *error)
{
	static const char *const places[] = {
		"/etc", "/lib", "/lib64", "/usr/lib", "/usr/share/ca-certificates", "/run/systemd/resolve"};
	struct sandbox_path paths[ARRAY_SIZE(places)] = {{.fd = -1}};
	size_t count = 0;
	bool enforced = false;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int fd = open(places[i], O_PATH | O_CLOEXEC);
		if (fd >= 0)
			paths[count++].fd = fd;
	}
	int result = sandbox_confine(paths, count, &enforced, error);
	for (size_t i = 0; i < count; i++)
		file_close(&paths[i].fd);
	return result < 0 ? result : sandbox_enter(SANDBOX_FILES | SANDBOX_CONNECT, "link's mirror", error);
}

static void keep_only(int stream)
{
	if (stream > 3)
		syscall(SYS_close_range, 3U, (unsigned)stream - 1, 0);
	syscall(SYS_close_range, (unsigned)stream + 1, ~0U, 0);
}

static _Noreturn void be_reflect(const char *url, int stream, pid_t parent)
{
	CLEANUP(end_reflect) struct reflect reflect = {0};
	const struct mirror_settings settings = {.base_url = url};
	struct error error = {0};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	keep_only(stream);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || confine(&error) < 0)
		_exit(ERROR_BUG);
	if (mirror_open(&settings, &reflect.mirror, &reflect.why) < 0 && reflect.why.code == 0)
		error_set(&reflect.why, ERROR_BUG, "mirror", "the mirror cannot be opened");
	if (offer_run_take(stream, answer, &reflect, &error) < 0) {
		log_failure("the mirror", &error);
		_exit((int)error.code);
	}
	_exit(0);
}

int reflect_start(const char *url, int *ret_stream, struct error *error)
{
	int pair[2];
	if (process_socketpair(true, pair, error) < 0)
		return -(int)error->code;
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		be_reflect(url, pair[1], parent);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "the mirror cannot be asked");
	}
	*ret_stream = pair[0];
	return 0;
}

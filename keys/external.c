#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "keys/external.h"

#define EXTERNAL_TIMEOUT_MS (2 * 60 * 1000)

extern char **environ;

int external_public(const char *program, struct key **ret_key, struct error *error)
{
	CLEANUP(free_pointer) char *beside = NULL, *directory = strdup(program), *shared = NULL;
	char *slash = directory ? strrchr(directory, '/') : NULL;

	if (!slash)
		return error_set(error, ERROR_USAGE, "key", "cmd:%s: the program must be given by its path", program);
	slash[slash == directory] = '\0';
	shared = file_join(directory, "public");
	if (asprintf(&beside, "%s.pub", program) < 0)
		beside = NULL;
	if (!beside || !shared)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "cmd:%s: no memory", program);
	return key_read_file(access(beside, F_OK) ? shared : beside, ret_key, error);
}

/* The message as a file of its own: a program that reads late or not at all cannot block us. */
static int message_file(const void *message, size_t size, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int fd = memfd_create("message", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "memory", "cannot hold the bytes to sign");
	r = file_write_fd(fd, "message", message, size, error);
	if (r)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_set_errno(error, ERROR_BUG, "signer", "cannot rewind the bytes to sign");
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int start(const char *program, int input, int output, pid_t *ret_child)
{
	char *argv[] = {(char *)program, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int failed = posix_spawn_file_actions_init(&actions);

	if (failed)
		return failed;
	failed = posix_spawnattr_init(&attributes);
	if (!failed) {
		sigemptyset(&none);
		failed = posix_spawnattr_setsigmask(&attributes, &none);
		if (!failed)
			failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
		if (!failed)
			failed = posix_spawn_file_actions_adddup2(&actions, input, 0);
		if (!failed)
			failed = posix_spawn_file_actions_adddup2(&actions, output, 1);
		if (!failed)
			failed = posix_spawn(ret_child, program, &actions, &attributes, argv, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

/* Up to a hexadecimal signature and its line end. */
static int read_answer(int fd, const char *program, struct buffer *answer, struct error *error)
{
	int64_t deadline = clock_ticks_ms() + EXTERNAL_TIMEOUT_MS;

	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - clock_ticks_ms();
		uint8_t bytes[512];
		ssize_t n;
		int r;

		if (left <= 0)
			return error_set(error, ERROR_NOT_NOW, "timeout", "cmd:%s gave no signature within two minutes",
					 program);
		if (poll(&wait, 1, (int)left) <= 0)
			continue;
		n = read(fd, bytes, sizeof bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, ERROR_BUG, "signer", "cmd:%s: cannot read its answer", program);
		if (n == 0)
			return 0;
		r = buffer_append(answer, bytes, (size_t)n, error);
		if (r)
			return error_prefix(error, "cmd:%s", program);
	}
}

static int run(const char *program, const void *message, size_t size, struct buffer *answer, struct error *error)
{
	CLEANUP(file_close) int input = -1, ours = -1, theirs = -1;
	int ends[2], status = -1, failed, r;
	pid_t child;

	r = message_file(message, size, &input, error);
	if (r)
		return r;
	if (pipe2(ends, O_CLOEXEC))
		return error_set_errno(error, ERROR_BUG, "signer", "cmd:%s: no pipe", program);
	ours = ends[0];
	theirs = ends[1];
	failed = start(program, input, theirs, &child);
	if (failed)
		return error_set(error, ERROR_USAGE, "signer", "cmd:%s cannot be started: %s", program,
				 strerror(failed));
	file_close(&theirs);
	r = read_answer(ours, program, answer, error);
	if (r)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!r && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return error_set(error, ERROR_DATA, "signer", "cmd:%s did not sign; it ended with status %d", program,
				 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return r;
}

static bool is_hexadecimal(const struct buffer *answer, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isxdigit(answer->data[i]))
			return false;
	return size > 0 && size % 2 == 0;
}

int external_sign(const char *program, const void *message, size_t size,
		  uint8_t ret_signature[static KEY_SIGNATURE_MOST], size_t *ret_size, struct error *error)
{
	CLEANUP(buffer_free) struct buffer answer = BUFFER_INIT(2 * KEY_SIGNATURE_MOST + 2);
	size_t text;
	int r = run(program, message, size, &answer, error);

	if (r)
		return r;
	text = answer.size;
	while (text && isspace(answer.data[text - 1]))
		text--;
	if (is_hexadecimal(&answer, text)) {
		answer.data[text] = '\0';
		r = hash_from_hex((const char *)answer.data, ret_signature, text / 2, error);
		if (!r)
			*ret_size = text / 2;
		return r;
	}
	if (answer.size == 0 || answer.size > KEY_SIGNATURE_MOST)
		return error_set(error, ERROR_DATA, "signer", "cmd:%s printed %zu bytes, which is no signature",
				 program, answer.size);
	memcpy(ret_signature, answer.data, answer.size);
	*ret_size = answer.size;
	return 0;
}

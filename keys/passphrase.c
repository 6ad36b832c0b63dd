#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/passphrase.h"

#define CREDENTIAL "nightshift-passphrase"

static int no_passphrase(const char *what, struct error *error)
{
	return error_set(error, ERROR_USAGE, "passphrase", "%s: the passphrase is empty", what);
}

/* The first line of a file, or of a pipe that a shell made: opened here, since those are symbolic links. */
static int from_file(const char *path, struct buffer *ret_text, struct error *error)
{
	CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	uint8_t *end;
	int r;

	if (fd < 0)
		return error_set_errno(error, ERROR_USAGE, "passphrase", "cannot read the passphrase file %s", path);
	ret_text->limit = PASSPHRASE_MOST;
	r = file_read_fd(fd, path, ret_text, error);
	if (r)
		return r;
	end = ret_text->size ? memchr(ret_text->data, '\n', ret_text->size) : NULL;
	if (end)
		ret_text->size = (size_t)(end - ret_text->data);
	if (ret_text->size && ret_text->data[ret_text->size - 1] == '\r')
		ret_text->size--;
	return ret_text->size ? 0 : no_passphrase(path, error);
}

/* One line from the terminal. A signal ends the wait and stays pending, so that the terminal is put right first. */
static int read_line(int terminal, int signals, struct buffer *ret_text, struct error *error)
{
	for (;;) {
		struct pollfd wait[] = {{.fd = terminal, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
		char byte;
		int r;

		if (poll(wait, ARRAY_SIZE(wait), -1) < 0 && errno != EINTR)
			return error_set_errno(error, ERROR_BUG, "terminal", "cannot wait for the terminal");
		if (wait[1].revents)
			return error_set(error, ERROR_USAGE, "passphrase", "no passphrase was given");
		if (!wait[0].revents)
			continue;
		if (read(terminal, &byte, 1) != 1)
			return error_set(error, ERROR_USAGE, "passphrase",
					 "the terminal closed before a passphrase came");
		if (byte == '\n')
			return 0;
		r = buffer_append(ret_text, &byte, 1, error);
		secret_wipe(&byte, 1);
		if (r)
			return r;
	}
}

static int ask(int terminal, const char *question, const char *what, struct buffer *ret_text, struct error *error)
{
	CLEANUP(file_close) int signals = -1;
	struct termios before, quiet;
	sigset_t fatal, old;
	uint8_t *room;
	int r;

	/* All at once: a buffer that grows leaves copies behind. */
	ret_text->limit = PASSPHRASE_MOST;
	r = buffer_reserve(ret_text, PASSPHRASE_MOST, &room, error);
	if (r)
		return r;
	if (tcgetattr(terminal, &before))
		return error_set_errno(error, ERROR_USAGE, "passphrase", "%s: no terminal to ask at", what);
	sigemptyset(&fatal);
	for (size_t i = 0; i < 5; i++)
		sigaddset(&fatal, (int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}[i]);
	sigprocmask(SIG_BLOCK, &fatal, &old);
	signals = signalfd(-1, &fatal, SFD_CLOEXEC);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON | ECHONL;
	r = tcsetattr(terminal, TCSAFLUSH, &quiet) ? error_set_errno(error, ERROR_BUG, "terminal", "echo stays on") : 0;
	if (!r && dprintf(terminal, "%s %s: ", question, what) < 0)
		r = error_set_errno(error, ERROR_BUG, "terminal", "cannot write to the terminal");
	if (!r)
		r = read_line(terminal, signals, ret_text, error);
	tcsetattr(terminal, TCSAFLUSH, &before);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (!r && ret_text->size == 0)
		return no_passphrase(what, error);
	return r;
}

static int from_terminal(bool confirm, const char *what, struct buffer *ret_text, struct error *error)
{
	CLEANUP(file_close) int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	CLEANUP(buffer_wipe) struct buffer again = {0};
	int r;

	if (terminal < 0)
		return error_set(error, ERROR_USAGE, "passphrase",
				 "%s is sealed and there is no terminal to ask at; give --passphrase-file", what);
	r = ask(terminal, confirm ? "New passphrase for" : "Passphrase for", what, ret_text, error);
	if (r || !confirm)
		return r;
	r = ask(terminal, "The same again for", what, &again, error);
	if (r)
		return r;
	if (again.size != ret_text->size || !secret_equal(again.data, ret_text->data, again.size))
		return error_set(error, ERROR_USAGE, "passphrase", "%s: the two passphrases differ", what);
	return 0;
}

int passphrase_read(const struct key_passphrase *source, const char *what, struct buffer *ret_text, struct error *error)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	CLEANUP(free_pointer) char *credential = NULL;

	if (source->file)
		return from_file(source->file, ret_text, error);
	if (directory) {
		credential = file_join(directory, CREDENTIAL);
		if (credential && !access(credential, R_OK))
			return from_file(credential, ret_text, error);
	}
	return from_terminal(source->confirm, what, ret_text, error);
}

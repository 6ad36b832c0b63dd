#include "appliance-hook/act/probe_net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/web.h"

#define NOBODY          65534
#define PROBE_BODY_MOST (256 * 1024)
#define PROBE_MEMORY    (512UL * 1024 * 1024)

/* The address sanitizer reserves more than any limit leaves. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define PROBE_LIMITS_MEMORY false
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define PROBE_LIMITS_MEMORY false
#endif
#ifndef PROBE_LIMITS_MEMORY
#define PROBE_LIMITS_MEMORY true
#endif

struct question {
	const char *url, *expect;
	int64_t timeout_ms;
};

/* What a child finds: 0, or a sentence. */
typedef int asker(const struct question *question, char *ret_text, size_t size);

static size_t take_body(char *bytes, size_t one, size_t count, void *context)
{
	struct buffer *body = context;
	struct error ignored;
	size_t room = PROBE_BODY_MOST - body->size, size = one * count;

	/* The rest is read and dropped: an answer may be long without being wrong. */
	return buffer_append(body, bytes, size < room ? size : room, &ignored) < 0 ? 0 : size;
}

static bool is_this_machine(const char *url)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *host = strstr(url, "://");

	for (size_t i = 0; host && i < ARRAY_SIZE(names); i++) {
		size_t length = strlen(names[i]);
		if (strncmp(host + 3, names[i], length) == 0 && strchr("/:", host[3 + length]))
			return true;
	}
	return false;
}

static int judge(long code, const struct buffer *body, const char *expect, char *ret_text, size_t size)
{
	bool has_code = strspn(expect, "0123456789") == 3 && (expect[3] == ' ' || expect[3] == '\0');
	long wanted = has_code ? strtol(expect, NULL, 10) : 0;
	const char *text = has_code ? expect + 3 + strspn(expect + 3, " ") : expect;

	if (has_code ? code != wanted : code < 200 || code > 299) {
		snprintf(ret_text, size, "answers %ld", code);
		return -1;
	}
	if (*text && (body->size == 0 || !memmem(body->data, body->size, text, strlen(text)))) {
		snprintf(ret_text, size, "answers %ld without \"%.100s\"", code, text);
		return -1;
	}
	return 0;
}

/* NULL: `ret_text` says why. */
static CURL *begin(struct web *web, char *ret_text, size_t size)
{
	struct error error;

	if (web_load(web, &error) < 0) {
		snprintf(ret_text, size, "%s", error.text);
		return NULL;
	}
	CURL *curl = web->init();
	if (!curl)
		snprintf(ret_text, size, "no memory");
	return curl;
}

static int ask_http(const struct question *question, char *ret_text, size_t size)
{
	struct buffer body = BUFFER_INIT(PROBE_BODY_MOST);
	struct web web;
	CURL *curl = begin(&web, ret_text, size);
	long code = 0;

	if (!curl)
		return -1;
	web.setopt(curl, CURLOPT_URL, question->url);
	web.setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	web.setopt(curl, CURLOPT_PROXY, "");
	web.setopt(curl, CURLOPT_NOSIGNAL, 1L);
	web.setopt(curl, CURLOPT_TIMEOUT_MS, (long)question->timeout_ms);
	web.setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	web.setopt(curl, CURLOPT_WRITEDATA, &body);
	web.setopt(curl, CURLOPT_USERAGENT, "appliance-hook");
	if (is_this_machine(question->url)) {
		web.setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		web.setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	CURLcode result = web.perform(curl);
	web.getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	if (result != CURLE_OK)
		snprintf(ret_text, size, "%s", web.strerror(result));
	int status = result != CURLE_OK ? -1 : judge(code, &body, question->expect, ret_text, size);
	web.cleanup(curl);
	buffer_free(&body);
	return status;
}

/* curl's connect-only mode: its resolver and both address families, and nothing sent. */
static int ask_tcp(const struct question *question, char *ret_text, size_t size)
{
	struct web web;
	CURL *curl = begin(&web, ret_text, size);

	if (!curl)
		return -1;
	web.setopt(curl, CURLOPT_URL, question->url);
	web.setopt(curl, CURLOPT_PROXY, "");
	web.setopt(curl, CURLOPT_NOSIGNAL, 1L);
	web.setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	web.setopt(curl, CURLOPT_TIMEOUT_MS, (long)question->timeout_ms);
	CURLcode result = web.perform(curl);
	if (result != CURLE_OK)
		snprintf(ret_text, size, "%s", web.strerror(result));
	web.cleanup(curl);
	return result == CURLE_OK ? 0 : -1;
}

static void child(asker *ask, const struct question *question, int answer, pid_t parent)
{
	const struct rlimit memory = {PROBE_MEMORY, PROBE_MEMORY};
	char text[256] = "cannot give up root";

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	bool ready = geteuid() != 0 || (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
					setresuid(NOBODY, NOBODY, NOBODY) == 0 && setuid(0) != 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (PROBE_LIMITS_MEMORY && setrlimit(RLIMIT_AS, &memory) < 0)
		ready = false;
	int status = ready ? ask(question, text, sizeof text) : -1;
	if (status < 0 && write(answer, text, strlen(text)) < 0)
		_exit(2);
	_exit(status == 0 ? 0 : 1);
}

static int ask_in_child(asker *ask, const struct question *question, const char *what, struct error *error)
{
	int pipes[2];
	char text[256] = "";
	pid_t parent = getpid();

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_set_errno(error, ERROR_NOT_NOW, "health", "%.200s cannot be asked", what);
	CLEANUP(file_close) int answer = pipes[0];
	pid_t pid = fork();
	if (pid == 0)
		child(ask, question, pipes[1], parent);
	close(pipes[1]);
	if (pid < 0)
		return error_set_errno(error, ERROR_NOT_NOW, "health", "%.200s cannot be asked", what);
	/* The child closes its end when it is done; a name server that does not answer is past curl's own limit. */
	struct pollfd watched = {.fd = answer, .events = POLLIN};
	int64_t deadline = clock_ticks_ms() + question->timeout_ms + 1000;
	int ready = 0;
	while (ready <= 0 && clock_ticks_ms() < deadline)
		ready = poll(&watched, 1, (int)(deadline - clock_ticks_ms()));
	ssize_t size = ready > 0 ? read(answer, text, sizeof text - 1) : -1;
	if (ready <= 0)
		kill(pid, SIGKILL);
	int ended = 0;
	while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0)
		return 0;
	text[size > 0 ? size : 0] = '\0';
	return error_set(error, ERROR_NOT_NOW, "health", "%.200s %s", what, size > 0 ? text : "does not answer");
}

int probe_net_http(const char *url, const char *expect, int64_t timeout_ms, struct error *error)
{
	const struct question question = {.url = url, .expect = expect, .timeout_ms = timeout_ms};

	return ask_in_child(ask_http, &question, url, error);
}

int probe_net_tcp(const char *target, int64_t timeout_ms, struct error *error)
{
	char url[256];
	const struct question question = {.url = url, .expect = "", .timeout_ms = timeout_ms};

	snprintf(url, sizeof url, "http://%.200s/", target);
	return ask_in_child(ask_tcp, &question, target, error);
}

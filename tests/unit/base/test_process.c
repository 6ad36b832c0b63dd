#include "tests/unit/fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/sandbox.h"

static int run(const char *script, int64_t timeout_ms, struct buffer *output, int *ret_status, struct error *error)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	const char *const environment[] = {"GIVEN=yes", NULL};

	return process_run(argv, environment, NULL, timeout_ms, output, ret_status, error);
}

static void runs_in_a_closed_environment(void **state)
{
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(200);
	struct error error;
	int status = -1;

	(void)state;
	setenv("LEAKED", "yes", 1);
	assert_ok(run("echo \"$GIVEN-$LEAKED\"; echo err >&2; cat; ls /proc/self/fd | wc -w; exit 7", 5000, &output,
		      &status, &error),
		  error);
	assert_int_equal(status, 7);
	assert_string_equal((char *)output.data, "yes-\nerr\n4\n");
}

static void bounds_output_and_time(void **state)
{
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(10);
	struct error error;
	int status = -1;

	(void)state;
	assert_ok(run("yes | head -c 300000", 5000, &output, &status, &error), error);
	assert_int_equal(output.size, 10);
	assert_int_equal(status, 0);
	assert_refused(run("exec sleep 30", 50, NULL, &status, &error), error, ERROR_NOT_NOW, "timeout");
	assert_ok(run("kill -9 $$", 5000, NULL, &status, &error), error);
	assert_int_equal(status, 128 + 9);
}

static pid_t read_pid(const char *path)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64);
	struct error ignored;

	return file_read_at(AT_FDCWD, path, &text, &ignored) == 0 && text.size > 1 && text.data[text.size - 1] == '\n'
		       ? (pid_t)strtol((const char *)text.data, NULL, 10)
		       : 0;
}

/* A zombie is gone, too: who reaps it is init's business. */
static bool is_gone(pid_t pid)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(4096);
	char path[64];
	struct error ignored;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	return file_read_at(AT_FDCWD, path, &text, &ignored) < 0 || strstr((const char *)text.data, ") Z ");
}

static bool ends_soon(pid_t pid)
{
	for (int64_t until = clock_ticks_ms() + 10000; clock_ticks_ms() < until; usleep(2000))
		if (is_gone(pid))
			return true;
	kill(pid, SIGKILL);
	return false;
}

/* What a command left running does not go on when the one who ran it was killed, nor past its time. */
static void leaves_nothing_behind(void **state)
{
	char path[128], script[400];
	struct error error;
	int status = -1;
	pid_t left = 0;

	(void)state;
	snprintf(path, sizeof path, "/tmp/nightshift-left-%ld", (long)getpid());
	snprintf(script, sizeof script, "sh -c 'trap \"\" TERM; echo $$ > %s; while :; do sleep 30; done' & wait",
		 path);
	pid_t runner = fork();
	if (runner == 0)
		_exit(run(script, 60000, NULL, &status, &error) < 0);
	while ((left = read_pid(path)) == 0)
		usleep(2000);
	assert_int_equal(kill(runner, SIGKILL), 0);
	assert_int_equal(waitpid(runner, &status, 0), runner);
	assert_true(ends_soon(left));
	assert_int_equal(unlink(path), 0);
	assert_refused(run(script, 500, NULL, &status, &error), error, ERROR_NOT_NOW, "timeout");
	left = read_pid(path);
	assert_true(left > 0);
	assert_true(ends_soon(left));
	assert_int_equal(unlink(path), 0);
}

static void leaves_nobody_of_what_it_ends(void **state)
{
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(64);
	struct error error;
	int status = -1;

	(void)state;
	assert_refused(run("(trap '' TERM; while :; do sleep 1; done) & echo $!; exec sleep 30", 300, &output, &status,
			   &error),
		       error, ERROR_NOT_NOW, "timeout");
	pid_t grandchild = (pid_t)strtol((char *)output.data, NULL, 10);
	assert_true(grandchild > 1);
	/* Nobody reaps it here; what is not there or is dead by now does no harm. */
	char path[64], text[512] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", (int)grandchild);
	for (int i = 0; i < 200; i++, usleep(10000)) {
		CLEANUP(file_close) int fd = open(path, O_RDONLY);
		ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
		text[size > 0 ? size : 0] = 0;
		if (!text[0] || strstr(text, ") Z "))
			return;
	}
	fail_msg("a grandchild lives on: %s", text);
}

static void carries_objects_and_descriptors(void **state)
{
	CLEANUP(jsonio_free) json_t *got = NULL;
	CLEANUP(file_close) int came = -1;
	int pair[2], pipes[2];
	struct error error;
	char byte = 0;

	(void)state;
	assert_ok(process_socketpair(false, pair, &error), error);
	assert_int_equal(pipe(pipes), 0);
	assert_ok(packet_send_take(pair[0], json_pack("{s:i}", "n", 5), pipes[1], &error), error);
	close(pipes[1]);
	assert_ok(packet_wait(pair[1], clock_ticks_ms() + 1000, &got, &came, &error), error);
	assert_int_equal(jsonio_integer(got, "n"), 5);
	assert_true(came >= 0);
	assert_int_equal(write(came, "x", 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(pipes[0]);
	assert_ok(process_send(pair[0], "{\"a\":1} trailing", 16, -1, &error), error);
	assert_refused(packet_receive(pair[1], &got, &came, &error), error, ERROR_DATA, "format");
	close(pair[0]);
	assert_refused(packet_receive(pair[1], &got, &came, &error), error, ERROR_UNREACHABLE, "closed");
	close(pair[1]);
}

/* A sentence with a foreign file name in it must not be lost on the way. */
static void carries_errors(void **state)
{
	struct error error, back;

	(void)state;
	error_set(&error, ERROR_NOT_NOW, "busy", "file \xff\xe4 is held");
	CLEANUP(jsonio_free) json_t *refusal = packet_refusal(&error);
	assert_non_null(refusal);
	assert_int_equal(packet_to_error(jsonio_member(refusal, "error"), &back), -ERROR_NOT_NOW);
	assert_string_equal(back.name, "busy");
	assert_string_equal(back.text, "file ?? is held");
	CLEANUP(jsonio_free) json_t *success = json_pack("{s:i, s:s}", "code", 0, "text", "all is well");
	assert_int_equal(packet_to_error(success, &back), -ERROR_DATA);
	assert_int_equal(packet_to_error(NULL, &back), -ERROR_DATA);
}

struct seen {
	struct loop *loop;
	char order[16];
	int other;
};

static void on_timer_a(void *context)
{
	strcat(((struct seen *)context)->order, "a");
}

static void on_timer_b(void *context)
{
	struct seen *seen = context;

	strcat(seen->order, "b");
	assert_int_equal(write(seen->other, "x", 1), 1);
}

static void on_ready(void *context, int fd, uint32_t events UNUSED)
{
	struct seen *seen = context;

	strcat(seen->order, "r");
	loop_forget(seen->loop, fd);
	loop_stop(seen->loop);
}

static void loops_over_timers_and_descriptors(void **state)
{
	struct seen seen = {.order = ""};
	int pipes[2];
	struct error error;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	seen.other = pipes[1];
	assert_ok(loop_new(&seen.loop, &error), error);
	assert_ok(loop_watch(seen.loop, pipes[0], EPOLLIN, on_ready, &seen, &error), error);
	assert_true(loop_after(seen.loop, 20, on_timer_b, &seen) > 0);
	assert_true(loop_after(seen.loop, 1, on_timer_a, &seen) > 0);
	uint64_t cancelled = loop_after(seen.loop, 5, on_timer_a, &seen);
	loop_cancel(seen.loop, cancelled);
	assert_ok(loop_run(seen.loop, false, &error), error);
	assert_string_equal(seen.order, "abr");
	loop_free(&seen.loop);
	close(pipes[0]);
	close(pipes[1]);
}

static void on_stop(void *context)
{
	loop_stop(context);
}

static void on_child(void *context, int signal UNUSED)
{
	struct seen *seen = context;

	strcat(seen->order, "c");
	loop_stop(seen->loop);
}

/* A library closes its socket by itself while a child of ours still holds it. */
static void forgets_what_was_closed_before(void **state)
{
	struct seen seen = {.order = ""};
	int pipes[2];
	struct error error;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	int held = dup(pipes[0]);
	assert_ok(loop_new(&seen.loop, &error), error);
	assert_ok(loop_watch(seen.loop, pipes[0], EPOLLIN, on_ready, &seen, &error), error);
	close(pipes[0]);
	loop_forget(seen.loop, pipes[0]);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_true(loop_after(seen.loop, 20, on_stop, seen.loop) > 0);
	assert_ok(loop_run(seen.loop, false, &error), error);
	assert_string_equal(seen.order, "");
	/* Nor does another of the same number hear of it. */
	assert_int_equal(pipe(pipes + 0), 0);
	assert_ok(loop_watch(seen.loop, pipes[0], EPOLLIN, on_ready, &seen, &error), error);
	assert_true(loop_after(seen.loop, 20, on_stop, seen.loop) > 0);
	assert_ok(loop_run(seen.loop, false, &error), error);
	assert_string_equal(seen.order, "");
	loop_free(&seen.loop);
	close(held);
	close(pipes[0]);
	close(pipes[1]);
}

static void sees_a_child_that_ends_before_it_runs(void **state)
{
	struct seen seen = {.order = ""};
	struct error error;

	(void)state;
	assert_ok(loop_new(&seen.loop, &error), error);
	loop_on_signal(seen.loop, SIGCHLD, on_child, &seen);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(loop_after(seen.loop, 2000, on_stop, seen.loop) > 0);
	assert_ok(loop_run(seen.loop, true, &error), error);
	assert_string_equal(seen.order, "c");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	loop_free(&seen.loop);
}

/* In a child, since it cannot be undone. Exit 0 when each probe is refused as it should be. */
static void sandboxes(void **state)
{
	int directory = *(int *)*state;
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct error error;
		bool enforced = false;
		const struct sandbox_path paths[] = {{directory, true}};
		if (sandbox_confine(paths, 1, &enforced, &error) < 0 ||
		    sandbox_enter(SANDBOX_FILES, "test", &error) < 0)
			_exit(1);
		if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
			_exit(2);
		if (fork() >= 0)
			_exit(3);
		if (enforced && open("/etc/passwd", O_RDONLY) >= 0)
			_exit(4);
		if (openat(directory, "inside", O_RDWR | O_CREAT, 0600) < 0)
			_exit(5);
		if (syscall(SYS_tgkill, getppid(), getppid(), 0) >= 0 || errno != EPERM)
			_exit(7);
		if (syscall(SYS_tgkill, getpid(), getpid(), 0) < 0)
			_exit(8);
		struct rlimit limit;
		if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
			_exit(9);
		if (prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit) >= 0)
			_exit(10);
		execl("/bin/true", "true", (char *)NULL);
		_exit(errno == EPERM || errno == EACCES ? 0 : 6);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_in_a_closed_environment),
		cmocka_unit_test(carries_errors),
		cmocka_unit_test(leaves_nobody_of_what_it_ends),
		cmocka_unit_test(forgets_what_was_closed_before),
		cmocka_unit_test(sees_a_child_that_ends_before_it_runs),
		cmocka_unit_test(bounds_output_and_time),
		cmocka_unit_test(leaves_nothing_behind),
		cmocka_unit_test(carries_objects_and_descriptors),
		cmocka_unit_test(loops_over_timers_and_descriptors),
		cmocka_unit_test(sandboxes),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}

#include "tests/unit/fixture.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
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
		cmocka_unit_test(bounds_output_and_time),
		cmocka_unit_test(carries_objects_and_descriptors),
		cmocka_unit_test(loops_over_timers_and_descriptors),
		cmocka_unit_test(sandboxes),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}

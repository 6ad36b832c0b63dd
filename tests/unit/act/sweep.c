#include "tests/unit/act/sweep.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "tests/unit/act/bench.h"
#include "tests/unit/act/workers.h"

#define POINTS_MOST  1000
#define WORKERS_MOST 16
#define POINT_SIZE   72
#define SWEEP_POINT  "sweep.deed"
#define HOLDER_POINT "act.lock.holder:"
#define SPREAD       7
#define AT_ONCE      16 /* jobs that a worker takes: neighbours leave the same behind */

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		if ((call) < 0)                                                                                        \
			fail_msg("%s: %s (%s)", #call, error.text, error.name);                                        \
	} while (0)

static const char *const action_names[SWEEP_ACTIONS] = {"kill", "enospc", "eio", "kill twice"};

/* Every passage, in order: the n-th of a name is another point than its first. */
struct points {
	char names[POINTS_MOST][POINT_SIZE]; /* "act.journal.write:3" */
	size_t count;
};

/* What the workers share. */
struct board {
	atomic_size_t next; /* job */
	atomic_uint runs, alike, outcomes[WHOLE_VERDICTS];
};

struct job {
	size_t scene, point;
};

struct sweep {
	const struct scene *scenes;
	size_t scene_count;
	enum sweep_action action;
	const struct sweep_pace *pace;
	struct points *points; /* by scene */
	struct job *jobs;
	size_t job_count;
	struct board *board;
	char directory[40];
};

/* In a child, which may be killed; "points" in the box is what it passed. Returns its wait status. */
static int strike(struct fixture *fixture, int (*deed)(struct fixture *fixture, const char *sha256), const char *sha256,
		  const char *fault)
{
	int status = 0;
	char log[80];
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		snprintf(log, sizeof log, "%s/points", fixture->directory);
		setenv("NIGHTSHIFT_FAULT_LOG", log, 1);
		setenv("NIGHTSHIFT_FAULT", fault, 1);
		/* Every process that the deed has counts from here. */
		_exit(fault_point(SWEEP_POINT) == 0 && deed(fixture, sha256) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fixture->fence++;
	return status;
}

static int do_resume(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct resume_report report = {0};
	struct error error = {0};

	return resume_run(&fixture->layout, 60000, &report, &error);
}

static void read_points(struct fixture *fixture, struct points *points)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "points");
	char *rest = NULL;

	points->count = 0;
	assert_true(strncmp(text, SWEEP_POINT "\n", sizeof SWEEP_POINT) == 0);
	for (char *line = strtok_r(text + sizeof SWEEP_POINT, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t length = strlen(line), passage = 1;
		assert_true(points->count < POINTS_MOST && length < POINT_SIZE - 8);
		for (size_t i = 0; i < points->count; i++)
			passage += strncmp(points->names[i], line, length) == 0 && points->names[i][length] == ':';
		snprintf(points->names[points->count++], sizeof points->names[0], "%s:%zu", line, passage);
	}
}

/* Whether the point was passed as often as its number says. Threads do not always pass all of them. */
static bool was_struck(struct fixture *fixture, const char *point)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "points");
	size_t length = strcspn(point, ":"), left = strtoul(point + length + 1, NULL, 10);
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line && left > 0; line = strtok_r(NULL, "\n", &rest))
		left -= strlen(line) == length && strncmp(line, point, length) == 0;
	return left == 0;
}

static enum whole_verdict look_at(const struct sweep *sweep, const struct bench *bench, struct fixture *fixture,
				  size_t scene, char ret_text[WHOLE_TEXT_SIZE])
{
	/* What it was made from, and what differs without a difference. */
	static const char *const except[] = {
		"1.0.bundle", "1.1.bundle", "1.9.bundle", "1.0..1.1.delta", "tree-1.0",        "tree-1.1", "tree-1.9",
		"hooks-1.0",  "hooks-1.1",  "hooks-1.9",  "points",         "state/shop/lock", NULL};
	const struct scene *played = &sweep->scenes[scene];
	const struct whole whole = {.before = played->before, .after = played->then, .precious = "kept\n"};
	uint8_t print[HASH_SIZE];
	int verdict = WHOLE_OLD;

	ret_text[0] = '\0';
	alike_print(fixture->directory, except, (unsigned)scene, print);
	if (alike_find(bench->alike, print, &verdict)) {
		atomic_fetch_add(&sweep->board->alike, 1);
		return (enum whole_verdict)verdict;
	}
	verdict = (int)whole_check(fixture, &whole, ret_text);
	if (verdict < WHOLE_MIXED)
		alike_note(bench->alike, print, verdict);
	return (enum whole_verdict)verdict;
}

/* Says what may not be, and counts. */
static void judge(const struct sweep *sweep, const struct bench *bench, struct fixture *fixture, size_t scene,
		  const char *what)
{
	char text[WHOLE_TEXT_SIZE];
	enum whole_verdict verdict = look_at(sweep, bench, fixture, scene, text);

	atomic_fetch_add(&sweep->board->runs, 1);
	atomic_fetch_add(&sweep->board->outcomes[verdict], 1);
	if (text[0])
		fprintf(stderr, "%s, %s: %s: %s\n", sweep->scenes[scene].name, what, whole_name(verdict), text);
}

/* What only reads has nothing to tear, and needs no room. */
static bool applies(enum sweep_action action, const char *point)
{
	bool reads = strstr(point, ".read:") || strstr(point, ".open:");

	return action == SWEEP_EIO || !reads;
}

/* Undisturbed, it passes all of them. */
static void find_points(const struct sweep *sweep, struct bench *bench, size_t index, struct points *points)
{
	const struct scene *scene = &sweep->scenes[index];
	struct fixture fixture;
	char version[LAYOUT_VERSION_SIZE];

	bench_set(bench, index);
	bench_open(bench, index, NULL, &fixture);
	assert_int_equal(strike(&fixture, scene->deed, bench->sha256[index], ""), 0);
	assert_int_equal(fixture_stage_of(&fixture), scene->ends);
	assert_string_equal(fixture_whole(&fixture, version), scene->then);
	read_points(&fixture, points);
	judge(sweep, bench, &fixture, index, "not struck");
	bench_close(bench, index, &fixture);
}

static void strike_once(const struct sweep *sweep, struct bench *bench, const struct job *job)
{
	const struct scene *scene = &sweep->scenes[job->scene];
	const char *point = sweep->points[job->scene].names[job->point];
	struct fixture fixture;
	char fault[POINT_SIZE + 8];

	bench_set(bench, job->scene);
	snprintf(fault, sizeof fault, "%s=%s", point, action_names[sweep->action]);
	bench_open(bench, job->scene, NULL, &fixture);
	strike(&fixture, scene->deed, bench->sha256[job->scene], fault);
	if (was_struck(&fixture, point))
		judge(sweep, bench, &fixture, job->scene, fault);
	bench_close(bench, job->scene, &fixture);
}

/* Killed at the point, and again at points of the resume: the box as the first kill left it is kept to begin from. */
static void strike_twice(const struct sweep *sweep, struct bench *bench, const struct job *job)
{
	const struct scene *scene = &sweep->scenes[job->scene];
	CLEANUP(free_pointer) struct points *points = calloc(1, sizeof *points);
	const char *point = sweep->points[job->scene].names[job->point];
	struct fixture fixture;
	char fault[POINT_SIZE + 8], what[256];

	assert_non_null(points);
	bench_set(bench, job->scene);
	snprintf(fault, sizeof fault, "%s=kill", point);
	bench_open(bench, job->scene, NULL, &fixture);
	strike(&fixture, scene->deed, bench->sha256[job->scene], fault);
	bench_close(bench, job->scene, &fixture);
	bench_keep(bench, "killed");
	bench_open(bench, job->scene, "killed", &fixture);
	fixture_write(&fixture, "points", "");
	strike(&fixture, do_resume, NULL, "");
	read_points(&fixture, points);
	bench_close(bench, job->scene, &fixture);
	for (size_t i = (sweep->pace->first + job->point) % sweep->pace->again; i < points->count;
	     i += sweep->pace->again) {
		if (!applies(SWEEP_KILL_TWICE, points->names[i]))
			continue;
		snprintf(fault, sizeof fault, "%s=kill", points->names[i]);
		snprintf(what, sizeof what, "%s=kill, then %s", point, fault);
		bench_open(bench, job->scene, "killed", &fixture);
		fixture_write(&fixture, "points", "");
		strike(&fixture, do_resume, NULL, fault);
		if (was_struck(&fixture, points->names[i]))
			judge(sweep, bench, &fixture, job->scene, what);
		bench_close(bench, job->scene, &fixture);
	}
}

/* Of the passages after the one that is struck first, one by chance; NULL: there is none. */
static const char *find_second(const struct points *points, const char *first, size_t nth)
{
	size_t at = 0;

	while (at < points->count && strcmp(points->names[at], first) != 0)
		at++;
	size_t left = at < points->count ? points->count - at - 1 : 0;
	const char *second = left ? points->names[at + 1 + nth % left] : NULL;
	return second && applies(SWEEP_KILL_TWICE, second) &&
			       strncmp(second, HOLDER_POINT, sizeof HOLDER_POINT - 1) != 0
		       ? second
		       : NULL;
}

/* A machine that restarts settles by itself, so both kills are in one deed. */
static void strike_machine_twice(const struct sweep *sweep, struct bench *bench, const struct job *job)
{
	const struct scene *scene = &sweep->scenes[job->scene];
	CLEANUP(free_pointer) struct points *points = calloc(1, sizeof *points);
	const char *point = sweep->points[job->scene].names[job->point];
	struct fixture fixture;
	char fault[2 * POINT_SIZE + 16];

	assert_non_null(points);
	bench_set(bench, job->scene);
	snprintf(fault, sizeof fault, "%s=kill", point);
	bench_open(bench, job->scene, NULL, &fixture);
	strike(&fixture, scene->deed, bench->sha256[job->scene], fault);
	read_points(&fixture, points);
	bench_close(bench, job->scene, &fixture);
	for (size_t i = 0; i < sweep->pace->machine; i++) {
		const char *second = find_second(points, point, SPREAD * (job->point + i * points->count / 2));
		if (!second)
			continue;
		snprintf(fault, sizeof fault, "%s=kill,%s=kill", point, second);
		bench_open(bench, job->scene, NULL, &fixture);
		strike(&fixture, scene->deed, bench->sha256[job->scene], fault);
		judge(sweep, bench, &fixture, job->scene, fault);
		bench_close(bench, job->scene, &fixture);
	}
}

static void strike_job(const struct sweep *sweep, struct bench *bench, const struct job *job)
{
	if (sweep->action != SWEEP_KILL_TWICE)
		strike_once(sweep, bench, job);
	else if (sweep->scenes[job->scene].machine)
		strike_machine_twice(sweep, bench, job);
	else
		strike_twice(sweep, bench, job);
}

static void work(void *context, size_t number)
{
	const struct sweep *sweep = context;
	struct bench bench;
	size_t index;

	bench_start(&bench, sweep->scenes, sweep->directory, number);
	while ((index = atomic_fetch_add(&sweep->board->next, AT_ONCE)) < sweep->job_count)
		for (size_t i = index; i < index + AT_ONCE && i < sweep->job_count; i++)
			strike_job(sweep, &bench, &sweep->jobs[i]);
	bench_end(&bench);
}

/* Whom machine.h ends with the machine it reads from the lock, which nothing else decides by. */
static bool misleads(const struct scene *scene, const char *point)
{
	return scene->machine && strncmp(point, HOLDER_POINT, sizeof HOLDER_POINT - 1) == 0;
}

static void list_jobs(struct sweep *sweep)
{
	size_t total = 0;

	for (size_t scene = 0; scene < sweep->scene_count; scene++)
		for (size_t point = 0; point < sweep->points[scene].count; point++) {
			if (!applies(sweep->action, sweep->points[scene].names[point]) ||
			    misleads(&sweep->scenes[scene], sweep->points[scene].names[point]))
				continue;
			if (total++ % sweep->pace->stride == sweep->pace->first % sweep->pace->stride)
				sweep->jobs[sweep->job_count++] = (struct job){scene, point};
		}
}

struct sweep *sweep_new(const struct scene *scenes, size_t count)
{
	struct sweep *sweep = calloc(1, sizeof *sweep);
	struct bench bench;

	bench_stop_time();
	assert_true(sweep && count <= BENCH_SCENES_MOST);
	*sweep = (struct sweep){.scenes = scenes, .scene_count = count};
	snprintf(sweep->directory, sizeof sweep->directory, "%s",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm/sweep-XXXXXX" : "/tmp/sweep-XXXXXX");
	assert_non_null(mkdtemp(sweep->directory));
	assert_int_equal(chmod(sweep->directory, 0755), 0);
	sweep->points = calloc(count, sizeof *sweep->points);
	sweep->jobs = calloc(count * POINTS_MOST, sizeof *sweep->jobs);
	sweep->board = mmap(NULL, sizeof *sweep->board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sweep->points && sweep->jobs && sweep->board != MAP_FAILED);
	bench_start(&bench, sweep->scenes, sweep->directory, 0);
	for (size_t i = 0; i < count; i++)
		find_points(sweep, &bench, i, &sweep->points[i]);
	bench_end(&bench);
	return sweep;
}

void sweep_free(struct sweep **sweep)
{
	struct sweep *old = TAKE(*sweep);
	struct error error = {0};

	if (!old)
		return;
	OK(file_remove_tree_at(AT_FDCWD, old->directory, &error));
	munmap(old->board, sizeof *old->board);
	free(old->points);
	free(old->jobs);
	free(old);
}

unsigned sweep_points(const struct sweep *sweep)
{
	size_t count = 0;

	for (size_t i = 0; i < sweep->scene_count; i++)
		count += sweep->points[i].count;
	return (unsigned)count;
}

/* Whether a scene before passes the point, too. */
static bool was_met(const struct sweep *sweep, size_t scene, const char *name)
{
	for (size_t i = 0; i < scene; i++)
		for (size_t k = 0; k < sweep->points[i].count; k++)
			if (strcmp(sweep->points[i].names[k], name) == 0)
				return true;
	return false;
}

unsigned sweep_names(const struct sweep *sweep)
{
	unsigned count = 0;

	for (size_t i = 0; i < sweep->scene_count; i++)
		for (size_t k = 0; k < sweep->points[i].count; k++) {
			const char *name = sweep->points[i].names[k];
			count += strcmp(strrchr(name, ':'), ":1") == 0 && !was_met(sweep, i, name);
		}
	return count;
}

void sweep_run(struct sweep *sweep, enum sweep_action action, const struct sweep_pace *pace, struct sweep_count *count)
{
	sweep->action = action;
	sweep->pace = pace;
	sweep->job_count = 0;
	memset(sweep->board, 0, sizeof *sweep->board);
	list_jobs(sweep);
	unsigned failed = workers_run(work, sweep, 1, WORKERS_MOST);
	count->runs[action] += atomic_load(&sweep->board->runs);
	count->alike += atomic_load(&sweep->board->alike);
	for (size_t i = 0; i < WHOLE_VERDICTS; i++)
		count->outcomes[i] += atomic_load(&sweep->board->outcomes[i]);
	if (failed > 0)
		fail_msg("%u workers did not come to their end", failed);
}

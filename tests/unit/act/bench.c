#include "tests/unit/act/bench.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "appliance-hook/act/copy.h"
#include "base/file.h"
#include "tests/unit/act/machine.h"

#define NOW     "BENCH_NOW" /* the date, for whoever is started here */
#define STEP_MS 5000

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		if ((call) < 0)                                                                                        \
			fail_msg("%s: %s (%s)", #call, error.text, error.name);                                        \
	} while (0)

/* Nobody waits between two tries of a probe: the clock goes on instead. Otherwise it goes by large steps, and the date
 * stands still, so that boxes which were struck alike are alike; machines that restart have the time they need. */
int64_t __real_clock_ticks_ms(void);
int64_t __wrap_clock_ticks_ms(void);
int __wrap_nanosleep(const struct timespec *duration, struct timespec *ret_rest);
static atomic_llong skipped_ms;

int64_t __wrap_clock_ticks_ms(void)
{
	int64_t now = __real_clock_ticks_ms();

	return (machine_is_open() ? now : now - now % STEP_MS) + atomic_load(&skipped_ms);
}

int __wrap_nanosleep(const struct timespec *duration, struct timespec *ret_rest UNUSED)
{
	atomic_fetch_add(&skipped_ms, duration->tv_sec * 1000 + duration->tv_nsec / 1000000 + 1);
	return 0;
}

/* Four tries where the fixture has one: what fails once may be well the next time. */
static void probe_often(struct fixture *fixture)
{
	static const char once[] = "interval = 30\ndeadline = 30s\n", often[] = "interval = 10\ndeadline = 35s\n";
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "hook.conf");
	char *at = strstr(text, once), directory[sizeof fixture->directory];

	assert_non_null(at);
	memcpy(at, often, sizeof often - 1);
	fixture_write(fixture, "hook.conf", text);
	snprintf(directory, sizeof directory, "%s", fixture->directory);
	fixture_close(fixture);
	fixture_open(fixture, directory);
}

int64_t __real_clock_now(void);
int64_t __wrap_clock_now(void);

int64_t __wrap_clock_now(void)
{
	const char *now = getenv(NOW);

	return now ? strtoll(now, NULL, 10) : __real_clock_now();
}

void bench_stop_time(void)
{
	char now[24];

	snprintf(now, sizeof now, "%lld", (long long)__real_clock_now());
	setenv(NOW, now, 1);
}

static void box_path(const struct bench *bench, char path[static 64])
{
	snprintf(path, 64, "%s/box", bench->directory);
}

/* bench/`from` becomes bench/`to`, whole. */
static void copy_box(const struct bench *bench, const char *from, const char *to)
{
	CLEANUP(file_close) int parent = -1;
	CLEANUP(file_close) int source = -1;
	struct error error = {0};

	OK(file_open_directory(bench->directory, &parent, &error));
	OK(file_remove_tree_at(parent, to, &error));
	OK(source = openat(parent, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	OK(copy_tree(source, parent, to, &error));
}

static void template_name(size_t scene, char name[static 32])
{
	snprintf(name, 32, "scene-%zu", scene);
}

/* The watcher that a run arms finds no configuration: what it would do is done by whole_check, once and in order. Where
 * machines restart it is part of the play. */
static void hide_configuration(const struct bench *bench)
{
	char path[80];

	snprintf(path, sizeof path, "%s/box/hook.conf", bench->directory);
	assert_int_equal(unlink(path), 0);
}

void bench_set(struct bench *bench, size_t index)
{
	const struct scene *scene = &bench->scenes[index];
	struct fixture fixture;
	char box[64], name[32];
	struct error error = {0};

	if (bench->set[index])
		return;
	box_path(bench, box);
	OK(file_remove_tree_at(AT_FDCWD, box, &error));
	assert_int_equal(mkdir(box, 0755), 0);
	fixture_make_at(&fixture, box, NULL);
	probe_often(&fixture);
	fixture_write(&fixture, "data/precious", "kept\n");
	fixture_pack(&fixture, "1.9", FIXTURE_GOOD);
	if (scene->machine)
		machine_make(&fixture, NULL);
	scene->set(&fixture, scene->kind, bench->sha256[index]);
	bench->fence = fixture.fence > bench->fence ? fixture.fence : bench->fence;
	if (!scene->machine)
		hide_configuration(bench);
	bench->settings[index] = fixture.settings;
	layout_close(&fixture.layout);
	template_name(index, name);
	copy_box(bench, "box", name);
	bench->set[index] = true;
}

void bench_open(struct bench *bench, size_t scene, const char *template, struct fixture *fixture)
{
	struct error error = {0};
	char name[32];

	template_name(scene, name);
	copy_box(bench, template ? template : name, "box");
	*fixture = (struct fixture){
		.layout = LAYOUT_CLOSED, .settings = bench->settings[scene], .fence = bench->fence + 1};
	box_path(bench, fixture->directory);
	OK(layout_open(&bench->settings[scene], &fixture->layout, &error));
	if (bench->scenes[scene].machine)
		machine_open(fixture);
}

void bench_keep(const struct bench *bench, const char *name)
{
	copy_box(bench, "box", name);
}

/* Watchers that still live would meet the next box. */
void bench_close(const struct bench *bench, size_t scene, struct fixture *fixture)
{
	if (bench->scenes[scene].machine)
		machine_cut(fixture);
	machine_close();
	layout_close(&fixture->layout);
}

void bench_start(struct bench *bench, const struct scene *scenes, const char *directory, size_t number)
{
	struct error error = {0};

	*bench = (struct bench){.scenes = scenes, .alike = alike_new()};
	snprintf(bench->directory, sizeof bench->directory, "%.38s/%u", directory, (unsigned)number);
	OK(file_remove_tree_at(AT_FDCWD, bench->directory, &error));
	assert_int_equal(mkdir(bench->directory, 0755), 0);
}

void bench_end(struct bench *bench)
{
	struct error error = {0};

	for (size_t i = 0; i < BENCH_SCENES_MOST; i++)
		hook_settings_free(&bench->settings[i]);
	alike_free(&bench->alike);
	OK(file_remove_tree_at(AT_FDCWD, bench->directory, &error));
}

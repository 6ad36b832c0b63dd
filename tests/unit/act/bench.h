/* One worker's place: a box, copied for each run from the template of its scene. It goes by absolute paths, so it is
 * always at the same one; and time goes as bench.c says, for programs that are linked with --wrap=clock_now,
 * clock_ticks_ms and nanosleep. */
#ifndef TESTS_ACT_BENCH_H
#define TESTS_ACT_BENCH_H

#include "tests/unit/act/alike.h"
#include "tests/unit/act/scene.h"

#define BENCH_SCENES_MOST 16

struct bench {
	const struct scene *scenes;
	char directory[52];                               /* box, and templates by scene */
	struct hook_settings settings[BENCH_SCENES_MOST]; /* where `set` */
	bool set[BENCH_SCENES_MOST];
	char sha256[BENCH_SCENES_MOST][HASH_HEX_SIZE]; /* what the scene's deed is handed */
	int64_t fence;
	struct alike *alike; /* boxes that were judged here */
};

void bench_stop_time(void); /* the date stands still from here on */

/* The number-th one below `directory`. */
void bench_start(struct bench *bench, const struct scene *scenes, const char *directory, size_t number);
void bench_end(struct bench *bench);

void bench_set(struct bench *bench, size_t scene); /* makes its template, where it was not made yet */
/* The box as `template` left it: a name that was kept, or NULL, the scene's own. */
void bench_open(struct bench *bench, size_t scene, const char *template, struct fixture *fixture);
void bench_keep(const struct bench *bench, const char *name);
void bench_close(const struct bench *bench, size_t scene, struct fixture *fixture);

#endif

/* What a machine is switched on for, and what its disks hold. */
#ifndef TESTS_POWER_ERRAND_H
#define TESTS_POWER_ERRAND_H

#include "tests/power/storage.h"
#include "tests/power/story.h"
#include "tests/power/tape.h"
#include "tests/unit/act/alike.h"
#include "tests/unit/act/whole.h"

struct errand {
	const char *directory; /* an empty one, where each machine mounts for itself */
	const struct storage *storage;
	const struct story *story;
	struct alike *alike; /* the boxes of this story that came up before */
};

/* Files in memory, one a disk; -1 where there is none. */
struct images {
	int files[TAPE_DISKS];
};
struct images images_blank(const struct storage *storage);
struct images images_copy(const struct images *images);
void images_close(struct images *images);

/* What is written to `base` from now on, onto a new tape: by the story's deed, or by its resume. */
enum errand_part { ERRAND_RECORD, ERRAND_RESUME };
struct tape *errand_record(const struct errand *errand, enum errand_part part, const struct images *base);

struct errand_found {
	enum whole_verdict verdict;
	bool alike; /* to one that was judged before, whose verdict it is */
	char *said; /* to be freed */
};
/* A machine comes up from the images, after a cut before entry `until` of the tape; they are written to. */
struct errand_found errand_come_up(const struct errand *errand, const struct tape *tape, size_t until,
				   const struct images *images);

/* Inside a machine, as main: -1 when the arguments are not those of one. */
int errand_main(int argc, char **argv);

#endif

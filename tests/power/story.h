/* What is done to the recorded box, what was promised meanwhile, and what must hold after any cut. */
#ifndef TESTS_POWER_STORY_H
#define TESTS_POWER_STORY_H

#include "tests/power/tape.h"
#include "tests/unit/act/fixture.h"
#include "tests/unit/act/whole.h"

/* Words of marks. */
enum story_mark {
	STORY_BEGUN = 1, /* what came before is durable */
	STORY_TOLD,      /* somebody heard of a state or step; the bytes are the journal's as it is then */
	STORY_ANSWERED,  /* the deed returned */
	STORY_KEPT,      /* a number of `keeps` was: the bytes are it */
};

/* What is kept beside the journal, in numbered steps (trusting.h, enrolling.h). */
struct keeping {
	int first; /* the number that it begins with */
	/* Whether what was acknowledged last is there, or the next; and what comes later is taken. */
	bool (*holds)(struct fixture *fixture, int acknowledged, char ret_text[WHOLE_TEXT_SIZE]);
};

struct story {
	const char *name;
	void (*before)(struct fixture *fixture, unsigned kind); /* until the box is ready for the deed */
	unsigned kind;                                          /* of the release that comes */
	void (*deed)(struct fixture *fixture, struct tape *tape);
	void (*again)(struct fixture *fixture); /* asked for once more after a cut; NULL: nobody does */
	const char *from, *to;                  /* the versions between which it goes; `from` "": none */
	enum journal_stage ends;
	const char *stands;          /* at its end */
	const char *staged;          /* "": none */
	const struct keeping *keeps; /* NULL: no more than the journal tells */
};

extern const struct story stories[];
extern const size_t story_count;
const struct story *story_find(const char *name); /* or NULL */

extern const char *const story_inputs[]; /* of a box: what was made before and only read since; NULL at the end */

/* In a mounted box that is empty: everything up to the last mark. */
void story_record(const struct story *story, const char *box, struct tape *tape);
/* In a box that comes up after a cut: its resume, which is recorded on another tape. */
void story_resume(const struct story *story, const char *box, struct tape *tape);
/* What data/precious holds all the time: more than a block, so that half a file shows. To be freed. */
char *story_ledger(void);
/* A box that comes up: as if started so often ("2\n"), which is to be another number than any before. */
void story_open(struct fixture *fixture, const char *box, const char *boots);
/* Its resume; where that may restart the machine, in a process that goes down with it. */
void story_go_on(const struct story *story, struct fixture *fixture);
char *story_journal(const char *box); /* its text, for whoever asks what went wrong; to be freed */

#endif

/* What act does, each as a box that was prepared and a deed that may be cut off anywhere. */
#ifndef TESTS_ACT_SCENE_H
#define TESTS_ACT_SCENE_H

#include "tests/unit/act/fixture.h"

struct scene {
	const char *name;
	/* Everything up to the deed, in a box that was just made; ret_sha256 is handed to the deed. */
	void (*set)(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE]);
	unsigned kind;                                            /* of release 1.1 */
	int (*deed)(struct fixture *fixture, const char *sha256); /* a negative code when it failed */
	const char *before;                                       /* the version that runs before it; "" none */
	const char *then;                                         /* and after an undisturbed one */
	enum journal_stage ends;                                  /* where an undisturbed one ends */
	bool machine; /* in a box of machine.h: the deed goes on over restarts, and settles by itself */
};

#define SCENE_COUNT 11
extern const struct scene scene_table[SCENE_COUNT];

#endif

/* One line of the journal, read into the state. Pure: journal.c reads and writes, this says what it means. */
#ifndef ACT_JOURNAL_FOLD_H
#define ACT_JOURNAL_FOLD_H

#include "appliance-hook/act/journal.h"

bool journal_fold_allows(enum journal_stage from, enum journal_stage to);
/* `line` without its hash; changes *state only when the line is well-formed and its edge exists. */
int journal_fold_line(struct journal_state *state, const json_t *line, struct error *error) MUST_CHECK;

#endif

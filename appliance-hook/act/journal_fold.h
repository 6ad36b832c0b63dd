/* One line of the journal, read into the state. Pure: journal.c reads and writes, this says what it means. */
#ifndef ACT_JOURNAL_FOLD_H
#define ACT_JOURNAL_FOLD_H

#include "appliance-hook/act/journal.h"

/* One line that folds to all of `state` but its number: how a journal begins anew. NULL when memory ends. */
json_t *journal_fold_base(const struct journal_state *state);
/* `line` without its hash; changes *state only when the line is well-formed and its edge exists. */
int journal_fold_line(struct journal_state *state, const json_t *line, struct error *error) MUST_CHECK;

#endif

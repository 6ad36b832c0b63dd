/* What the command line prints: JSON where asked for, progress on a terminal only, times that people read. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include "base/jsonio.h"

/* To stdout, with a newline. */
int say_json(const json_t *value, struct error *error) MUST_CHECK;
/* One line of progress on stderr: a bar that overwrites itself on a terminal, else nothing but whole steps. */
void say_progress(void *context, const json_t *event);
void say_progress_end(void);
/* "2027-01-03T01:30:00Z", "-" for 0. */
#define SAY_TIME_SIZE 32
const char *say_time(int64_t time, char text[static SAY_TIME_SIZE]);

#endif

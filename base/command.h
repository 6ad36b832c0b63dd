/* Commands as tables: one row gives the words, the arguments, the options and the help of a command; the parser, the
 * usage text and the manual read the same row. */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "base/error.h"

struct command_option {
	const char *name;     /* "--until", or "-o" */
	const char *argument; /* "DATE"; NULL for a flag */
	bool required;
	bool repeated;
	bool many; /* takes every word up to the next option: --targets-key A.pub B.pub */
	const char *help;
};

struct command_line; /* what was given */

struct command {
	const char *words;                    /* "customer add" */
	const char *arguments;                /* "NAME", "FILE…", "[PRODUCT]", "" */
	int least, most;                      /* positional arguments; most -1: any number */
	const struct command_option *options; /* ends with name NULL; may be NULL */
	const char *help;                     /* one line */
	/* Returns the exit code. On failure fills `error`; the caller prints it and exits with its code. */
	int (*run)(const struct command_line *line, void *context, struct error *error);
	const void *data; /* the program's own, for rows that share a `run` */
};

struct command_program {
	const char *name;
	const char *summary;
	const struct command_option *options; /* accepted by every command: --config FILE, --json */
	const struct command *commands;       /* ends with words NULL */
};

/* Finds the row, checks counts and options, runs it. Prints usage to stdout for help/--help (exit 0), the error to
 * stderr otherwise ("PROGRAM: sentence"). Returns the exit code. Options and arguments may stand in any order; "--"
 * ends options; "--name=value" is accepted. */
int command_main(const struct command_program *program, int argc, char **argv, void *context);

const struct command *command_row(const struct command_line *line);
const char *command_argument(const struct command_line *line, int index); /* NULL past the end */
int command_argument_count(const struct command_line *line);
/* The last value given, or NULL. */
const char *command_option(const struct command_line *line, const char *name);
bool command_flag(const struct command_line *line, const char *name);
/* The index-th value of a repeated or `many` option; NULL past the end. */
const char *command_option_at(const struct command_line *line, const char *name, int index);

#endif

#include "base/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_VALUES_MOST 64

struct given {
	const struct command_option *option;
	const char *value; /* "" for a flag */
};

struct command_line {
	const struct command *row;
	const char *arguments[COMMAND_VALUES_MOST];
	int argument_count;
	struct given given[COMMAND_VALUES_MOST];
	int given_count;
};

/* How many of the given words are this row's words; 0 when they are not. */
static int match_words(const char *words, int argc, char **argv)
{
	int count = 0;

	while (*words) {
		size_t length = strcspn(words, " ");
		if (count >= argc || strlen(argv[count]) != length || strncmp(argv[count], words, length) != 0)
			return 0;
		count++;
		words += length;
		words += strspn(words, " ");
	}
	return count;
}

static void print_option(const struct command_option *option)
{
	char left[80];

	snprintf(left, sizeof left, "%s%s%s%s", option->name, option->argument ? " " : "",
		 option->argument ? option->argument : "", option->many || option->repeated ? "…" : "");
	printf("  %-28s %s%s\n", left, option->help, option->required ? " (required)" : "");
}

static void print_row(const struct command_program *program, const struct command *row)
{
	printf("usage: %s %s%s%s", program->name, row->words, row->arguments[0] ? " " : "", row->arguments);
	for (const struct command_option *option = row->options; option && option->name; option++)
		printf(option->required ? " %s%s%s" : " [%s%s%s]", option->name, option->argument ? " " : "",
		       option->argument ? option->argument : "");
	printf("\n\n%s\n\n", row->help);
	for (const struct command_option *option = row->options; option && option->name; option++)
		print_option(option);
	for (const struct command_option *option = program->options; option && option->name; option++)
		print_option(option);
}

static void print_usage(const struct command_program *program, const char *first)
{
	printf("%s: %s\n\nusage: %s COMMAND [--help]\n\n", program->name, program->summary, program->name);
	for (const struct command *row = program->commands; row->words; row++) {
		char left[96];
		if (row->help[0] == 0 || (first && strncmp(row->words, first, strlen(first)) != 0))
			continue; /* rows without help are the program's own roles */
		snprintf(left, sizeof left, "%s%s%s", row->words, row->arguments[0] ? " " : "", row->arguments);
		printf("  %-40s %s\n", left, row->help);
	}
	printf("\n");
	for (const struct command_option *option = program->options; option && option->name; option++)
		print_option(option);
}

static const struct command_option *find_option(const struct command_option *options, const char *name, size_t length)
{
	for (const struct command_option *option = options; option && option->name; option++)
		if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
			return option;
	return NULL;
}

/* "--until", "-o"; not "-" and not a negative number, which are arguments. */
static bool looks_like_option(const char *word)
{
	return word[0] == '-' && word[1] && strchr("0123456789", word[1]) == NULL;
}

static int give(struct command_line *line, const struct command_option *option, const char *value, struct error *error)
{
	if (line->given_count == COMMAND_VALUES_MOST)
		return error_set(error, ERROR_USAGE, "usage", "too many options were given");
	if (!option->repeated && !option->many)
		for (int i = 0; i < line->given_count; i++)
			if (line->given[i].option == option)
				return error_set(error, ERROR_USAGE, "usage", "%s was given twice", option->name);
	line->given[line->given_count++] = (struct given){option, value};
	return 0;
}

/* One option at argv[*at], with its values; leaves *at on the last word that it took. */
static int take_option(const struct command_program *program, struct command_line *line, int argc, char **argv, int *at,
		       struct error *error)
{
	const char *word = argv[*at], *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	const struct command_option *option = find_option(line->row->options, word, length);

	if (!option)
		option = find_option(program->options, word, length);
	if (!option)
		return error_set(error, ERROR_USAGE, "usage", "\"%s\" has no option %.*s; see %s %s --help",
				 line->row->words, (int)length, word, program->name, line->row->words);
	if (!option->argument)
		return equals ? error_set(error, ERROR_USAGE, "usage", "%s takes no value", option->name)
			      : give(line, option, "", error);
	if (equals)
		return give(line, option, equals + 1, error);
	if (*at + 1 >= argc)
		return error_set(error, ERROR_USAGE, "usage", "%s needs a value: %s", option->name, option->argument);
	int status = give(line, option, argv[++*at], error);
	while (status == 0 && option->many && *at + 1 < argc && !looks_like_option(argv[*at + 1]))
		status = give(line, option, argv[++*at], error);
	return status;
}

static int read_line(const struct command_program *program, struct command_line *line, int argc, char **argv,
		     struct error *error)
{
	bool only_arguments = false;
	int status = 0;

	for (int i = 0; status == 0 && i < argc; i++) {
		if (!only_arguments && strcmp(argv[i], "--") == 0)
			only_arguments = true;
		else if (!only_arguments && looks_like_option(argv[i]))
			status = take_option(program, line, argc, argv, &i, error);
		else if (line->argument_count == COMMAND_VALUES_MOST)
			status = error_set(error, ERROR_USAGE, "usage", "too many arguments were given");
		else
			line->arguments[line->argument_count++] = argv[i];
	}
	if (status < 0)
		return status;
	if (line->argument_count < line->row->least || (line->row->most >= 0 && line->argument_count > line->row->most))
		return error_set(error, ERROR_USAGE, "usage", "\"%s\" takes %s; see %s %s --help", line->row->words,
				 line->row->arguments[0] ? line->row->arguments : "no argument", program->name,
				 line->row->words);
	for (const struct command_option *option = line->row->options; option && option->name; option++)
		if (option->required && !command_option(line, option->name))
			return error_set(error, ERROR_USAGE, "usage", "\"%s\" needs %s %s", line->row->words,
					 option->name, option->argument ? option->argument : "");
	return 0;
}

/* Options of the program may stand before the command: `nightshift --config F customer list`. They are moved behind. */
static void move_leading_options(const struct command_program *program, int argc, char **argv)
{
	int leading = 0;

	while (leading < argc && strncmp(argv[leading], "--", 2) == 0 && argv[leading][2]) {
		const char *equals = strchr(argv[leading], '=');
		size_t length = equals ? (size_t)(equals - argv[leading]) : strlen(argv[leading]);
		const struct command_option *option = find_option(program->options, argv[leading], length);
		if (!option)
			break;
		leading += option->argument && !equals ? 2 : 1;
	}
	if (leading >= argc)
		return;
	char *moved[COMMAND_VALUES_MOST];
	if (leading > COMMAND_VALUES_MOST)
		return;
	memcpy(moved, argv, (size_t)leading * sizeof *argv);
	memmove(argv, argv + leading, (size_t)(argc - leading) * sizeof *argv);
	memcpy(argv + argc - leading, moved, (size_t)leading * sizeof *argv);
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int fail(const struct command_program *program, const struct error *error)
{
	fprintf(stderr, "%s: %s\n", program->name, error->text);
	return (int)error->code;
}

/* A program that was started without them would open its first socket where the log goes. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int command_main(const struct command_program *program, int argc, char **argv, void *context)
{
	const struct command *best = NULL;
	struct command_line line = {0};
	struct error error = {0};
	int best_words = -1;

	fill_standard_descriptors();
	argc--;
	argv++;
	move_leading_options(program, argc, argv);
	for (const struct command *row = program->commands; row->words; row++) {
		int count = match_words(row->words, argc, argv);
		if ((count > 0 || !row->words[0]) && count > best_words) {
			best = row;
			best_words = count;
		}
	}
	/* A row without words is the program run plainly: only when nothing but options is given. */
	if (best && best_words == 0 && argc > 0 && argv[0][0] != '-')
		best = NULL;
	bool help = asks_for_help(argc, argv) || (argc > 0 && strcmp(argv[0], "help") == 0);
	if (help && best && best_words > 0) {
		print_row(program, best);
		return 0;
	}
	if (help) {
		print_usage(program, argc > 0 && argv[0][0] != '-' && strcmp(argv[0], "help") != 0 ? argv[0] : NULL);
		return 0;
	}
	if (argc > 0 && strcmp(argv[0], "--version") == 0) {
		printf("%s %s\n", program->name, NIGHTSHIFT_VERSION);
		return 0;
	}
	if (!best) {
		error_set(&error, ERROR_USAGE, "usage", "%s%s; see %s --help",
			  argc > 0 ? "there is no command " : "no command given", argc > 0 ? argv[0] : "",
			  program->name);
		return fail(program, &error);
	}
	line.row = best;
	if (read_line(program, &line, argc - best_words, argv + best_words, &error) < 0)
		return fail(program, &error);
	int code = best->run(&line, context, &error);
	if (error.code != ERROR_NONE)
		return fail(program, &error);
	return code;
}

const struct command *command_row(const struct command_line *line)
{
	return line->row;
}

const char *command_argument(const struct command_line *line, int index)
{
	return index < line->argument_count ? line->arguments[index] : NULL;
}

int command_argument_count(const struct command_line *line)
{
	return line->argument_count;
}

const char *command_option(const struct command_line *line, const char *name)
{
	for (int i = line->given_count; i > 0; i--)
		if (strcmp(line->given[i - 1].option->name, name) == 0)
			return line->given[i - 1].value;
	return NULL;
}

bool command_flag(const struct command_line *line, const char *name)
{
	return command_option(line, name) != NULL;
}

const char *command_option_at(const struct command_line *line, const char *name, int index)
{
	for (int i = 0; i < line->given_count; i++)
		if (strcmp(line->given[i].option->name, name) == 0 && index-- == 0)
			return line->given[i].value;
	return NULL;
}

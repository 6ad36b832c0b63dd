#include <stdio.h>
#include <unistd.h>

#include "release/commands.h"
#include "release/delta.h"

static void show_progress(void *context, size_t done, size_t count)
{
	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rmade %zu of %zu parts%s", done, count, done == count ? "\n" : "");
}

int commands_delta(const struct command_line *line, void *context, struct error *error)
{
	const struct delta_make make = {
		.old = command_argument(line, 0),
		.new = command_argument(line, 1),
		.output = command_option(line, "-o"),
		.progress = show_progress,
	};
	struct delta_made made;

	(void)context;
	if (delta_make(&make, &made, error) < 0)
		return (int)error->code;
	printf("%s: %zu contents in %zu parts, %llu bytes, %llu of them the manifest\n", make.output, made.contents,
	       made.parts, (unsigned long long)made.bytes, (unsigned long long)made.head);
	return 0;
}

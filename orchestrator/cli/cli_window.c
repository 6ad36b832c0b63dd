#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "orchestrator/cli/cli_call.h"
#include "orchestrator/cli/cli_commands.h"
#include "orchestrator/cli/cli_ics.h"

#define OCCURRENCES "52"
#define ICS_MOST    (8 * 1024 * 1024)

int cli_window_export(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(buffer_free) struct buffer path = BUFFER_INIT(4096), text = BUFFER_INIT(ICS_MOST);
	CLEANUP(jsonio_free) json_t *window = NULL;
	const char *next = command_option(line, "--next"), *file = command_option(line, "-o");
	int result = cli_request_expand(line, "/v1/windows/$1?next=", CLI_REQUEST_ESCAPE, &path, error);

	if (result == 0)
		result = cli_call_escape(next ? next : OCCURRENCES, &path, error);
	if (result == 0)
		result = cli_request_call(context, line, "GET", (const char *)path.data, NULL, &window, error);
	if (result == 0)
		result = cli_ics_write(window, &text, error);
	if (result == 0)
		result = file_replace_at(AT_FDCWD, file, text.data, text.size, 0644, error);
	if (result < 0)
		return -result;
	fprintf(stderr, "%zu openings written to %s\n", json_array_size(jsonio_member(window, "occurrences")), file);
	return 0;
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/cli/cli_commands.h"

#define POLL_LEAST_US 50000
#define POLL_MOST_US  500000

static const struct cli_column imported_columns[] = {{"PRODUCT", "product"}, {"VERSION", "version"}, {0}};

/* An import ends; the engine sees to that. So this waits for as long as the daemon answers. */
static int wait_for_import(struct cli *cli, const struct command_line *line, int64_t id, json_t **ret_import,
			   struct error *error)
{
	char path[64];
	useconds_t pause = POLL_LEAST_US;

	snprintf(path, sizeof(path), "/v1/imports/%lld", (long long)id);
	for (;;) {
		CLEANUP(jsonio_free) json_t *import = NULL;
		int result = cli_request_call(cli, line, "GET", path, NULL, &import, error);
		const char *state = result < 0 ? NULL : jsonio_string(import, "state");
		if (result < 0)
			return result;
		if (state && strcmp(state, "done") == 0) {
			*ret_import = TAKE(import);
			return 0;
		}
		if (state && strcmp(state, "refused") == 0) {
			int64_t code = jsonio_integer(import, "code");
			const char *text = jsonio_string(import, "text");
			bool known = code > 0 && code < 256 && error_code_is_known((int)code);
			return error_set(error, known ? (enum error_code)code : ERROR_DATA, "import", "%s",
					 text ? text : "the import was refused");
		}
		usleep(pause);
		pause = pause * 2 < POLL_MOST_US ? pause * 2 : POLL_MOST_US;
	}
}

int cli_release_import(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(free_pointer) char *directory = realpath(command_argument(line, 0), NULL);
	CLEANUP(jsonio_free) json_t *body = NULL, *asked = NULL, *import = NULL;

	if (!directory)
		return -error_set_errno(error, ERROR_USAGE, "directory", "%.200s", command_argument(line, 0));
	body = json_pack("{s:s}", "directory", directory);
	if (!body)
		return -error_set(error, ERROR_USAGE, "directory", "%.200s: the name is not UTF-8", directory);
	int result = cli_request_call(context, line, "POST", "/v1/imports", body, &asked, error);
	if (result == 0)
		result = wait_for_import(context, line, jsonio_integer(asked, "id"), &import, error);
	if (result < 0)
		return -result;
	const json_t *releases = jsonio_member(import, "releases");
	return -(command_flag(line, "--json") ? cli_output_json(releases, error)
					      : cli_output_table(releases, imported_columns, error));
}

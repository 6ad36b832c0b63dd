/* Appliances without a network: a file for one, and what it brought back. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "orchestrator/cli/cli_call.h"
#include "orchestrator/cli/cli_commands.h"

#define POLL_US       200000
#define RECEIPTS_MOST (16 * 1024 * 1024)

static int refusal_of(const json_t *refusal, struct error *error)
{
	int64_t code = jsonio_integer(refusal, "code");
	const char *name = jsonio_string(refusal, "name"), *text = jsonio_string(refusal, "text");
	bool known = code > 0 && code < 256 && error_code_is_known((int)code);

	return error_set(error, known ? (enum error_code)code : ERROR_BUG, name ? name : "export", "%s",
			 text ? text : "the export was refused without a reason");
}

/* The engine writes it, or says why not; so this waits for as long as the daemon answers. */
static int wait_for_export(struct cli *cli, const struct command_line *line, int64_t task, json_t **ret_result,
			   struct error *error)
{
	char path[64];

	snprintf(path, sizeof(path), "/v1/tasks/%lld", (long long)task);
	for (;;) {
		CLEANUP(jsonio_free) json_t *answer = NULL;
		int result = cli_request_call(cli, line, "GET", path, NULL, &answer, error);
		if (result < 0)
			return result;
		const json_t *found = jsonio_member(answer, "result");
		if (jsonio_boolean(answer, "done") && jsonio_member(found, "error"))
			return refusal_of(jsonio_member(found, "error"), error);
		if (jsonio_boolean(answer, "done")) {
			*ret_result = json_incref((json_t *)found);
			return 0;
		}
		usleep(POLL_US);
	}
}

struct target {
	int fd;
	char *temporary; /* NULL once it has its name */
};

static void drop_target(struct target *target)
{
	file_close(&target->fd);
	if (target->temporary)
		unlink(target->temporary);
	free(target->temporary);
}

/* Whole and durable under its name, or not there at all. */
static int fetch(struct cli *cli, int64_t task, const char *path, struct error *error)
{
	CLEANUP(drop_target) struct target target = {.fd = -1};
	CLEANUP(free_pointer) char *parent = strdup(path);
	CLEANUP(file_close) int directory = -1;
	char *temporary = NULL, route[64];

	if (!parent || asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %.200s", path);
	target.fd = mkostemp(temporary, O_CLOEXEC);
	if (target.fd < 0) {
		free(temporary);
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%.200s cannot be made", path);
	}
	target.temporary = temporary;
	snprintf(route, sizeof(route), "/v1/exports/%lld", (long long)task);
	int result = cli_call_file(cli->settings.api_socket, route, target.fd, error);
	if (result == 0 && (fchmod(target.fd, 0644) < 0 || fsync(target.fd) < 0))
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%.200s cannot be made durable", path);
	if (result == 0)
		result = file_open_directory(dirname(parent), &directory, error);
	if (result == 0 && rename(target.temporary, path) < 0)
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%.200s cannot be put in place", path);
	if (result < 0)
		return result;
	free(TAKE(target.temporary));
	return file_sync_directory(directory, error);
}

int cli_offline_export(const struct command_line *line, void *context, struct error *error)
{
	static const struct cli_part parts[] = {
		{"1", "version"}, {"--appliance", "appliance"}, {"--valid", "valid"}, {0}};
	CLEANUP(jsonio_free) json_t *body = NULL, *asked = NULL, *done = NULL;
	const char *path = command_option(line, "-o");
	char expires[CLOCK_UTC_SIZE];
	int64_t task = 0;
	int result = cli_request_body(line, parts, &body, error);

	if (result == 0)
		result = cli_request_call(context, line, "POST", "/v1/exports", body, &asked, error);
	task = result == 0 ? jsonio_integer(asked, "task") : 0;
	if (result == 0)
		result = wait_for_export(context, line, task, &done, error);
	if (result == 0)
		result = fetch(context, task, path, error);
	if (result < 0)
		return -result;
	if (command_flag(line, "--json"))
		return -cli_output_json(done, error);
	clock_format_utc(jsonio_integer(done, "expires"), expires);
	printf("%s: %s for %s, to be applied before %s\n", path, command_argument(line, 0),
	       command_option(line, "--appliance"), expires);
	return 0;
}

static const struct cli_column receipt_columns[] = {{"APPLIANCE", "appliance"},
						    {"UPGRADE", "upgrade"},
						    {"FROM", "from"},
						    {"TO", "to"},
						    {"OUTCOME", "outcome"},
						    {"NEW", "new", CLI_YESNO},
						    {0}};

static int read_receipts(const char *path, json_t **ret_receipts, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(RECEIPTS_MOST);
	int result = file_read_at(AT_FDCWD, path, &bytes, error);

	if (result == 0)
		result = jsonio_parse(bytes.data, bytes.size, path, ret_receipts, error);
	if (result == 0 && !json_is_array(*ret_receipts)) {
		jsonio_free(ret_receipts);
		result = error_set(error, ERROR_DATA, "format",
				   "%.200s is not what `appliance-hook receipt export` writes", path);
	}
	return result;
}

/* Each stands by itself: those before one that is refused are kept. */
int cli_offline_receipts(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(jsonio_free) json_t *receipts = NULL, *kept = json_array();
	json_t *receipt;
	size_t index;
	int result = read_receipts(command_argument(line, 0), &receipts, error);

	json_array_foreach(receipts, index, receipt)
	{
		CLEANUP(jsonio_free) json_t *body = json_pack("{s:O}", "receipt", receipt), *answer = NULL;
		if (result == 0)
			result = cli_request_call(context, line, "POST", "/v1/receipts", body, &answer, error);
		if (result == 0 && json_array_append(kept, answer) < 0)
			result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the receipts");
	}
	if (result < 0)
		return -result;
	return -(command_flag(line, "--json") ? cli_output_json(kept, error)
					      : cli_output_table(kept, receipt_columns, error));
}

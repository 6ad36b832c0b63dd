#include "orchestrator/cli/cli_request.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "orchestrator/cli/cli_call.h"

#define TEXT_MOST (512 * 1024)

int cli_request_call(struct cli *cli, const struct command_line *line, const char *method, const char *path,
		     const json_t *body, json_t **ret_answer, struct error *error)
{
	if (!cli->loaded) {
		int result = settings_load(command_option(line, "--config"), &cli->settings, error);
		if (result < 0)
			return result;
		cli->loaded = true;
	}
	return cli_call(cli->settings.api_socket, method, path, body, ret_answer, error);
}

int cli_request_expand(const struct command_line *line, const char *template, enum cli_request_escape escape,
		       struct buffer *ret_text, struct error *error)
{
	int result = 0;

	for (const char *c = template; *c && result == 0; c++) {
		if (c[0] != '$' || c[1] < '1' || c[1] > '9') {
			result = buffer_append(ret_text, c, 1, error);
			continue;
		}
		const char *argument = command_argument(line, *++c - '1');
		if (!argument)
			argument = "";
		/* An empty part would make another path of it. */
		if (escape == CLI_REQUEST_ESCAPE && argument[0] == '\0')
			return error_set(error, ERROR_USAGE, "usage", "an argument of \"%s\" is empty",
					 command_row(line)->words);
		result = escape == CLI_REQUEST_ESCAPE ? cli_call_escape(argument, ret_text, error)
						      : buffer_append_string(ret_text, argument, error);
	}
	return result;
}

int cli_request_read_text(const char *path, struct buffer *ret_text, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(TEXT_MOST);
	int result = file_read_at(AT_FDCWD, path, &text, error);

	if (result < 0)
		return result;
	if (text.size && memchr(text.data, '\0', text.size))
		return error_set(error, ERROR_DATA, "format", "%.200s: holds a NUL, so it is no text", path);
	return buffer_append(ret_text, text.data ? text.data : (const uint8_t *)"", text.size, error);
}

static int read_integer(const char *from, const char *value, json_t **ret_value, struct error *error)
{
	char *end = NULL;
	long long number = value[0] >= '0' && value[0] <= '9' && strlen(value) < 16 ? strtoll(value, &end, 10) : -1;

	if (!end || *end)
		return error_set(error, ERROR_USAGE, "usage", "%s \"%.40s\" must be a number", from, value);
	*ret_value = json_integer(number);
	return 0;
}

static json_t *read_list(const struct command_line *line, const char *option)
{
	json_t *list = json_array();
	const char *value;

	for (int i = 0; (value = command_option_at(line, option, i)); i++)
		json_array_append_new(list, json_string(value));
	return list;
}

static int read_file(const struct cli_part *part, const char *path, json_t *body, json_t **ret_value,
		     struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(TEXT_MOST);
	const char *slash = strrchr(path, '/');
	int result = cli_request_read_text(path, &text, error);

	if (result < 0)
		return result;
	*ret_value = json_string(text.data ? (const char *)text.data : "");
	if (!*ret_value)
		return error_set(error, ERROR_DATA, "format", "%.200s: is not UTF-8", path);
	/* For the sentences of the other side: "nights.ini, line 3". */
	if (strcmp(part->key, "ini") == 0)
		json_object_set_new(body, "file", json_string(slash ? slash + 1 : path));
	return 0;
}

static int read_part(const struct command_line *line, const struct cli_part *part, json_t *body, struct error *error)
{
	bool positional = part->from[0] >= '1' && part->from[0] <= '9';
	const char *value = positional ? command_argument(line, part->from[0] - '1') : command_option(line, part->from);
	json_t *member = NULL;
	int result = 0;

	if (!value)
		return 0;
	switch (part->type) {
	case CLI_PART_TEXT:
		member = json_string(value);
		if (!member)
			result = error_set(error, ERROR_USAGE, "usage", "%s is not UTF-8", part->from);
		break;
	case CLI_PART_INTEGER:
		result = read_integer(part->from, value, &member, error);
		break;
	case CLI_PART_FLAG:
		member = json_true();
		break;
	case CLI_PART_LIST:
		member = read_list(line, part->from);
		break;
	case CLI_PART_FILE:
		result = read_file(part, value, body, &member, error);
		break;
	}
	if (result == 0 && json_object_set_new(body, part->key, member) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the request");
	return result;
}

int cli_request_body(const struct command_line *line, const struct cli_part *parts, json_t **ret_body,
		     struct error *error)
{
	CLEANUP(jsonio_free) json_t *body = json_object();
	int result = 0;

	for (const struct cli_part *part = parts; part->key && result == 0; part++)
		result = read_part(line, part, body, error);
	if (result == 0)
		*ret_body = TAKE(body);
	return result;
}

/* "?a=b&c=d" from the same parts. */
static int append_query(const json_t *members, struct buffer *path, struct error *error)
{
	const char *key;
	json_t *value;
	char mark = '?';
	int result = 0;

	json_object_foreach((json_t *)members, key, value)
	{
		char text[512];
		cli_output_format(value, CLI_NUMBER, text, sizeof(text));
		result = buffer_printf(path, error, "%c%s=", mark, key);
		if (result == 0)
			result = cli_call_escape(text, path, error);
		if (result < 0)
			return result;
		mark = '&';
	}
	return result;
}

int cli_request_show(const struct command_line *line, const struct cli_view *view, const json_t *answer,
		     struct error *error)
{
	CLEANUP(buffer_free) struct buffer said = BUFFER_INIT(4096);
	char value[1024];

	if (command_flag(line, "--json"))
		return cli_output_json(answer, error);
	switch (view->kind) {
	case CLI_NOTHING:
		if (cli_request_expand(line, view->said, CLI_REQUEST_PLAIN, &said, error) < 0)
			return -(int)error->code;
		cli_output_note((const char *)said.data);
		return 0;
	case CLI_VALUE:
		cli_output_format(json_object_get(answer, view->columns[0].key), view->columns[0].format, value,
				  sizeof(value));
		cli_output_text(value);
		return 0;
	case CLI_OBJECT:
		return cli_output_object(answer, view->columns, view->nested, error);
	case CLI_TABLE:
		return cli_output_table(answer, view->columns, error);
	}
	return 0;
}

int cli_request_run(const struct command_line *line, void *context, struct error *error)
{
	const struct cli_request *request = command_row(line)->data;
	CLEANUP(buffer_free) struct buffer path = BUFFER_INIT(8192);
	CLEANUP(jsonio_free) json_t *members = NULL, *answer = NULL;
	bool get = strcmp(request->method, "GET") == 0;
	int result = cli_request_expand(line, request->path, CLI_REQUEST_ESCAPE, &path, error);

	if (result == 0 && request->parts)
		result = cli_request_body(line, request->parts, &members, error);
	if (result == 0 && get && members)
		result = append_query(members, &path, error);
	if (result == 0)
		result = cli_request_call(context, line, request->method, (const char *)path.data, get ? NULL : members,
					  &answer, error);
	if (result == 0)
		result = cli_request_show(line, &request->view, answer, error);
	return -result;
}

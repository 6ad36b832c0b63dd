#include "appliance-hook/cli/tunnel.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/cli/door.h"
#include "appliance-hook/cli/grant.h"
#include "appliance-hook/cli/program.h"
#include "appliance-hook/cli/say.h"
#include "base/file.h"

static const char *text_of(const json_t *status, const char *name)
{
	const char *text = json_string_value(json_object_get(status, name));
	return text ? text : "";
}

static int say_status(const struct command_line *line, const json_t *status, struct error *error)
{
	char since[SAY_TIME_SIZE], until[SAY_TIME_SIZE];
	if (command_flag(line, "--json"))
		return say_json(status, error);
	if (!json_is_true(json_object_get(status, "open"))) {
		puts("closed");
		return 0;
	}
	bool permanent = json_is_true(json_object_get(status, "permanent"));
	say_time(json_integer_value(json_object_get(status, "since")), since);
	say_time(json_integer_value(json_object_get(status, "until")), until);
	printf("open (%s) for %s since %s until %s\n", text_of(status, "state"), text_of(status, "scope"), since,
	       permanent ? "closed by you (permanent)" : until);
	if (text_of(status, "reason")[0])
		printf("reason: %s\n", text_of(status, "reason"));
	if (text_of(status, "text")[0])
		printf("%s\n", text_of(status, "text"));
	return 0;
}

static int ask(const struct command_line *line, json_t *request, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	CLEANUP(jsonio_free) json_t *asked = request;
	CLEANUP(jsonio_free) json_t *status = NULL;
	if (program_settings(line, &settings, error) < 0 ||
	    door_ask(settings.state, TAKE(asked), NULL, NULL, &status, error) < 0)
		return -(int)error->code;
	return say_status(line, status, error);
}

int tunnel_open(const struct command_line *line, void *context UNUSED, struct error *error)
{
	const char *scope = command_option(line, "--scope"), *how_long = command_option(line, "--for");
	const char *reason = command_option(line, "--reason");
	struct grant checked;
	int64_t seconds = GRANT_FOR_DEFAULT;
	if (how_long && config_parse_seconds(how_long, &seconds, error) < 0)
		return error_set(error, ERROR_USAGE, "for", "--for %s is no time: write 45m, 8h or 2d", how_long);
	scope = scope ? scope : GRANT_SCOPE_DEFAULT;
	reason = reason ? reason : "";
	/* Usage is refused here, with or without a serve. */
	if (seconds < 1)
		return error_set(error, ERROR_USAGE, "for", "a tunnel that is open for no time is closed");
	if (grant_make(scope, seconds, reason, clock_now(), &checked, error) < 0)
		return -(int)error->code;
	return ask(line,
		   json_pack("{s:s, s:s, s:I, s:s}", "do", "tunnel-open", "scope", scope, "for", (json_int_t)seconds,
			     "reason", reason),
		   error);
}

/* Without serve nothing is connected; what is stored must not open again by itself. */
static int close_stored(const struct hook_settings *settings, struct error *error)
{
	const struct grant closed = {0};
	CLEANUP(file_close) int state = -1;
	if (file_open_directory(settings->state, &state, error) < 0 || grant_store(state, &closed, error) < 0)
		return -(int)error->code;
	puts("closed");
	return 0;
}

int tunnel_close(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	if (ask(line, json_pack("{s:s}", "do", "tunnel-close"), error) == 0)
		return 0;
	if (strcmp(error->name, "serve") != 0)
		return -(int)error->code;
	*error = (struct error){0};
	if (program_settings(line, &settings, error) < 0)
		return -(int)error->code;
	return close_stored(&settings, error);
}

/* Without serve: what is stored. */
static int stored_status(const struct command_line *line, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	CLEANUP(file_close) int state = -1;
	CLEANUP(jsonio_free) json_t *status = NULL;
	struct grant grant = {0};
	if (program_settings(line, &settings, error) < 0 || file_open_directory(settings.state, &state, error) < 0 ||
	    grant_load(state, clock_now(), &grant, error) < 0)
		return -(int)error->code;
	status = grant_json(&grant);
	if (!status || json_object_set_new(status, "state", json_string("closed")) < 0 ||
	    json_object_set_new(status, "text", json_string("`appliance-hook serve` does not run here")) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to say how the tunnel stands");
	return say_status(line, status, error);
}

int tunnel_status(const struct command_line *line, void *context UNUSED, struct error *error)
{
	if (ask(line, json_pack("{s:s}", "do", "tunnel-status"), error) == 0)
		return 0;
	if (strcmp(error->name, "serve") != 0)
		return -(int)error->code;
	*error = (struct error){0};
	return stored_status(line, error);
}

int tunnel_permanent(const struct command_line *line, void *context UNUSED, struct error *error)
{
	const char *word = command_argument(line, 0);
	if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)
		return error_set(error, ERROR_USAGE, "permanent", "`tunnel permanent` is on or off, not %s", word);
	return ask(line, json_pack("{s:s, s:b}", "do", "tunnel-permanent", "on", (int)(strcmp(word, "on") == 0)),
		   error);
}

#include "appliance-hook/cli/update.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/cli/door.h"
#include "appliance-hook/cli/program.h"
#include "appliance-hook/cli/say.h"
#include "appliance-hook/cli/serve.h"

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static int ask(const struct command_line *line, bool dry, json_t **ret_result, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	const char *to = command_option(line, "--to");
	json_t *request = to ? json_pack("{s:s, s:b, s:s}", "do", "pull", "dry", (int)dry, "to", to)
			     : json_pack("{s:s, s:b}", "do", "pull", "dry", (int)dry);
	CLEANUP(jsonio_free) json_t *asked = request;
	if (program_settings(line, &settings, error) < 0)
		return -(int)error->code;
	struct error asking = {0};
	int result = door_ask(settings.state, TAKE(asked), say_progress, NULL, ret_result, &asking);
	/* Nobody serves: this process does, for the one pull. */
	if (result < 0 && strcmp(asking.name, "serve") == 0) {
		asking = (struct error){0};
		result = serve_once(&settings, to, dry, say_progress, NULL, ret_result, &asking);
	}
	if (result < 0)
		*error = asking;
	say_progress_end();
	return result;
}

/* A product that was rolled back is no success, whoever asked. */
static int judge(const json_t *result, struct error *error)
{
	const char *outcome = text_of(result, "outcome"), *version = text_of(result, "version");
	if (strcmp(outcome, "committed") == 0 || strcmp(outcome, "current") == 0)
		return 0;
	return error_set(error, ERROR_NOT_NOW, outcome, "%s is %s: %s", version, outcome,
			 text_of(result, "reason")[0] ? text_of(result, "reason")
						      : "see `appliance-hook receipt list`");
}

int update_pull(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(jsonio_free) json_t *result = NULL;
	if (ask(line, false, &result, error) < 0)
		return -(int)error->code;
	if (command_flag(line, "--json") && say_json(result, error) < 0)
		return -(int)error->code;
	if (judge(result, error) < 0)
		return -(int)error->code;
	if (!command_flag(line, "--json"))
		printf(strcmp(text_of(result, "outcome"), "current") == 0 ? "%s is the newest for this appliance\n"
									  : "%s is installed\n",
		       text_of(result, "version"));
	return 0;
}

static void say_plan(const json_t *result)
{
	const json_t *plan = json_object_get(result, "plan"), *check;
	size_t index;
	json_array_foreach(json_object_get(plan, "checks"), index, check)
	{
		bool ok = json_is_true(json_object_get(check, "ok"));
		printf("%-3s %-16s %s%s%s\n", ok ? "yes" : "no", text_of(check, "name"), text_of(check, "value"),
		       text_of(check, "text")[0] ? "  " : "", text_of(check, "text"));
	}
	printf("%s %s be installed now\n", text_of(result, "version"),
	       json_is_true(json_object_get(plan, "ok")) ? "can" : "cannot");
}

int update_check(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(jsonio_free) json_t *result = NULL;
	if (ask(line, true, &result, error) < 0)
		return -(int)error->code;
	if (command_flag(line, "--json"))
		return say_json(result, error);
	if (strcmp(text_of(result, "outcome"), "current") == 0)
		printf("%s is the newest for this appliance\n", text_of(result, "version"));
	else
		say_plan(result);
	return 0;
}

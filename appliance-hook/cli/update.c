#include "appliance-hook/cli/update.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "appliance-hook/cli/door.h"
#include "appliance-hook/cli/program.h"
#include "appliance-hook/cli/say.h"
#include "appliance-hook/cli/serve.h"
#include "base/file.h"

#define MIRROR_URL_MOST 2000

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static int ask_for(const struct command_line *line, const struct serve_wish *wish, json_t **ret_result,
		   struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	CLEANUP(jsonio_free)
	json_t *request = wish->file >= 0 ? json_pack("{s:s}", "do", "apply")
					  : json_pack("{s:s, s:b, s:s*, s:s*}", "do", "pull", "dry", (int)wish->dry,
						      "to", wish->to, "from", wish->mirror);
	if (program_settings(line, &settings, error) < 0)
		return -(int)error->code;
	struct error asking = {0};
	int result = door_ask_with(settings.state, TAKE(request), wish->file, say_progress, NULL, ret_result, &asking);
	/* Nobody serves: this process does, for the one pull. */
	if (result < 0 && strcmp(asking.name, "serve") == 0) {
		asking = (struct error){0};
		result = serve_once(&settings, wish, say_progress, NULL, ret_result, &asking);
	}
	if (result < 0)
		*error = asking;
	say_progress_end();
	return result;
}

static bool is_loopback(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t length = strlen(names[i]);
		if (strncmp(host, names[i], length) == 0 && (strcspn(host, "/") == length || host[length] == ':') &&
		    !memchr(host, '@', strcspn(host, "/")))
			return true;
	}
	return false;
}

/* Whatever comes is verified, but who listens learns what runs here, and may hold it back: plain HTTP only where nobody
 * can, or where somebody says so. */
static int check_mirror(const struct command_line *line, const char *url, struct error *error)
{
	if (strlen(url) > MIRROR_URL_MOST)
		return error_set(error, ERROR_USAGE, "url", "a mirror's URL has %d bytes at most", MIRROR_URL_MOST);
	if (strncmp(url, "https://", 8) == 0)
		return 0;
	if (strncmp(url, "http://", 7) != 0)
		return error_set(error, ERROR_USAGE, "url", "%.100s is no https:// URL", url);
	if (is_loopback(url + 7) || command_flag(line, "--insecure"))
		return 0;
	return error_set(error, ERROR_USAGE, "url",
			 "%.100s is not encrypted: use https://, or say --insecure where you trust the line", url);
}

static int ask(const struct command_line *line, bool dry, json_t **ret_result, struct error *error)
{
	const struct serve_wish wish = {
		.to = command_option(line, "--to"),
		.mirror = command_option(line, "--from"),
		.file = -1,
		.dry = dry,
	};
	if (wish.mirror && check_mirror(line, wish.mirror, error) < 0)
		return -(int)error->code;
	return ask_for(line, &wish, ret_result, error);
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

static int say_outcome(const struct command_line *line, const json_t *result, struct error *error)
{
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

int update_pull(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(jsonio_free) json_t *result = NULL;
	if (ask(line, false, &result, error) < 0)
		return -(int)error->code;
	return say_outcome(line, result, error);
}

int update_apply(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(jsonio_free) json_t *result = NULL;
	const char *path = command_argument(line, 0);
	CLEANUP(file_close) int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	if (file < 0)
		return error_set_errno(error, ERROR_DATA, "read", "%.200s cannot be opened", path);
	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_DATA, "format", "%.200s is no file", path);
	const struct serve_wish wish = {.file = file};
	if (ask_for(line, &wish, &result, error) < 0)
		return -(int)error->code;
	return say_outcome(line, result, error);
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

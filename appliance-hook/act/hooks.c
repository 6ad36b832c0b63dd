#include "appliance-hook/act/hooks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "appliance-hook/act/point.h"
#include "appliance-hook/act/units.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"

#define VARIABLES     8
#define VARIABLE_SIZE 4200
#define EXIT_NOT_NOW  75

/* For people: that it cannot be kept stops nothing. */
static void keep_output(const struct layout *layout, const struct hooks_call *call, const struct buffer *output)
{
	char id[LAYOUT_ID_SIZE], path[LAYOUT_ID_SIZE + 48];
	struct error why = {0};

	if (output->size == 0)
		return;
	layout_id(call->upgrade, id);
	snprintf(path, sizeof path, "output/%s.%s", id, call->hook);
	if (file_replace_at(layout->state, path, output->data, output->size, 0640, &why) < 0)
		log_failure("keeping a hook's output", &why);
}

int hooks_run(const struct layout *layout, const struct hooks_call *call, struct error *error)
{
	CLEANUP(file_close) int hooks = -1;
	CLEANUP(free_pointer) char *program = NULL;
	CLEANUP(free_pointer) char *space = calloc(VARIABLES, VARIABLE_SIZE);
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(HOOKS_OUTPUT_MOST);
	const char *environment[VARIABLES + 3] = {0};
	const struct hook_settings *settings = layout->settings;
	char words[161], releases[VARIABLE_SIZE / 2];
	int exit_code = -1;

	snprintf(releases, sizeof releases, "%s/releases/", settings->product_root);
	int status = layout_hooks(layout, call->version, &hooks, error);
	if (status < 0)
		return status;
	if (hooks < 0 || faccessat(hooks, call->hook, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	const struct {
		const char *name, *above, *value;
	} variables[VARIABLES] = {
		{"HOOK", "", call->hook},
		{"PRODUCT", "", settings->product},
		{"PRODUCT_ROOT", "", settings->product_root},
		{"TREE", releases, call->version},
		{"FROM", "", call->from},
		{"TO", "", call->to},
		{"UPGRADE", "", call->upgrade},
		{"DATA", "", settings->data_dirs.text},
	};
	if (asprintf(&program, "%s/%s/hooks/%s/%s", settings->state, settings->product, call->version, call->hook) < 0)
		program = NULL;
	if (!program || !space)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for hook %s", call->hook);
	for (size_t i = 0; i < VARIABLES; i++) {
		char *slot = space + i * VARIABLE_SIZE;
		snprintf(slot, VARIABLE_SIZE, "NIGHTSHIFT_%s=%s%s", variables[i].name, variables[i].above,
			 variables[i].value);
		environment[i] = slot;
	}
	environment[VARIABLES] = "LANG=C.UTF-8";
	environment[VARIABLES + 1] = "HOME=/";
	const char *const argv[] = {program, NULL};
	status = point_pass("act.hook.run", error);
	if (status == 0)
		status = process_run(argv, environment, settings->product_root, HOOKS_TIMEOUT_MS, &output, &exit_code,
				     error);
	keep_output(layout, call, &output);
	if (status < 0)
		return error_prefix(error, "hook %s of %s", call->hook, call->version);
	if (exit_code == 0)
		return 0;
	units_last_words(&output, words, sizeof words);
	return error_set(error, exit_code == EXIT_NOT_NOW ? ERROR_NOT_NOW : ERROR_DATA, "hook",
			 "hook %s of %s ended with %d%s%s", call->hook, call->version, exit_code, words[0] ? ": " : "",
			 words);
}

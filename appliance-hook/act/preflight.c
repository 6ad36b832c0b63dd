#include "appliance-hook/act/preflight.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/act/copy.h"
#include "appliance-hook/act/probe.h"
#include "appliance-hook/act/restart.h"
#include "appliance-hook/act/run.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/snapshot.h"

struct subject {
	const struct layout *layout;
	const struct journal_state *state;
	const struct preflight_request *request;
	char current[LAYOUT_VERSION_SIZE];
};

struct finding {
	char value[64], limit[64];
};

static void megabytes(char text[static 64], uint64_t bytes)
{
	snprintf(text, 64, "%.1f MB", (double)bytes / 1e6);
}

static int find_state(const struct subject *subject, struct finding *finding, struct error *error)
{
	snprintf(finding->value, sizeof finding->value, "%s", journal_stage_name(subject->state->stage));
	snprintf(finding->limit, sizeof finding->limit, "nothing under way");
	return run_may_begin(subject->state, error);
}

static int find_version(const struct subject *subject, struct finding *finding, struct error *error)
{
	const char *version = subject->request->version;

	snprintf(finding->value, sizeof finding->value, "%.63s", subject->current[0] ? subject->current : "none");
	snprintf(finding->limit, sizeof finding->limit, "not %.58s", version);
	if (!subject->current[0])
		return error_set(
			error, ERROR_NOT_NOW, "version",
			"no version stands on this appliance; \"appliance-hook adopt\" puts the first one there");
	if (strcmp(subject->current, version) == 0)
		return error_set(error, ERROR_NOT_NOW, "version", "%s runs already", version);
	return 0;
}

/* A release that restarts the machine, or a backend that switches by it. */
static int find_restart(const struct subject *subject, struct finding *finding, struct error *error)
{
	const struct manifest *manifest = subject->request->manifest;
	bool by_slot = slot_backend(subject->layout)->by_restart;
	bool reboot = by_slot || subject->request->reboot || (manifest && manifest->reboot);
	int status = reboot ? restart_is_possible(subject->layout->settings, error) : 0;

	snprintf(finding->value, sizeof finding->value, "%s",
		 reboot                          ? "reboot"
		 : manifest && manifest->network ? "network"
						 : "no");
	return status < 0 ? error_prefix(error, "release %s restarts the machine", subject->request->version) : 0;
}

static int require_room(int fd, uint64_t need, struct finding *finding, const char *name, const char *what,
			struct error *error)
{
	uint64_t free_bytes = 0;
	int status = file_space_free(fd, &free_bytes, error);

	if (status < 0)
		return status;
	megabytes(finding->value, free_bytes);
	megabytes(finding->limit, need + PREFLIGHT_MARGIN);
	if (free_bytes < need + PREFLIGHT_MARGIN)
		return error_set(error, ERROR_CANNOT_CREATE, name, "%s: %s are free, %s are needed; make room first",
				 what, finding->value, finding->limit);
	return 0;
}

static int find_disk(const struct subject *subject, struct finding *finding, struct error *error)
{
	const struct layout *layout = subject->layout;
	const struct preflight_request *request = subject->request;
	char staging[sizeof LAYOUT_STAGING + LAYOUT_VERSION_SIZE];
	uint64_t need = request->bytes, have = 0;
	struct error ignored;

	snprintf(staging, sizeof staging, LAYOUT_STAGING "%.63s", request->version);
	CLEANUP(file_close)
	int begun = openat(layout->releases, staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (faccessat(layout->releases, request->version, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		need = 0;
	else if (begun >= 0 && copy_measure(begun, &have, &ignored) == 0)
		need = have < need ? need - have : 0;
	return require_room(layout->releases, need, finding, "disk", layout->settings->product_root, error);
}

static int find_space(const struct subject *subject, struct finding *finding, struct error *error)
{
	const struct layout *layout = subject->layout;
	uint64_t need = 0;

	if (!subject->request->data_migration)
		return 0;
	int status = snapshot_need(layout, &need, error);
	return status == 0 ? require_room(layout->state, need, finding, "space", layout->settings->state, error)
			   : status;
}

static int find_data(const struct subject *subject, struct finding *finding, struct error *error)
{
	uint64_t bytes = 0;

	if (!subject->request->data_migration)
		return 0;
	if (subject->layout->settings->data_dirs.count == 0)
		return error_set(
			error, ERROR_NOT_NOW, "data",
			"the release migrates data, but [data] dirs names none; name them, so that they can be kept");
	int status = snapshot_need(subject->layout, &bytes, error);
	megabytes(finding->value, bytes);
	return status;
}

static int find_hooks(const struct subject *subject, struct finding *finding, struct error *error)
{
	const struct manifest *manifest = subject->request->manifest;
	CLEANUP(file_close) int hooks = -1;
	size_t count = 0;

	if (!manifest)
		return 0;
	int status = layout_hooks(subject->layout, manifest->version, &hooks, error);
	for (size_t i = 0; status == 0 && i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		if (entry->root != MANIFEST_HOOKS || entry->type != MANIFEST_FILE)
			continue;
		count++;
		if (hooks < 0 || faccessat(hooks, entry->path, X_OK, AT_EACCESS) < 0)
			status = error_set(error, ERROR_NOT_NOW, "hooks", "hook %s of %s cannot be executed",
					   entry->path, manifest->version);
	}
	snprintf(finding->value, sizeof finding->value, "%zu", count);
	return status;
}

static int find_health(const struct subject *subject, struct finding *finding, struct error *error)
{
	size_t count = subject->layout->settings->probe_count;

	snprintf(finding->value, sizeof finding->value, "%zu probe%s", count, count == 1 ? "" : "s");
	snprintf(finding->limit, sizeof finding->limit, "all good");
	int status = probe_all_once(subject->layout->settings, subject->current, error);
	return status < 0 ? error_prefix(error, "%s is not healthy before the upgrade", subject->current) : 0;
}

static const struct {
	const char *name;
	int (*find)(const struct subject *subject, struct finding *finding, struct error *error);
} checks[] = {
	{"state", find_state}, {"version", find_version}, {"restart", find_restart}, {"disk", find_disk},
	{"data", find_data},   {"space", find_space},     {"hooks", find_hooks},     {"health", find_health},
};

static int begin(struct subject *subject, struct error *error)
{
	if (!manifest_name_is_safe(subject->request->version))
		return error_set(error, ERROR_DATA, "version", "\"%.80s\" is not a version", subject->request->version);
	return slot_backend(subject->layout)->current(subject->layout, subject->current, error);
}

int preflight_run(const struct layout *layout, const struct journal_state *state,
		  const struct preflight_request *request, json_t **ret_checks, bool *ret_ok, struct error *error)
{
	CLEANUP(jsonio_free) json_t *list = json_array();
	struct subject subject = {.layout = layout, .state = state, .request = request};
	bool ok = true;
	int status = begin(&subject, error);

	if (status < 0)
		return status;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding finding = {0};
		struct error why = {0};
		bool good = checks[i].find(&subject, &finding, &why) == 0;
		ok = ok && good;
		if (!list || json_array_append_new(list, json_pack("{s:s,s:b,s:s,s:s,s:s}", "name", checks[i].name,
								   "ok", (int)good, "value", finding.value, "limit",
								   finding.limit, "text", good ? "" : why.text)) < 0)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the preflight");
	}
	*ret_checks = TAKE(list);
	*ret_ok = ok;
	return 0;
}

int preflight_require(const struct layout *layout, const struct journal_state *state,
		      const struct preflight_request *request, struct error *error)
{
	struct subject subject = {.layout = layout, .state = state, .request = request};
	int status = begin(&subject, error);

	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(checks); i++) {
		struct finding finding = {0};
		status = checks[i].find(&subject, &finding, error);
		if (status < 0 && error->code != ERROR_CANNOT_CREATE) {
			error->code = ERROR_NOT_NOW;
			status = -ERROR_NOT_NOW;
		}
	}
	return status;
}

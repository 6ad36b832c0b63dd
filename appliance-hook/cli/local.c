#include "appliance-hook/cli/local.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/adopt.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/resume.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/status.h"
#include "appliance-hook/act/watcher.h"
#include "appliance-hook/cli/program.h"
#include "appliance-hook/cli/say.h"
#include "base/file.h"
#include "keys/technicians.h"

/* How long `resume` waits for a run that is still alive. */
enum { RESUME_WAIT_MS = 60000 };

/* The settings and act's directories. */
struct bench {
	struct hook_settings settings;
	struct layout layout;
};
#define BENCH_EMPTY ((struct bench){.layout = LAYOUT_CLOSED})

static void close_bench(struct bench *bench)
{
	layout_close(&bench->layout);
	hook_settings_free(&bench->settings);
}

static int open_bench(const struct command_line *line, struct bench *bench, struct error *error)
{
	if (program_settings(line, &bench->settings, error) < 0)
		return -(int)error->code;
	return layout_open(&bench->settings, &bench->layout, error);
}

int local_adopt(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(file_close) int tree = -1;
	const char *directory = command_option(line, "--tree");
	char version[LAYOUT_VERSION_SIZE];
	if (open_bench(line, &bench, error) < 0 || bundle_open(command_argument(line, 0), &bundle, error) < 0 ||
	    (directory && file_open_directory(directory, &tree, error) < 0) ||
	    adopt_bundle(&bench.layout, bundle, tree, version, error) < 0)
		return -(int)error->code;
	printf("%s %s is adopted\n", bench.settings.product, version);
	return 0;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static void say_status(const json_t *status)
{
	const json_t *journal = json_object_get(status, "journal"), *quarantine = json_object_get(status, "quarantine");
	const json_t *technicians = json_object_get(status, "technicians");
	const char *version = text_of(status, "version");
	printf("%s %s, %s\n", text_of(status, "product"), version[0] ? version : "(nothing adopted)",
	       text_of(status, "state"));
	if (text_of(journal, "upgrade")[0])
		printf("last: %s, %s to %s: %s%s%s\n", text_of(journal, "upgrade"), text_of(journal, "from"),
		       text_of(journal, "to"), text_of(journal, "state"), text_of(journal, "reason")[0] ? ": " : "",
		       text_of(journal, "reason"));
	if (text_of(status, "staged")[0])
		printf("staged: %s\n", text_of(status, "staged"));
	if (text_of(status, "fallback")[0])
		printf("`rollback` goes to: %s\n", text_of(status, "fallback"));
	if (json_array_size(quarantine) > 0)
		printf("quarantined: %zu; see `quarantine list`\n", json_array_size(quarantine));
	if (json_is_null(technicians))
		printf("technicians: the list that is kept cannot be read; `check` fetches it anew\n");
	else if (json_integer_value(technicians) > 0)
		printf("technicians who are listed: %lld\n", json_integer_value(technicians));
}

/* How many may log in where a grant lets them; -1 when what is kept cannot be read. */
static int count_technicians(const struct hook_settings *settings)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	CLEANUP(technicians_free) struct technicians technicians = {0};
	CLEANUP(free_pointer) char *path = file_join(settings->state, "trust/" TECHNICIANS_TARGET);
	struct error why = {0};
	if (path && file_read_at(AT_FDCWD, path, &bytes, &why) < 0)
		return strcmp(why.name, "missing") == 0 ? 0 : -1;
	if (!path || technicians_parse(bytes.data, bytes.size, &technicians, &why) < 0)
		return -1;
	return (int)technicians.count;
}

int local_status(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	CLEANUP(jsonio_free) json_t *status = NULL;
	if (open_bench(line, &bench, error) < 0 || status_read(&bench.layout, &status, error) < 0)
		return -(int)error->code;
	int technicians = count_technicians(&bench.settings);
	if (json_object_set_new(status, "technicians", technicians < 0 ? json_null() : json_integer(technicians)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	if (command_flag(line, "--json"))
		return say_json(status, error);
	say_status(status);
	return 0;
}

static bool say_step(void *context UNUSED, const char *state, const char *step, const char *text)
{
	fprintf(stderr, "%s: %s%s%s\n", state, step, text && text[0] ? ": " : "", text ? text : "");
	return true;
}

/* What would be lost is said before it is asked for. */
static int check_consent(const struct command_line *line, const struct rollback_plan *plan, struct error *error)
{
	const char *data = command_option(line, "--data");
	bool restore = data != NULL;
	double hours = (double)plan->lost_seconds / 3600.0;
	if (data && strcmp(data, "restore") != 0)
		return error_set(error, ERROR_USAGE, "data", "--data is restore or nothing, not %s", data);
	if (plan->migrated && !restore)
		return error_set(
			error, ERROR_NOT_NOW, "data",
			"%s has migrated the data and %s cannot read it: `rollback --data restore` brings back the "
			"snapshot, and loses what was written in the last %.1f hours",
			plan->from, plan->to, hours);
	if (restore && !plan->can_restore)
		return error_set(error, ERROR_NOT_NOW, "data", "there is no snapshot of the data from before %s",
				 plan->from);
	if (restore && !command_flag(line, "--yes"))
		return error_set(error, ERROR_NOT_NOW, "data",
				 "what was written in the last %.1f hours would be lost: say --yes to go on", hours);
	return 0;
}

int local_rollback(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	CLEANUP(run_result_free) struct run_result result = {0};
	struct rollback_plan plan;
	char upgrade[48];
	snprintf(upgrade, sizeof(upgrade), "local-%" PRId64, clock_now());
	struct rollback_request request = {
		.upgrade = upgrade,
		.restore_data = command_option(line, "--data") != NULL,
		.audit_head = "",
	};
	if (open_bench(line, &bench, error) < 0 || rollback_plan(&bench.layout, &plan, error) < 0 ||
	    check_consent(line, &plan, error) < 0 ||
	    rollback_run(&bench.layout, &request, say_step, NULL, &result, error) < 0)
		return -(int)error->code;
	const char *outcome = journal_stage_name(result.outcome);
	if (result.outcome != JOURNAL_ROLLED_BACK)
		return error_set(error, ERROR_NOT_NOW, outcome, "going back from %s to %s: %s: %s", plan.from, plan.to,
				 outcome, result.reason);
	printf("%s is back\n", plan.to);
	return 0;
}

int local_resume(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	struct resume_report report = {0};
	if (open_bench(line, &bench, error) < 0 || resume_run(&bench.layout, RESUME_WAIT_MS, &report, error) < 0)
		return -(int)error->code;
	if (report.goes_on)
		printf("%s\n", report.text);
	else if (report.acted && report.outcome == JOURNAL_INCONSISTENT)
		return error_set(error, ERROR_NOT_NOW, "inconsistent", "%s", report.text);
	else if (report.acted)
		printf("%s: %s\n", journal_stage_name(report.outcome), report.text);
	else
		printf("nothing was open; %s stands\n", report.version[0] ? report.version : "no release");
	return 0;
}

int local_clear(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	if (open_bench(line, &bench, error) < 0)
		return -(int)error->code;
	return resume_clear(&bench.layout, command_option(line, "--reason"), error);
}

int local_quarantine_list(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	CLEANUP(jsonio_free) json_t *list = NULL;
	const json_t *one;
	size_t index;
	if (open_bench(line, &bench, error) < 0 || quarantine_list(&bench.layout, &list, error) < 0)
		return -(int)error->code;
	if (command_flag(line, "--json"))
		return say_json(list, error);
	json_array_foreach(list, index, one)
		printf("%-16s %s  %s\n", text_of(one, "version"), text_of(one, "sha256"), text_of(one, "reason"));
	return 0;
}

int local_quarantine_remove(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	if (open_bench(line, &bench, error) < 0)
		return -(int)error->code;
	return quarantine_remove(&bench.layout, command_argument(line, 0), error);
}

int local_receipt_list(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	CLEANUP(jsonio_free) json_t *list = NULL;
	const json_t *one;
	size_t index;
	if (open_bench(line, &bench, error) < 0 || receipts_list(&bench.layout, &list, error) < 0)
		return -(int)error->code;
	if (command_flag(line, "--json"))
		return say_json(list, error);
	json_array_foreach(list, index, one)
	{
		const json_t *receipt = json_object_get(json_object_get(one, "receipt"), "signed");
		printf("%-32s %s to %s: %s%s%s\n", text_of(receipt, "upgrade"), text_of(receipt, "from"),
		       text_of(receipt, "to"), text_of(receipt, "outcome"), text_of(receipt, "reason")[0] ? ": " : "",
		       text_of(receipt, "reason"));
	}
	return 0;
}

/* What is not signed was done before the appliance joined: nobody would know whose it is. */
static int signed_only(const json_t *list, json_t **ret_receipts, struct error *error)
{
	CLEANUP(jsonio_free) json_t *receipts = json_array();
	const json_t *one;
	size_t index;
	json_array_foreach(list, index, one)
	{
		json_t *receipt = json_object_get(one, "receipt");
		if (json_array_size(json_object_get(receipt, "signatures")) > 0 &&
		    json_array_append(receipts, receipt) < 0)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the receipts");
	}
	*ret_receipts = TAKE(receipts);
	return 0;
}

int local_receipt_export(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_bench) struct bench bench = BENCH_EMPTY;
	CLEANUP(jsonio_free) json_t *list = NULL, *receipts = NULL;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	const char *path = command_option(line, "-o");
	if (open_bench(line, &bench, error) < 0 || receipts_list(&bench.layout, &list, error) < 0 ||
	    signed_only(list, &receipts, error) < 0)
		return -(int)error->code;
	if (!path)
		return say_json(receipts, error);
	if (jsonio_write(receipts, true, &text, error) < 0 ||
	    file_replace_at(AT_FDCWD, path, text.data, text.size, 0644, error) < 0)
		return -(int)error->code;
	printf("%s: %zu receipts\n", path, json_array_size(receipts));
	return 0;
}

int local_watch(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	const char *words[WATCHER_WORDS];
	for (int i = 0; i < WATCHER_WORDS; i++)
		words[i] = command_argument(line, i);
	if (program_settings(line, &settings, error) < 0)
		return -(int)error->code;
	return watcher_main(&settings, words, error);
}

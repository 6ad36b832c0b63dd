#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/inifile.h"
#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_customer.h"
#include "orchestrator/store/store_freeze.h"
#include "orchestrator/store/store_window.h"
#include "schedules/window.h"

#define OCCURRENCES_MOST 500
#define OCCURRENCES      5

struct target {
	enum store_window_scope scope;
	char name[STORE_NAME_SIZE];
	struct store_appliance appliance; /* when it is one */
};

/* NAME, or appliance:NAME or customer:NAME where both exist. */
static int find_target(struct api_call *call, const char *word, struct target *ret_target, struct error *error)
{
	struct target target = {.scope = STORE_WINDOW_APPLIANCE};
	struct error ignored;
	const char *colon = strchr(word, ':'), *name = colon ? colon + 1 : word;
	bool box = store_appliance_get(call->store, name, &target.appliance, &ignored) == 0;
	bool customer = store_customer_check(call->store, name, &ignored) == 0;

	if (colon) {
		box = box && strncmp(word, "appliance:", strlen("appliance:")) == 0;
		customer = customer && strncmp(word, "customer:", strlen("customer:")) == 0;
	}
	if (box && customer)
		return error_set(error, ERROR_USAGE, "ambiguous",
				 "%s is an appliance and a customer: say appliance:%s or customer:%s", name, name,
				 name);
	if (!box && !customer)
		return error_set(error, ERROR_USAGE, "unknown-target", "%s is neither an appliance nor a customer",
				 word);
	target.scope = box ? STORE_WINDOW_APPLIANCE : STORE_WINDOW_CUSTOMER;
	snprintf(target.name, sizeof(target.name), "%s", name);
	*ret_target = target;
	return 0;
}

int api_window_set(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *requester = jsonio_string(call->body, "requester"), *file = jsonio_string(call->body, "file");
	struct target target;
	int result = find_target(call, call->parameters[0], &target, error);

	if (result == 0)
		result = api_line_check("a requester", requester ? requester : "", 100, error);
	if (result == 0)
		result = api_line_check("a file's name", file ? file : "", 255, error);
	if (result < 0)
		return result;
	const struct store_window_change change = {
		.scope = target.scope,
		.name = target.name,
		.ini = jsonio_string(call->body, "ini"),
		.requester = requester ? requester : "",
	};
	result = store_window_set(call->store, &change, file && file[0] ? file : "windows", call->caller->actor,
				  call->now, error);
	return result < 0 ? result : store_window_row(call->store, target.scope, target.name, ret_answer, error);
}

/* The row that counts: a box's own windows, else its customer's. */
static int find_row(struct api_call *call, const struct target *target, json_t **ret_row, struct error *error)
{
	int result = store_window_row(call->store, target->scope, target->name, ret_row, error);

	if (result == 0 && !*ret_row && target->scope == STORE_WINDOW_APPLIANCE)
		result = store_window_row(call->store, STORE_WINDOW_CUSTOMER, target->appliance.customer, ret_row,
					  error);
	if (result == 0 && !*ret_row)
		return error_set(error, ERROR_NOT_NOW, "window",
				 "%s has no window: `nightshift window set %s FILE.ini` gives it one", target->name,
				 target->name);
	return result;
}

static json_t *occurrence_object(const struct occurrence *occurrence)
{
	const struct zone *zone = window_zone(occurrence->window);
	struct civil end = zone_local(zone, occurrence->end, NULL, NULL);
	int offset = 0;
	const char *abbreviation = "";
	struct civil start = zone_local(zone, occurrence->start, &offset, &abbreviation);
	char scheduled[32], local[32], local_end[32], utc[CLOCK_UTC_SIZE], utc_end[CLOCK_UTC_SIZE],
		last[CLOCK_UTC_SIZE];

	snprintf(scheduled, sizeof(scheduled), "%04d-%02d-%02dT%02d:%02d", occurrence->local.year,
		 occurrence->local.month, occurrence->local.day, occurrence->local.hour, occurrence->local.minute);
	snprintf(local, sizeof(local), "%04d-%02d-%02dT%02d:%02d", start.year, start.month, start.day, start.hour,
		 start.minute);
	snprintf(local_end, sizeof(local_end), "%04d-%02d-%02dT%02d:%02d", end.year, end.month, end.day, end.hour,
		 end.minute);
	clock_format_utc(occurrence->start, utc);
	clock_format_utc(occurrence->end, utc_end);
	clock_format_utc(occurrence->last_start, last);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:s,s:b,s:b}", "window",
			 window_name(occurrence->window), "zone", zone_name(zone), "abbreviation", abbreviation,
			 "scheduled", scheduled, "local", local, "local_end", local_end, "start",
			 (json_int_t)occurrence->start, "end", (json_int_t)occurrence->end, "last_start",
			 (json_int_t)occurrence->last_start, "utc", utc, "utc_end", utc_end, "utc_last_start", last,
			 "shifted", occurrence->shifted, "trimmed", occurrence->trimmed);
}

static int list_occurrences(const struct window_set *windows, const struct freeze_set *freezes, int64_t now,
			    size_t wanted, json_t **ret_list, struct error *error)
{
	CLEANUP(free_pointer) struct occurrence *occurrences = calloc(wanted, sizeof(*occurrences));
	CLEANUP(jsonio_free) json_t *list = json_array();
	const struct window_query query = {.freezes = freezes};
	size_t count = 0;

	if (!occurrences)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %zu occurrences", wanted);
	int result = window_set_next(windows, &query, now, wanted, occurrences, &count, error);
	for (size_t i = 0; i < count && result == 0; i++)
		if (json_array_append_new(list, occurrence_object(&occurrences[i])) < 0)
			result =
				error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %zu occurrences", count);
	if (result == 0)
		*ret_list = TAKE(list);
	return result;
}

int api_window_show(struct api_call *call, json_t **ret_answer, struct error *error)
{
	CLEANUP(window_set_free) struct window_set windows = {0};
	CLEANUP(freeze_set_free) struct freeze_set freezes = {0};
	CLEANUP(buffer_free) struct buffer ini = BUFFER_INIT(INIFILE_SIZE_MOST);
	CLEANUP(jsonio_free) json_t *row = NULL;
	const char *next = call->query(call, "next");
	json_t *list = NULL;
	struct target target;
	int64_t wanted = OCCURRENCES;
	int result = next[0] ? api_number_parse("--next", next, 1, OCCURRENCES_MOST, &wanted, error) : 0;

	if (result == 0)
		result = find_target(call, call->parameters[0], &target, error);
	if (result == 0)
		result = find_row(call, &target, &row, error);
	if (result == 0 && target.scope == STORE_WINDOW_APPLIANCE)
		result = store_freeze_of_appliance(call->store, target.appliance.customer, target.appliance.tags, &ini,
						   error);
	else if (result == 0)
		result = store_freeze_of_appliance(call->store, target.name, "", &ini, error);
	if (result == 0) {
		const char *text = jsonio_string(row, "ini");
		result = window_set_parse(text, strlen(text), target.name, &windows, error);
	}
	if (result == 0 && ini.size)
		result = freeze_set_parse((const char *)ini.data, ini.size, "freezes", &freezes, error);
	if (result == 0)
		result = list_occurrences(&windows, &freezes, call->now, (size_t)wanted, &list, error);
	if (result < 0)
		return result;
	if (json_object_set_new(row, "occurrences", list) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the occurrences");
	*ret_answer = TAKE(row);
	return 0;
}

int api_window_freeze_add(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *file = jsonio_string(call->body, "file");
	json_t *names = NULL;
	int result = api_line_check("a file's name", file ? file : "", 255, error);

	if (result == 0)
		result = store_freeze_add(call->store, jsonio_string(call->body, "ini"),
					  file && file[0] ? file : "freezes", call->caller->actor, call->now, &names,
					  error);
	if (result == 0)
		*ret_answer = json_pack("{s:o}", "names", names);
	return result;
}

int api_window_freeze_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_freeze_list(call->store, ret_answer, error);
}

int api_window_freeze_remove(struct api_call *call, json_t **ret_answer, struct error *error)
{
	int result = store_freeze_remove(call->store, call->parameters[0], call->caller->actor, error);

	if (result == 0)
		*ret_answer = json_pack("{s:s}", "name", call->parameters[0]);
	return result;
}

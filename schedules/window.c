#include "schedules/window.h"

#include <stdlib.h>

#include "schedules/section.h"
#include "schedules/window_instant.h"

#define MINUTE 60
#define DAY    86400

struct window {
	struct section section;
	char zone_text[SECTION_TEXT_MOST + 1];
	char rule_text[SECTION_TEXT_MOST + 1];
	char anchor_text[SECTION_TEXT_MOST + 1];
	int interval, offset_days;
	int64_t duration, cutoff, notice;
	int gap, missed, overrun;
	struct zone *zone;
	struct rule rule;
};

static const char *const gap_choices[] = {"shift", "skip", NULL};
static const char *const missed_choices[] = {"next", "hold", NULL};
static const char *const overrun_choices[] = {"rollback", "finish", NULL};

#define FIELD(name) offsetof(struct window, name)
static const struct section_key keys[] = {
	{"zone", SECTION_TEXT, FIELD(zone_text)},
	{"rule", SECTION_TEXT, FIELD(rule_text)},
	{"anchor", SECTION_TEXT, FIELD(anchor_text), .fallback = ""},
	{"interval", SECTION_NUMBER, FIELD(interval), "1", 1, 120},
	{"offset_days", SECTION_NUMBER, FIELD(offset_days), "0", -30, 30},
	{"duration", SECTION_SECONDS, FIELD(duration), .least = MINUTE, .most = 31 * DAY},
	{"cutoff", SECTION_SECONDS, FIELD(cutoff), "0", 0, 31 * DAY},
	{"gap", SECTION_CHOICE, FIELD(gap), "shift", .choices = gap_choices},
	{"missed", SECTION_CHOICE, FIELD(missed), "next", .choices = missed_choices},
	{"overrun", SECTION_CHOICE, FIELD(overrun), "rollback", .choices = overrun_choices},
	{"notice", SECTION_SECONDS, FIELD(notice), "0", 0, 365 * DAY},
};

/* A one-shot is an appointment: it must be a time that exists, once. */
static int check_once(const struct window *window, struct error *error)
{
	const struct rule *rule = &window->rule;
	struct civil civil = civil_from_seconds(rule->date * DAY + rule->hour * 3600 + rule->minute * 60);
	int64_t ignored;

	return window_instant_civil(window->zone, civil, rule->has_offset ? &rule->offset : NULL, &ignored, error);
}

static int complete(void *object, struct error *error)
{
	struct window *window = object;
	int status = zone_load(window->zone_text, &window->zone, error);

	if (status == 0)
		status = rule_parse(window->rule_text, &window->rule, error);
	if (status == 0)
		status = rule_repeat(&window->rule, window->interval, window->anchor_text, window->offset_days, error);
	if (status == 0 && window->rule.kind == RULE_ONCE)
		status = check_once(window, error);
	if (status == 0 && window->cutoff >= window->duration)
		status = error_set(error, ERROR_DATA, "window",
				   "cutoff must be shorter than duration, or nothing could start");
	return status;
}

static void release(void *object)
{
	struct window *window = object;

	zone_free(&window->zone);
}

static const struct section_kind window_kind = {
	.word = "window",
	.size = sizeof(struct window),
	.most = WINDOWS_MOST,
	.keys = keys,
	.key_count = ARRAY_SIZE(keys),
	.complete = complete,
	.release = release,
};

int window_set_parse(const char *text, size_t size, const char *name, struct window_set *ret_set, struct error *error)
{
	struct section_list list;
	int status = section_parse(&window_kind, text, size, name, &list, error);

	if (status < 0)
		return status;
	struct window_set set = {calloc(list.count + 1, sizeof *set.windows), list.count};
	if (!set.windows) {
		section_list_free(&window_kind, &list);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %s", name);
	}
	for (size_t i = 0; i < list.count; i++)
		set.windows[i] = list.objects[i];
	free(list.objects);
	*ret_set = set;
	return 0;
}

void window_set_free(struct window_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		section_free(&window_kind, set->windows[i]);
	free(set->windows);
	*set = (struct window_set){0};
}

int window_set_write(const struct window_set *set, struct buffer *ret_text, struct error *error)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < set->count; i++)
		status = section_write(&window_kind, set->windows[i], ret_text, error);
	return status;
}

const char *window_name(const struct window *window)
{
	return window->section.name;
}

const struct zone *window_zone(const struct window *window)
{
	return window->zone;
}

const struct rule *window_rule(const struct window *window)
{
	return &window->rule;
}

const char *window_rule_text(const struct window *window)
{
	return window->rule_text;
}

int64_t window_duration(const struct window *window)
{
	return window->duration;
}

int64_t window_cutoff(const struct window *window)
{
	return window->cutoff;
}

int64_t window_notice(const struct window *window)
{
	return window->notice;
}

enum window_gap window_gap(const struct window *window)
{
	return (enum window_gap)window->gap;
}

enum window_missed window_missed(const struct window *window)
{
	return (enum window_missed)window->missed;
}

enum window_overrun window_overrun(const struct window *window)
{
	return (enum window_overrun)window->overrun;
}

#include "schedules/freeze.h"

#include <stdlib.h>
#include <string.h>

#include "schedules/section.h"

struct freeze {
	struct section section;
	char scope[SECTION_TEXT_MOST + 1];
	char zone_text[SECTION_TEXT_MOST + 1];
	char from_text[SECTION_TEXT_MOST + 1];
	char to_text[SECTION_TEXT_MOST + 1];
	char reason[SECTION_TEXT_MOST + 1];
	int blocks;
	struct zone *zone; /* NULL: each window's own */
	struct civil from, to;
};

static const char *const blocks_choices[] = {"all", "feature", NULL};

static const struct section_key keys[] = {
	{"scope", SECTION_TEXT, offsetof(struct freeze, scope), .fallback = "vendor"},
	{"zone", SECTION_TEXT, offsetof(struct freeze, zone_text), .fallback = "local"},
	{"from", SECTION_TEXT, offsetof(struct freeze, from_text)},
	{"to", SECTION_TEXT, offsetof(struct freeze, to_text)},
	{"blocks", SECTION_CHOICE, offsetof(struct freeze, blocks), .fallback = "all", .choices = blocks_choices},
	{"reason", SECTION_TEXT, offsetof(struct freeze, reason), .fallback = ""},
};

static bool scope_is_known(const char *scope)
{
	static const char *const families[] = {"customer:", "tag:"};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (strncmp(scope, families[i], strlen(families[i])) == 0)
			return section_name_is_safe(scope + strlen(families[i]));
	return strcmp(scope, "vendor") == 0;
}

static int read_time(const char *key, const char *text, struct civil *ret_civil, struct error *error)
{
	bool has_offset;
	int offset;
	struct civil civil;

	if (!civil_parse(text, &civil, &has_offset, &offset) || has_offset)
		return error_set(error, ERROR_DATA, "freeze",
				 "%s = %s is not a local time of the form 2026-12-18T00:00", key, text);
	*ret_civil = civil;
	return 0;
}

static int complete(void *object, struct error *error)
{
	struct freeze *freeze = object;

	if (!scope_is_known(freeze->scope))
		return error_set(error, ERROR_DATA, "freeze",
				 "scope = %s is neither vendor, nor customer:NAME, nor tag:NAME", freeze->scope);
	int status = read_time("from", freeze->from_text, &freeze->from, error);
	if (status == 0)
		status = read_time("to", freeze->to_text, &freeze->to, error);
	if (status < 0)
		return status;
	if (civil_to_seconds(freeze->to) <= civil_to_seconds(freeze->from))
		return error_set(error, ERROR_DATA, "freeze", "to = %s is not after from = %s", freeze->to_text,
				 freeze->from_text);
	return strcmp(freeze->zone_text, "local") == 0 ? 0 : zone_load(freeze->zone_text, &freeze->zone, error);
}

static void release(void *object)
{
	struct freeze *freeze = object;

	zone_free(&freeze->zone);
}

static const struct section_kind freeze_kind = {
	.word = "freeze",
	.size = sizeof(struct freeze),
	.most = FREEZES_MOST,
	.keys = keys,
	.key_count = ARRAY_SIZE(keys),
	.complete = complete,
	.release = release,
};

int freeze_set_parse(const char *text, size_t size, const char *name, struct freeze_set *ret_set, struct error *error)
{
	struct section_list list;
	int status = section_parse(&freeze_kind, text, size, name, &list, error);

	if (status < 0)
		return status;
	struct freeze_set set = {calloc(list.count + 1, sizeof *set.freezes), list.count};
	if (!set.freezes) {
		section_list_free(&freeze_kind, &list);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %s", name);
	}
	for (size_t i = 0; i < list.count; i++)
		set.freezes[i] = list.objects[i];
	free(list.objects);
	*ret_set = set;
	return 0;
}

void freeze_set_free(struct freeze_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		section_free(&freeze_kind, set->freezes[i]);
	free(set->freezes);
	*set = (struct freeze_set){0};
}

int freeze_set_write(const struct freeze_set *set, struct buffer *ret_text, struct error *error)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < set->count; i++)
		status = section_write(&freeze_kind, set->freezes[i], ret_text, error);
	return status;
}

const char *freeze_name(const struct freeze *freeze)
{
	return freeze->section.name;
}

const char *freeze_scope(const struct freeze *freeze)
{
	return freeze->scope;
}

const char *freeze_reason(const struct freeze *freeze)
{
	return freeze->reason;
}

enum freeze_blocks freeze_blocks(const struct freeze *freeze)
{
	return freeze->blocks == FREEZE_FEATURE ? FREEZE_FEATURE : FREEZE_ALL;
}

void freeze_span(const struct freeze *freeze, const struct zone *zone, int64_t *ret_from, int64_t *ret_to)
{
	const struct zone *in = freeze->zone ? freeze->zone : zone;
	struct zone_resolution from = zone_resolve(in, freeze->from), to = zone_resolve(in, freeze->to);

	*ret_from = from.kind == ZONE_SKIPPED ? from.transition : from.before;
	*ret_to = to.kind == ZONE_SKIPPED ? to.transition : to.after;
}

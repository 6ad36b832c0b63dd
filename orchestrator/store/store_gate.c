#include "orchestrator/store/store_gate.h"

#include <stdio.h>
#include <string.h>

/* A document that nobody renews ends by itself; the store gives a new one at each question. */
#define DOCUMENT_LIFE (30 * 24 * 60 * 60)

/* What the contract gives this box, joined or not. */
static int describe(struct store *store, const struct store_appliance *box, enum store_gate_lapsed lapsed, int64_t now,
		    struct entitlement *ret_entitlement, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error, "SELECT tier, support_until, ends FROM contract WHERE id = ?", "s",
			box->contract) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-contract", "%s has no contract", box->name);
	struct entitlement entitlement = {
		.ends = store_query_integer(query, 2),
		.issued = now,
		.expires = now + DOCUMENT_LIFE,
		.published_policy = lapsed == STORE_GATE_PUBLISHED,
	};
	snprintf(entitlement.appliance, sizeof entitlement.appliance, "%s", box->key_id);
	snprintf(entitlement.customer, sizeof entitlement.customer, "%s", box->customer);
	snprintf(entitlement.contract, sizeof entitlement.contract, "%s", box->contract);
	snprintf(entitlement.product, sizeof entitlement.product, "%s", box->product);
	store_query_copy(query, 0, entitlement.tier, sizeof entitlement.tier);
	store_query_copy(query, 1, entitlement.support_until, sizeof entitlement.support_until);
	*ret_entitlement = entitlement;
	return 0;
}

int store_gate_entitlement(struct store *store, const char *appliance, enum store_gate_lapsed lapsed, int64_t now,
			   struct entitlement *ret_entitlement, struct error *error)
{
	struct store_appliance box;
	if (store_appliance_get(store, appliance, &box, error))
		return -(int)error->code;
	if (box.revoked)
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "%s was revoked: add it anew under another name and join it again", appliance);
	if (!box.joined)
		return error_set(
			error, ERROR_DATA, "not-joined",
			"%s has not joined yet: `appliance-hook join CODE` there, with `nightshift appliance code %s`",
			appliance, appliance);
	return describe(store, &box, lapsed, now, ret_entitlement, error);
}

int store_gate_entitled(struct store *store, const char *appliance, const char *version, enum store_gate_kind kind,
			enum store_gate_lapsed lapsed, int64_t at, struct error *error)
{
	struct entitlement entitlement;
	struct store_appliance box;
	struct store_release release;
	if (store_appliance_get(store, appliance, &box, error) ||
	    describe(store, &box, lapsed, at, &entitlement, error) ||
	    store_release_get(store, entitlement.product, version, &release, error))
		return -(int)error->code;
	struct entitlement_question question = {
		.appliance = entitlement.appliance,
		.product = entitlement.product,
		.published = release.published,
		.security = release.security,
		.managed = kind == STORE_GATE_MANAGED,
		.now = at,
	};
	return entitlement_allows(&entitlement, &question, error);
}

static int append_rows(struct store_query *query, struct buffer *ini, size_t *ret_count, struct error *error)
{
	size_t count = 0;
	for (bool row = true;; count++) {
		if (store_query_next(query, &row, error))
			return -(int)error->code;
		if (!row)
			break;
		if (buffer_append_string(ini, store_query_text(query, 0), error) ||
		    buffer_append_string(ini, "\n", error))
			return -(int)error->code;
	}
	*ret_count = count;
	return 0;
}

/* The box's own windows, and only where it has none its customer's. */
static int load_windows(struct store *store, const struct store_appliance *box, struct window_set *ret_set,
			struct error *error)
{
	CLEANUP(buffer_free) struct buffer ini = BUFFER_INIT(1024 * 1024);
	const struct {
		const char *scope, *name;
	} places[] = {{"appliance", box->name}, {"customer", box->customer}};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP(store_query_free) struct store_query *query = NULL;
		size_t count = 0;
		if (store_query(store, &query, error, "SELECT ini FROM target_window WHERE scope = ? AND name = ?",
				"ss", places[i].scope, places[i].name) ||
		    append_rows(query, &ini, &count, error))
			return -(int)error->code;
		if (count)
			return window_set_parse((const char *)ini.data, ini.size, places[i].name, ret_set, error);
	}
	return error_set(error, ERROR_NOT_NOW, "window",
			 "%s has no window: `nightshift window set %s FILE.ini` gives it one", box->name, box->name);
}

static int load_freezes(struct store *store, const struct store_appliance *box, struct freeze_set *ret_set,
			struct error *error)
{
	CLEANUP(buffer_free) struct buffer ini = BUFFER_INIT(1024 * 1024);
	CLEANUP(store_query_free) struct store_query *query = NULL;
	size_t count = 0;
	if (store_query(store, &query, error,
			"SELECT ini FROM freeze WHERE scope = 'vendor' OR scope = 'customer:' || ?1"
			" OR (scope LIKE 'tag:%' AND instr(',' || ?2 || ',', ',' || substr(scope, 5) || ',') > 0) "
			"ORDER BY name",
			"ss", box->customer, box->tags) ||
	    append_rows(query, &ini, &count, error))
		return -(int)error->code;
	*ret_set = (struct freeze_set){0};
	return count ? freeze_set_parse((const char *)ini.data, ini.size, "freezes", ret_set, error) : 0;
}

int store_gate_calendar(struct store *store, const char *appliance, const char *version,
			struct store_gate_calendar *ret_calendar, struct error *error)
{
	CLEANUP(store_gate_calendar_free) struct store_gate_calendar calendar = {0};
	struct store_appliance box;
	struct store_release release;
	if (store_appliance_get(store, appliance, &box, error) ||
	    store_release_get(store, box.product, version, &release, error) ||
	    load_windows(store, &box, &calendar.windows, error) || load_freezes(store, &box, &calendar.freezes, error))
		return -(int)error->code;
	*ret_calendar = calendar;
	calendar = (struct store_gate_calendar){0};
	ret_calendar->query = (struct window_query){
		.freezes = &ret_calendar->freezes,
		.security = release.security,
		.need = release.need,
	};
	return 0;
}

void store_gate_calendar_free(struct store_gate_calendar *calendar)
{
	window_set_free(&calendar->windows);
	freeze_set_free(&calendar->freezes);
}

#include "orchestrator/store/store_lifetime.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

int store_lifetime_put(struct store *store, const struct store_lifetime *lifetime, struct error *error)
{
	return store_change(store, NULL, error,
			    "INSERT INTO lifetime (name, version, expires, life) VALUES (?, ?, ?, ?)"
			    " ON CONFLICT (name) DO UPDATE SET version = excluded.version, expires = excluded.expires,"
			    " life = excluded.life WHERE version <> excluded.version OR expires <> excluded.expires",
			    "siii", lifetime->name, lifetime->version, lifetime->expires, lifetime->life);
}

/* Who renews it, and how. */
static const struct {
	const char *what, *how;
} remedies[] = {
	{"root", "the directors renew it with `nightshift-release root rotate`, sign and publish"},
	{"targets", "the release engineers renew them with `nightshift-release sign --renew` and publish"},
	{"snapshot", "the release publisher renews it with `nightshift-release publish`, then import"},
	{"timestamp", "the signer renews it daily: see why it does not (its log, its keys, its limits)"},
};

static int describe(json_t *row, int64_t now, struct error *error)
{
	const char *what = jsonio_string(row, "what"), *how = "";
	int64_t expires = jsonio_integer(row, "expires");
	char text[256], utc[CLOCK_UTC_SIZE];
	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++)
		if (!strcmp(remedies[i].what, what))
			how = remedies[i].how;
	clock_format_utc(expires, utc);
	snprintf(text, sizeof text, "%s %lld %s %s: %s", what, (long long)jsonio_integer(row, "version"),
		 expires <= now ? "expired" : "expires", utc, how);
	if (json_object_set_new(row, "text", json_string(text)))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a warning");
	return 0;
}

int store_lifetime_warnings(struct store *store, int64_t now, json_t **ret_rows, struct error *error)
{
	CLEANUP(jsonio_free) json_t *rows = NULL;
	size_t i;
	json_t *row;
	if (store_rows(store, &rows, error,
		       "SELECT name AS what, version, expires FROM lifetime WHERE expires - ?1 < life / 3"
		       " ORDER BY expires, name",
		       "i", now))
		return -(int)error->code;
	json_array_foreach(rows, i, row)
	{
		if (describe(row, now, error))
			return -(int)error->code;
	}
	*ret_rows = TAKE(rows);
	return 0;
}

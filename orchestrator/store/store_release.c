#include "orchestrator/store/store_release.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/store/store_audit.h"

int store_release_put(struct store *store, const struct store_release *release, struct error *error)
{
	return store_change(
		store, NULL, error,
		"INSERT INTO release (product, version, target, sha256, length, sequence, published, security, stop, "
		"min_from,"
		" channels, yanked, yank_reason, need, bytes, imported)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT (product, version) DO UPDATE SET target = excluded.target, sha256 = excluded.sha256,"
		" length = excluded.length, sequence = excluded.sequence, published = excluded.published,"
		" security = excluded.security, stop = excluded.stop, min_from = excluded.min_from, channels = "
		"excluded.channels,"
		" listed = 1, yanked = excluded.yanked, yank_reason = excluded.yank_reason, need = excluded.need, "
		"bytes = "
		"excluded.bytes",
		"ssshiiiiissisiii", release->product, release->version, release->target, release->sha256,
		release->length, release->sequence, release->published, (int64_t)release->security,
		(int64_t)release->stop, release->min_from, release->channels, (int64_t)release->yanked,
		release->yank_reason, release->need, release->bytes, release->imported);
}

#define COLUMNS                                                                                                        \
	"product, version, target, sha256, length, sequence, published, security, stop, min_from, channels, yanked,"   \
	" yank_reason, halted, halt_reason, need, bytes, imported"

static int read_row(struct store_query *query, struct store_release *ret_release, struct error *error)
{
	struct store_release row = {0};
	store_query_copy(query, 0, row.product, sizeof row.product);
	store_query_copy(query, 1, row.version, sizeof row.version);
	store_query_copy(query, 2, row.target, sizeof row.target);
	if (store_query_hash(query, 3, row.sha256, error))
		return -(int)error->code;
	row.length = store_query_integer(query, 4);
	row.sequence = store_query_integer(query, 5);
	row.published = store_query_integer(query, 6);
	row.security = store_query_integer(query, 7) != 0;
	row.stop = store_query_integer(query, 8) != 0;
	store_query_copy(query, 9, row.min_from, sizeof row.min_from);
	store_query_copy(query, 10, row.channels, sizeof row.channels);
	row.yanked = store_query_integer(query, 11) != 0;
	store_query_copy(query, 12, row.yank_reason, sizeof row.yank_reason);
	row.halted = store_query_integer(query, 13) != 0;
	store_query_copy(query, 14, row.halt_reason, sizeof row.halt_reason);
	row.need = store_query_integer(query, 15);
	row.bytes = store_query_integer(query, 16);
	row.imported = store_query_integer(query, 17);
	*ret_release = row;
	return 0;
}

static int find(struct store *store, const char *product, const char *version, struct store_release *ret_release,
		bool *ret_found, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT " COLUMNS " FROM release WHERE product = ? AND version = ? AND listed", "ss", product,
			version) ||
	    store_query_next(query, &row, error) || (row && read_row(query, ret_release, error)))
		return -(int)error->code;
	*ret_found = row;
	return 0;
}

int store_release_get(struct store *store, const char *product, const char *version, struct store_release *ret_release,
		      struct error *error)
{
	bool found = false;
	if (find(store, product, version, ret_release, &found, error))
		return -(int)error->code;
	if (!found)
		return error_set(error, ERROR_DATA, "unknown-release",
				 "there is no release %.63s of %.63s: `nightshift release list` shows them", version,
				 product);
	return 0;
}

int store_release_unlist(struct store *store, const char *product, const char *version, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	char object[2 * STORE_NAME_SIZE];
	snprintf(object, sizeof object, "%s %s", product, version);
	if (store_begin(store, &transaction, error) ||
	    store_change(store, NULL, error, "UPDATE release SET listed = 0 WHERE product = ? AND version = ?", "ss",
			 product, version) ||
	    store_audit_append(store, "engine", "release unlist", object, "the newest signed list does not name it",
			       error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_release_halt(struct store *store, const char *version, enum store_halt halt, const char *reason,
		       const char *actor, int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	int64_t changed = 0;
	(void)now;
	if (store_begin(store, &transaction, error) ||
	    store_change(store, &changed, error, "UPDATE release SET halted = ?, halt_reason = ? WHERE version = ?",
			 "iss", (int64_t)(halt == STORE_HALT), halt == STORE_HALT ? reason : "", version))
		return -(int)error->code;
	if (!changed)
		return error_set(error, ERROR_DATA, "unknown-release",
				 "there is no release %.63s: `nightshift release list` shows them", version);
	if (store_audit_append(store, actor, halt == STORE_HALT ? "release halt" : "release unhalt", version, reason,
			       error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_release_list(struct store *store, const char *product, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT " COLUMNS ", (SELECT count(*) FROM appliance a WHERE a.product = release.product"
			  " AND a.version = release.version AND a.revoked IS NULL) AS running"
			  " FROM release WHERE listed AND (?1 IS NULL OR product = ?1) ORDER BY product, sequence",
			  "s", product);
}

/* The first mandatory stop between the two, whatever its channel. */
static int check_stops(struct store *store, const struct store_release *from, const struct store_release *to,
		       struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT version FROM release WHERE product = ? AND stop AND listed AND NOT yanked AND sequence "
			"> ? AND "
			"sequence < ?"
			" ORDER BY sequence LIMIT 1",
			"sii", to->product, from->sequence, to->sequence) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (row)
		return error_set(error, ERROR_DATA, "stop", "%s cannot go from %s to %s at once: go to %s first",
				 to->product, from->version, to->version, store_query_text(query, 0));
	return 0;
}

int store_release_path(struct store *store, const char *product, const char *from, const char *to, struct error *error)
{
	struct store_release target, running, least;
	bool found = false, known = false;
	if (store_release_get(store, product, to, &target, error))
		return -(int)error->code;
	if (target.yanked)
		return error_set(error, ERROR_DATA, "yanked", "release %s of %s was yanked: %s", to, product,
				 target.yank_reason[0] ? target.yank_reason : "no reason given");
	if (target.halted)
		return error_set(error, ERROR_NOT_NOW, "halt",
				 "release %s of %s is halted: %s; `nightshift release unhalt %s` frees it", to, product,
				 target.halt_reason, to);
	if (!strcmp(from, to))
		return error_set(error, ERROR_DATA, "same", "%s %s runs there already", product, to);
	if (find(store, product, from, &running, &found, error))
		return -(int)error->code;
	if (!found)
		return 0;
	if (target.sequence < running.sequence)
		return error_set(
			error, ERROR_DATA, "older",
			"release %s of %s is older than %s, which runs: `nightshift upgrade rollback` goes back", to,
			product, from);
	if (target.min_from[0] && find(store, product, target.min_from, &least, &known, error))
		return -(int)error->code;
	if (known && running.sequence < least.sequence)
		return error_set(error, ERROR_DATA, "min-from", "%s %s needs at least %s and %s runs: go to %s first",
				 product, to, target.min_from, from, target.min_from);
	return check_stops(store, &running, &target, error);
}

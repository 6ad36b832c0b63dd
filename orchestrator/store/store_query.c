#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/store/store_handle.h"

struct store_query {
	struct store *store;
	sqlite3_stmt *statement;
};

void store_query_free(struct store_query **query)
{
	if (!*query)
		return;
	sqlite3_finalize((*query)->statement);
	free(*query);
	*query = NULL;
}

static int bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
	if (!bytes)
		return sqlite3_bind_null(statement, index);
	if (size == 0)
		return sqlite3_bind_zeroblob(statement, index, 0);
	return sqlite3_bind_blob64(statement, index, bytes, size, SQLITE_TRANSIENT);
}

static int bind_values(struct store_query *query, const char *format, va_list values, struct error *error)
{
	sqlite3_stmt *statement = query->statement;
	if (strlen(format) != (size_t)sqlite3_bind_parameter_count(statement))
		return error_set(error, ERROR_BUG, "store", "a statement has %d values and was given %zu: %s",
				 sqlite3_bind_parameter_count(statement), strlen(format), sqlite3_sql(statement));
	for (int i = 1; format[i - 1]; i++) {
		int result = SQLITE_OK;
		const char *text;
		const void *bytes;
		switch (format[i - 1]) {
		case 's':
			text = va_arg(values, const char *);
			result = text ? sqlite3_bind_text(statement, i, text, -1, SQLITE_TRANSIENT)
				      : sqlite3_bind_null(statement, i);
			break;
		case 'i':
			result = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
			break;
		case 'h':
			result = bind_bytes(statement, i, va_arg(values, const uint8_t *), HASH_SIZE);
			break;
		case 'b':
			bytes = va_arg(values, const void *);
			result = bind_bytes(statement, i, bytes, va_arg(values, size_t));
			break;
		case 'n':
			result = sqlite3_bind_null(statement, i);
			break;
		default:
			return error_set(error, ERROR_BUG, "store", "unknown letter '%c' for a value", format[i - 1]);
		}
		if (result != SQLITE_OK)
			return store_handle_error(query->store, result, "bind a value", error);
	}
	return 0;
}

static int prepare(struct store *store, struct store_query **ret_query, struct error *error, const char *sql,
		   const char *format, va_list values)
{
	CLEANUP(store_query_free) struct store_query *query = calloc(1, sizeof *query);
	if (!query)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a statement");
	query->store = store;
	int result = sqlite3_prepare_v2(store->database, sql, -1, &query->statement, NULL);
	if (result != SQLITE_OK)
		return store_handle_error(store, result, sql, error);
	if (bind_values(query, format, values, error))
		return -(int)error->code;
	*ret_query = TAKE(query);
	return 0;
}

int store_query(struct store *store, struct store_query **ret_query, struct error *error, const char *sql,
		const char *format, ...)
{
	va_list values;
	va_start(values, format);
	int result = prepare(store, ret_query, error, sql, format, values);
	va_end(values);
	return result;
}

int store_query_next(struct store_query *query, bool *ret_row, struct error *error)
{
	int result = sqlite3_step(query->statement);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		return store_handle_error(query->store, result, "the store", error);
	*ret_row = result == SQLITE_ROW;
	return 0;
}

const char *store_query_text(struct store_query *query, int column)
{
	const char *text = (const char *)sqlite3_column_text(query->statement, column);
	return text ? text : "";
}

int64_t store_query_integer(struct store_query *query, int column)
{
	return sqlite3_column_int64(query->statement, column);
}

const void *store_query_bytes(struct store_query *query, int column, size_t *ret_size)
{
	const void *bytes = sqlite3_column_blob(query->statement, column);
	*ret_size = bytes ? (size_t)sqlite3_column_bytes(query->statement, column) : 0;
	return bytes;
}

bool store_query_null(struct store_query *query, int column)
{
	return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

void store_query_copy(struct store_query *query, int column, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "%s", store_query_text(query, column));
}

int store_query_hash(struct store_query *query, int column, uint8_t ret_hash[static HASH_SIZE], struct error *error)
{
	size_t size;
	const void *bytes = store_query_bytes(query, column, &size);
	if (size != HASH_SIZE)
		return error_set(error, ERROR_DATA, "format", "the store holds %zu bytes where %d belong (%s)", size,
				 HASH_SIZE, sqlite3_column_name(query->statement, column));
	memcpy(ret_hash, bytes, HASH_SIZE);
	return 0;
}

static json_t *hex_json(struct store_query *query, int column)
{
	size_t size;
	const uint8_t *bytes = store_query_bytes(query, column, &size);
	CLEANUP(free_pointer) char *hex = malloc(2 * size + 1);
	if (!hex)
		return NULL;
	hash_to_hex(bytes, size, hex);
	return json_string(hex);
}

static json_t *column_json(struct store_query *query, int column)
{
	switch (sqlite3_column_type(query->statement, column)) {
	case SQLITE_INTEGER:
		return json_integer(store_query_integer(query, column));
	case SQLITE_TEXT:
		return json_string(store_query_text(query, column));
	case SQLITE_BLOB:
		return hex_json(query, column);
	default:
		return json_null();
	}
}

int store_query_json(struct store_query *query, json_t **ret_object, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = json_object();
	for (int i = 0; object && i < sqlite3_column_count(query->statement); i++)
		if (json_object_set_new(object, sqlite3_column_name(query->statement, i), column_json(query, i)))
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "a row cannot be shown as text");
	if (!object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a row");
	*ret_object = TAKE(object);
	return 0;
}

int store_change(struct store *store, int64_t *ret_changed, struct error *error, const char *sql, const char *format,
		 ...)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	va_list values;
	va_start(values, format);
	int result = prepare(store, &query, error, sql, format, values);
	va_end(values);
	bool row = true;
	while (!result && row)
		result = store_query_next(query, &row, error);
	if (!result && ret_changed)
		*ret_changed = sqlite3_changes64(store->database);
	return result;
}

int64_t store_last_id(const struct store *store)
{
	return sqlite3_last_insert_rowid(store->database);
}

static int collect(struct store_query *query, json_t **ret_array, struct error *error)
{
	CLEANUP(jsonio_free) json_t *array = json_array();
	for (bool row = true;;) {
		if (store_query_next(query, &row, error))
			return -(int)error->code;
		if (!row)
			break;
		json_t *object = NULL;
		if (store_query_json(query, &object, error))
			return -(int)error->code;
		if (json_array_append_new(array, object))
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a listing");
	}
	*ret_array = TAKE(array);
	return 0;
}

int store_rows(struct store *store, json_t **ret_array, struct error *error, const char *sql, const char *format, ...)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	va_list values;
	va_start(values, format);
	int result = prepare(store, &query, error, sql, format, values);
	va_end(values);
	return result ? result : collect(query, ret_array, error);
}

int store_row(struct store *store, json_t **ret_object, struct error *error, const char *sql, const char *format, ...)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	va_list values;
	va_start(values, format);
	int result = prepare(store, &query, error, sql, format, values);
	va_end(values);
	bool row = false;
	if (result || (result = store_query_next(query, &row, error)))
		return result;
	json_t *object = NULL;
	if (row && (result = store_query_json(query, &object, error)))
		return result;
	*ret_object = object;
	return 0;
}

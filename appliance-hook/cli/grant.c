#include "appliance-hook/cli/grant.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define GRANT_FILE "tunnel.json"
enum { FILE_MOST = 4096 };

static const char *const scope_words[] = {"status", "upgrade", "shell"};

static const struct jsonio_field fields[] = {
	{"open", JSONIO_BOOLEAN, true, 0, false},
	{"permanent", JSONIO_BOOLEAN, true, 0, false},
	{"scope", JSONIO_STRING, true, GRANT_SCOPE_MOST, false},
	{"since", JSONIO_INTEGER, true, INT64_C(253402300799), false},
	{"until", JSONIO_INTEGER, true, INT64_C(253402300799), false},
	{"reason", JSONIO_STRING, true, GRANT_REASON_MOST, false},
	{"boot", JSONIO_STRING, true, CLOCK_BOOT_ID_SIZE - 1, false},
	{0},
};

static bool is_scope_word(const char *text, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(scope_words); i++)
		if (strlen(scope_words[i]) == length && strncmp(scope_words[i], text, length) == 0)
			return true;
	return false;
}

static int check_scope(const char *scope, struct error *error)
{
	const char *at = scope;
	bool more = true;
	while (more) {
		size_t length = strcspn(at, ",");
		if (!is_scope_word(at, length) || strlen(scope) > GRANT_SCOPE_MOST)
			return error_set(
				error, ERROR_USAGE, "scope",
				"\"%s\" is no scope: it is a list of status, upgrade and shell, as in status,upgrade",
				scope);
		more = at[length] == ',';
		at += length + 1;
	}
	return 0;
}

int grant_make(const char *scope, int64_t seconds, const char *reason, int64_t now, struct grant *ret_grant,
	       struct error *error)
{
	struct grant grant = {.open = true, .since = now};
	if (check_scope(scope, error) < 0)
		return -(int)error->code;
	if (seconds == 0)
		seconds = GRANT_FOR_DEFAULT;
	if (seconds < 0 || seconds > GRANT_FOR_MOST)
		return error_set(error, ERROR_USAGE, "for",
				 "a tunnel is opened for %d hours at most; see `tunnel permanent on`",
				 GRANT_FOR_MOST / 3600);
	if (strlen(reason) > GRANT_REASON_MOST)
		return error_set(error, ERROR_USAGE, "reason", "a reason has %d bytes at most", GRANT_REASON_MOST);
	grant.until = now + seconds;
	text_copy(grant.scope, sizeof grant.scope, scope);
	text_copy(grant.reason, sizeof grant.reason, reason);
	clock_boot_id(grant.boot);
	*ret_grant = grant;
	return 0;
}

void grant_make_permanent(int64_t now, struct grant *ret_grant)
{
	struct grant grant = {.open = true, .permanent = true, .since = now, .scope = GRANT_SCOPE_DEFAULT};
	clock_boot_id(grant.boot);
	*ret_grant = grant;
}

bool grant_is_good(const struct grant *grant, int64_t now)
{
	char boot[CLOCK_BOOT_ID_SIZE];
	if (!grant->open || grant->permanent)
		return grant->open;
	clock_boot_id(boot);
	/* A clock set far back must not stretch the grant. */
	return now < grant->until && now >= grant->since - GRANT_FOR_MOST && strcmp(boot, grant->boot) == 0;
}

static int parse(const struct buffer *bytes, struct grant *ret_grant, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	if (jsonio_parse(bytes->data, bytes->size, GRANT_FILE, &object, error) < 0 ||
	    jsonio_check(object, fields, GRANT_FILE, error) < 0)
		return -(int)error->code;
	*ret_grant = (struct grant){
		.open = jsonio_boolean(object, "open"),
		.permanent = jsonio_boolean(object, "permanent"),
		.since = jsonio_integer(object, "since"),
		.until = jsonio_integer(object, "until"),
	};
	/* Bounded by the table to the sizes of their arrays. */
	text_copy(ret_grant->scope, sizeof ret_grant->scope, jsonio_string(object, "scope"));
	text_copy(ret_grant->reason, sizeof ret_grant->reason, jsonio_string(object, "reason"));
	text_copy(ret_grant->boot, sizeof ret_grant->boot, jsonio_string(object, "boot"));
	return 0;
}

int grant_load(int state, int64_t now, struct grant *ret_grant, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(FILE_MOST);
	struct grant grant = {0};
	struct error reading = {0};
	if (file_read_at(state, GRANT_FILE, &bytes, &reading) < 0) {
		if (strcmp(reading.name, "missing") != 0) {
			*error = reading;
			return -(int)error->code;
		}
	} else if (parse(&bytes, &grant, error) < 0) {
		return -(int)error->code;
	}
	*ret_grant = grant_is_good(&grant, now) ? grant : (struct grant){0};
	return 0;
}

json_t *grant_json(const struct grant *grant)
{
	return json_pack("{s:b, s:b, s:s, s:I, s:I, s:s, s:s}", "open", (int)grant->open, "permanent",
			 (int)grant->permanent, "scope", grant->scope, "since", (json_int_t)grant->since, "until",
			 (json_int_t)grant->until, "reason", grant->reason, "boot", grant->boot);
}

int grant_store(int state, const struct grant *grant, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = grant_json(grant);
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(FILE_MOST);
	if (!object)
		return error_set(error, ERROR_USAGE, "reason", "the reason is no text");
	if (jsonio_write(object, true, &text, error) < 0)
		return -(int)error->code;
	return file_replace_at(state, GRANT_FILE, text.data, text.size, 0644, error);
}

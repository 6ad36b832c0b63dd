#include "appliance-hook/cli/joining.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonio.h"
#include "keys/sshkey.h"

#define KEY_FILE    "joining.key"
#define RECORD_FILE "joining.json"
#define RECORD_MOST 4096
#define LOCK_FILE   "joining.lock"
#define HEX_SIZE    (2 * SECRET_ED25519_PUBLIC + 1)

static const struct jsonio_field record_fields[] = {
	{"once", JSONIO_STRING, true, 2L * SECRET_ED25519_PUBLIC, false},
	{"host", JSONIO_STRING, true, JOINCODE_HOST_MOST - 1, false},
	{"port", JSONIO_INTEGER, true, UINT16_MAX, false},
	{"host_key", JSONIO_STRING, true, 2L * SECRET_ED25519_PUBLIC, false},
	{"appliance", JSONIO_STRING, true, LINK_NAME_MOST - 1, false},
	{.name = NULL},
};

/* What link reads; the record has the one-time key beside it (NULL: not). */
static int hub_text(const struct joining *joining, const char *once, struct buffer *ret_text, struct error *error)
{
	char host_key[HEX_SIZE];
	hash_to_hex(joining->host_key, sizeof(joining->host_key), host_key);
	CLEANUP(jsonio_free)
	json_t *hub = json_pack("{s:s, s:i, s:s, s:s, s:s*}", "host", joining->host, "port", (int)joining->port,
				"host_key", host_key, "appliance", joining->name, "once", once);
	if (!hub)
		return error_set(error, ERROR_DATA, "format", "the hub's name is no text");
	return jsonio_write(hub, true, ret_text, error);
}

static int write_record(const struct places *places, const struct joining *joining, struct error *error)
{
	char once[HEX_SIZE];
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(RECORD_MOST);
	hash_to_hex(joining->once, sizeof(joining->once), once);
	if (hub_text(joining, once, &text, error) < 0)
		return -(int)error->code;
	return file_replace_at(places->state, RECORD_FILE, text.data, text.size, 0600, error);
}

static int read_record(const struct places *places, struct joining *ret_joining, struct error *error)
{
	struct joining joining = {0};
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(RECORD_MOST);
	CLEANUP(jsonio_free) json_t *record = NULL;
	if (file_read_at(places->state, RECORD_FILE, &text, error) < 0 ||
	    jsonio_parse(text.data, text.size, RECORD_FILE, &record, error) < 0 ||
	    jsonio_check(record, record_fields, RECORD_FILE, error) < 0 ||
	    hash_from_hex(jsonio_string(record, "once"), joining.once, sizeof(joining.once), error) < 0 ||
	    hash_from_hex(jsonio_string(record, "host_key"), joining.host_key, sizeof(joining.host_key), error) < 0)
		return -(int)error->code;
	snprintf(joining.host, sizeof(joining.host), "%s", jsonio_string(record, "host"));
	snprintf(joining.name, sizeof(joining.name), "%s", jsonio_string(record, "appliance"));
	joining.port = (uint16_t)jsonio_integer(record, "port");
	*ret_joining = joining;
	return 0;
}

/* What orders and entitlements must name: check reads it beside the journal. */
static int write_public(const struct places *places, const uint8_t seed[static SECRET_ED25519_SEED],
			struct error *error)
{
	uint8_t public_key[SECRET_ED25519_PUBLIC], secret_key[SECRET_ED25519_SECRET];
	CLEANUP(key_free) struct key *key = NULL;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(KEY_FILE_MOST);
	secret_ed25519_from_seed(seed, public_key, secret_key);
	secret_wipe(secret_key, sizeof(secret_key));
	if (key_from_ed25519(public_key, &key, error) < 0 || jsonio_write(key_object(key), true, &text, error) < 0)
		return -(int)error->code;
	return file_replace_at(places->product, "appliance.pub", text.data, text.size, 0644, error);
}

/* Named by what the hub calls this appliance. */
static int write_key(const struct places *places, const struct places_users *users,
		     const uint8_t seed[static SECRET_ED25519_SEED], const char *name, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	if (sshkey_write(seed, name, &text, error) < 0)
		return -(int)error->code;
	return places_write_link_file(places, users, "appliance_key", &text, error);
}

static int write_hub(const struct places *places, const struct places_users *users, const struct joining *joining,
		     struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(RECORD_MOST);
	if (hub_text(joining, NULL, &text, error) < 0)
		return -(int)error->code;
	return places_write_link_file(places, users, "hub.json", &text, error);
}

static int remove_durably(const struct places *places, const char *name, struct error *error)
{
	if (file_remove_tree_at(places->state, name, error) < 0)
		return -(int)error->code;
	return file_sync_directory(places->state, error);
}

/* The record before the key: one without the other would be nothing that could be ended. */
static int forget(const struct places *places, struct error *error)
{
	if (remove_durably(places, RECORD_FILE, error) < 0)
		return -(int)error->code;
	return remove_durably(places, KEY_FILE, error);
}

static int read_seed(const struct places *places, uint8_t ret_seed[static SECRET_ED25519_SEED], struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	if (file_read_at(places->state, KEY_FILE, &text, error) < 0)
		return -(int)error->code;
	return sshkey_read(text.data, text.size, ret_seed, error);
}

/* hub.json last: link takes the key only together with the hub that knows it. */
static int write_all(const struct places *places, const struct places_users *users, const struct joining *joining,
		     const uint8_t seed[static SECRET_ED25519_SEED], struct error *error)
{
	if (write_public(places, seed, error) < 0 || write_key(places, users, seed, joining->name, error) < 0 ||
	    write_hub(places, users, joining, error) < 0)
		return -(int)error->code;
	return forget(places, error);
}

static bool is_left(const struct places *places)
{
	return faccessat(places->state, RECORD_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       faccessat(places->state, KEY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int joining_lock(const struct places *places, int *ret_lock, struct error *error)
{
	return file_lock_at(places->state, LOCK_FILE, 0, ret_lock, error);
}

int joining_settle(const struct places *places, const struct places_users *users, struct joining *ret_found,
		   struct error *error)
{
	struct joining found = {0};
	uint8_t seed[SECRET_ED25519_SEED];
	struct error reading = {0};
	int status = 0;
	if (is_left(places)) {
		if (read_record(places, &found, &reading) == 0 && read_seed(places, seed, &reading) == 0)
			status = write_all(places, users, &found, seed, error);
		else if (reading.code == ERROR_DATA && strcmp(reading.name, "read") != 0)
			status = forget(places, error);
		else
			status = error_set(error, reading.code, reading.name, "%s", reading.text);
		secret_wipe(seed, sizeof(seed));
	}
	if (status == 0)
		*ret_found = reading.code == 0 ? found : (struct joining){0};
	return status;
}

int joining_settle_idle(const struct places *places, const struct places_users *users, struct error *error)
{
	struct joining found;
	struct error locking = {0};
	CLEANUP(file_close) int lock = -1;
	if (!is_left(places))
		return 0;
	if (joining_lock(places, &lock, &locking) == 0)
		return joining_settle(places, users, &found, error);
	if (locking.code == ERROR_NOT_NOW)
		return 0;
	*error = locking;
	return -(int)error->code;
}

int joining_prepare(const struct places *places, const uint8_t seed[static SECRET_ED25519_SEED], struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	if (sshkey_write(seed, "", &text, error) < 0)
		return -(int)error->code;
	return file_replace_at(places->state, KEY_FILE, text.data, text.size, 0600, error);
}

int joining_keep(const struct places *places, const struct places_users *users, const struct joining *joining,
		 struct error *error)
{
	struct joining found;
	if (write_record(places, joining, error) < 0)
		return -(int)error->code;
	return joining_settle(places, users, &found, error);
}

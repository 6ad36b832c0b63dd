#include "tests/unit/check/joined.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/cli/joining.h"
#include "appliance-hook/link/home.h"
#include "base/file.h"
#include "base/jsonio.h"
#include "keys/sshkey.h"

#define NUMBER_MOST 16

static void make_seed(int number, uint8_t seed[static SECRET_ED25519_SEED])
{
	memset(seed, 0x40 + number, SECRET_ED25519_SEED);
}

static int open_places(const struct hook_settings *settings, struct places *places, struct places_users *users,
		       struct error *error)
{
	int status = places_find_users(settings, users, error);
	return status == 0 ? places_open(settings, users, places, error) : status;
}

int joined_join(const struct hook_settings *settings, int number, struct error *error)
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	CLEANUP(file_close) int lock = -1;
	struct places_users users;
	struct joining joining = {.host = "hub.example.com", .port = (uint16_t)(2000 + number)}, found;
	uint8_t seed[SECRET_ED25519_SEED];
	make_seed(number, seed);
	memset(joining.once, number, sizeof(joining.once));
	memset(joining.host_key, number, sizeof(joining.host_key));
	snprintf(joining.name, sizeof(joining.name), "box%d", number);
	if (open_places(settings, &places, &users, error) < 0 || joining_lock(&places, &lock, error) < 0 ||
	    joining_settle(&places, &users, &found, error) < 0 || joining_prepare(&places, seed, error) < 0)
		return -(int)error->code;
	return joining_keep(&places, &users, &joining, error);
}

int joined_settle(const struct hook_settings *settings, struct error *error)
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	struct places_users users;
	int status = open_places(settings, &places, &users, error);
	return status == 0 ? joining_settle_idle(&places, &users, error) : status;
}

/* As check finds it; 0: none. */
static int number_of_public(const struct places *places, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(KEY_FILE_MOST);
	uint8_t seed[SECRET_ED25519_SEED], public_key[SECRET_ED25519_PUBLIC], secret_key[SECRET_ED25519_SECRET];
	if (file_read_at(places->product, "appliance.pub", &text, error) < 0)
		return strcmp(error->name, "missing") == 0 ? 0 : -1;
	for (int number = 1; number <= NUMBER_MOST; number++) {
		CLEANUP(key_free) struct key *key = NULL;
		CLEANUP(buffer_free) struct buffer wanted = BUFFER_INIT(KEY_FILE_MOST);
		make_seed(number, seed);
		secret_ed25519_from_seed(seed, public_key, secret_key);
		if (key_from_ed25519(public_key, &key, error) < 0 ||
		    jsonio_write(key_object(key), true, &wanted, error) < 0)
			return -1;
		if (wanted.size == text.size && memcmp(wanted.data, text.data, text.size) == 0)
			return number;
	}
	return -1;
}

/* As link and act find it: the key and the hub that knows it; 0: not joined. */
static int number_of_home(const struct places *places, struct error *error)
{
	CLEANUP(home_free) struct home home = HOME_INIT;
	const struct link_settings settings = {0};
	uint8_t seed[SECRET_ED25519_SEED], wanted[SECRET_ED25519_SEED];
	if (home_read(places->link, &settings, &home, error) < 0)
		return error->code == ERROR_CONFIG && strcmp(error->name, "join") == 0 ? 0 : -1;
	if (sshkey_read(home.key.data, home.key.size, seed, error) < 0)
		return -1;
	int number = home.host_key[0];
	make_seed(number, wanted);
	if (memcmp(seed, wanted, sizeof(seed)) == 0 && home.ports[0] == 2000 + number)
		return number;
	error_set(error, ERROR_DATA, "key", "the key is not the one that hub %d knows", number);
	return -1;
}

/* Where it stands it is whole, of `mode` and its reader's. */
static bool is_private(int directory, const char *name, uid_t uid, struct error *error)
{
	struct stat status;
	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	error_set(error, ERROR_DATA, "mode", "%s is %o, of user %u", name, status.st_mode & 07777, status.st_uid);
	return (status.st_mode & 07777) == 0600 && (uid == (uid_t)-1 || status.st_uid == uid);
}

static bool is_whole(int directory, const char *name, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	uint8_t seed[SECRET_ED25519_SEED];
	if (file_read_at(directory, name, &text, error) < 0)
		return strcmp(error->name, "missing") == 0;
	return sshkey_read(text.data, text.size, seed, error) == 0;
}

bool joined_is_sound(const struct hook_settings *settings, char ret_text[static JOINED_TEXT_SIZE])
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	struct places_users users;
	struct error error = {0};
	bool sound = open_places(settings, &places, &users, &error) == 0 &&
		     is_private(places.link, "appliance_key", users.link.uid, &error) &&
		     is_private(places.link, "hub.json", users.link.uid, &error) &&
		     is_private(places.state, "joining.key", geteuid(), &error) &&
		     is_private(places.state, "joining.json", geteuid(), &error) &&
		     is_whole(places.link, "appliance_key", &error) && is_whole(places.state, "joining.key", &error);
	snprintf(ret_text, JOINED_TEXT_SIZE, "%.250s", sound ? "" : error.text);
	return sound;
}

int joined_number(const struct hook_settings *settings, char ret_text[static JOINED_TEXT_SIZE])
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	struct places_users users;
	struct error error = {0};
	if (!joined_is_sound(settings, ret_text))
		return -1;
	if (open_places(settings, &places, &users, &error) < 0) {
		snprintf(ret_text, JOINED_TEXT_SIZE, "%.250s", error.text);
		return -1;
	}
	int home = number_of_home(&places, &error), public = number_of_public(&places, &error);
	if (home >= 0 && home == public && faccessat(places.state, "joining.key", F_OK, 0) < 0 &&
	    faccessat(places.state, "joining.json", F_OK, 0) < 0)
		return home;
	snprintf(ret_text, JOINED_TEXT_SIZE, "link has join %d, check %d, or something is left: %.150s", home, public,
		 error.text);
	return -1;
}

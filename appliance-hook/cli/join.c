#include "appliance-hook/cli/join.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/cli/part.h"
#include "appliance-hook/cli/program.h"
#include "base/file.h"
#include "keys/sshkey.h"
#include "keys/trust.h"

#define JOIN_AGAIN    3
#define JOIN_AGAIN_US 300000

/* A root that differs is another vendor's, or no vendor's: nothing is sent, nothing is kept. */
static int check_root(const struct hook_settings *settings, const struct joincode *code, struct error *error)
{
	CLEANUP(buffer_free) struct buffer root = BUFFER_INIT(ROLE_ROOT_MOST);
	uint8_t hash[HASH_SIZE];
	if (file_read_at(AT_FDCWD, settings->trust_root, &root, error) < 0)
		return error_prefix(error, "the installed root of trust");
	trust_root_hash(root.data, root.size, hash);
	if (hash_equal(hash, code->root))
		return 0;
	return error_set(error, ERROR_DATA, "root",
			 "the code is for another root of trust than %s: ask your vendor for the right code or package",
			 settings->trust_root);
}

static int write_key(const struct places *places, const struct places_users *users,
		     const uint8_t seed[static SECRET_ED25519_SEED], const char *name, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	if (sshkey_write(seed, name, &text, error) < 0)
		return -(int)error->code;
	return places_write_link_file(places, users, "appliance_key", &text, error);
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

static int write_hub(const struct places *places, const struct places_users *users, const struct joincode *code,
		     const uint8_t host_key[static SECRET_ED25519_PUBLIC], const char *name, struct error *error)
{
	char hex[2 * SECRET_ED25519_PUBLIC + 1];
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(4096);
	hash_to_hex(host_key, SECRET_ED25519_PUBLIC, hex);
	CLEANUP(jsonio_free)
	json_t *hub = json_pack("{s:s, s:i, s:s, s:s}", "host", code->host, "port", (int)code->port, "host_key", hex,
				"appliance", name);
	if (!hub)
		return error_set(error, ERROR_DATA, "format", "the hub's name is no text");
	if (jsonio_write(hub, true, &text, error) < 0)
		return -(int)error->code;
	return places_write_link_file(places, users, "hub.json", &text, error);
}

/* hub.json last: link takes the key only together with the hub that knows it. */
static int keep(const struct hook_settings *settings, const struct places_users *users, const struct joincode *code,
		const uint8_t *seed, const uint8_t *host_key, const char *name, struct error *error)
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	if (places_open(settings, users, &places, error) < 0 || write_public(&places, seed, error) < 0 ||
	    write_key(&places, users, seed, name, error) < 0)
		return -(int)error->code;
	return write_hub(&places, users, code, host_key, name, error);
}

int join_command(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	struct joincode code;
	struct places_users users;
	uint8_t seed[SECRET_ED25519_SEED], host_key[SECRET_ED25519_PUBLIC];
	char name[LINK_NAME_MOST] = "";
	if (program_settings(line, &settings, error) < 0 ||
	    joincode_read(command_argument(line, 0), &code, error) < 0 || check_root(&settings, &code, error) < 0 ||
	    places_find_users(&settings, &users, error) < 0)
		return -(int)error->code;
	struct link_settings link = part_link_settings(&settings);
	secret_protect_process();
	secret_random(seed, sizeof(seed));
	int result =
		link_join(&code, &link, users.link.uid, users.link.gid, seed, settings.product, name, host_key, error);
	/* A code made this very second may not have reached the hub yet. */
	for (int again = 0; result < 0 && error->code == ERROR_NOT_PERMITTED && again < JOIN_AGAIN; again++) {
		usleep(JOIN_AGAIN_US);
		result = link_join(&code, &link, users.link.uid, users.link.gid, seed, settings.product, name, host_key,
				   error);
	}
	if (result == 0)
		result = keep(&settings, &users, &code, seed, host_key, name, error);
	secret_wipe(seed, sizeof(seed));
	secret_wipe(&code, sizeof(code));
	if (result == 0)
		printf("joined as %s; `appliance-hook tunnel open` lets your support centre in\n", name);
	return result;
}

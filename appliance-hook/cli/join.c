#include "appliance-hook/cli/join.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/cli/joining.h"
#include "appliance-hook/cli/part.h"
#include "appliance-hook/cli/program.h"
#include "base/file.h"
#include "base/log.h"
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

/* One run's. */
struct join {
	struct hook_settings settings;
	struct places_users users;
	struct places places;
	int lock;
	struct joincode code;
	uint8_t seed[SECRET_ED25519_SEED];
	struct joining joining;
};

static void join_end(struct join *join)
{
	places_close(&join->places);
	file_close(&join->lock);
	secret_wipe(join->seed, sizeof(join->seed));
	secret_wipe(&join->code, sizeof(join->code));
	hook_settings_free(&join->settings);
}

static int ask_hub(struct join *join, struct error *error)
{
	const struct link_settings link = part_link_settings(&join->settings);
	return link_join(&join->code, &link, join->users.link.uid, join->users.link.gid, join->seed,
			 join->settings.product, join->joining.name, join->joining.host_key, error);
}

static int join_anew(struct join *join, struct error *error)
{
	struct joining ignored;
	struct error settling;
	secret_random(join->seed, sizeof(join->seed));
	if (joining_prepare(&join->places, join->seed, error) < 0)
		return -(int)error->code;
	int result = ask_hub(join, error);
	/* A code made this very second may not have reached the hub yet. */
	for (int again = 0; result < 0 && error->code == ERROR_NOT_PERMITTED && again < JOIN_AGAIN; again++) {
		usleep(JOIN_AGAIN_US);
		result = ask_hub(join, error);
	}
	if (result < 0) {
		/* What was prepared goes; where it cannot, with the next join. */
		if (joining_settle(&join->places, &join->users, &ignored, &settling) < 0)
			log_write(LOG_LEVEL_WARNING, "the key that was to join: %s", settling.text);
		return result;
	}
	if (joining_keep(&join->places, &join->users, &join->joining, error) < 0)
		return error_prefix(error, "the hub took this appliance's key, and it could not be kept");
	return 0;
}

static int join_once(struct join *join, struct error *error)
{
	uint8_t once[SECRET_ED25519_SEED], once_secret[SECRET_ED25519_SECRET];
	struct joining found;
	if (places_open(&join->settings, &join->users, &join->places, error) < 0 ||
	    joining_lock(&join->places, &join->lock, error) < 0 ||
	    joining_settle(&join->places, &join->users, &found, error) < 0)
		return -(int)error->code;
	joincode_seed(&join->code, once);
	secret_ed25519_from_seed(once, join->joining.once, once_secret);
	secret_wipe(once, sizeof(once));
	secret_wipe(once_secret, sizeof(once_secret));
	if (found.name[0] && memcmp(found.once, join->joining.once, sizeof(found.once)) == 0) {
		/* The same code again, after an interruption: it was taken already. */
		join->joining = found;
		return 0;
	}
	memcpy(join->joining.host, join->code.host, sizeof(join->joining.host));
	join->joining.port = join->code.port;
	return join_anew(join, error);
}

int join_command(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(join_end) struct join join = {.places = PLACES_CLOSED, .lock = -1};
	if (program_settings(line, &join.settings, error) < 0 ||
	    joincode_read(command_argument(line, 0), &join.code, error) < 0 ||
	    check_root(&join.settings, &join.code, error) < 0 ||
	    places_find_users(&join.settings, &join.users, error) < 0)
		return -(int)error->code;
	secret_protect_process();
	int result = join_once(&join, error);
	if (result == 0)
		printf("joined as %s; `appliance-hook tunnel open` lets your support centre in\n", join.joining.name);
	return result;
}

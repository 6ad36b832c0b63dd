#include "orchestrator/supervisor/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "keys/key.h"
#include "keys/sshkey.h"
#include "orchestrator/store/store.h"
#include "orchestrator/store/store_technician.h"

/* As the signer names its files (signer/signer.h): the rooms do not include one another. Every scenario that starts the
 * service on keys made here holds the two together. */
static const char *const key_names[] = {"order", "timestamp", "entitlement"};

static int make_parent(const char *path, mode_t mode, struct error *error)
{
	CLEANUP(free_pointer) char *parent = strdup(path);

	if (!parent)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	char *slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return 0;
	*slash = 0;
	return file_make_directories(parent, mode, error);
}

static int make_host_key(const char *path, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	uint8_t seed[SECRET_ED25519_SEED];

	if (access(path, F_OK) == 0)
		return 0;
	secret_random(seed, sizeof seed);
	int status = sshkey_write(seed, "nightshift hub", &text, error);
	secret_wipe(seed, sizeof seed);
	if (status == 0)
		status = make_parent(path, 0755, error);
	if (status == 0)
		status = file_create_at(AT_FDCWD, path, text.data, text.size, 0600, error);
	return status;
}

static int add_admin(const char *store_path, const char *admin, const char *login, struct error *error)
{
	CLEANUP(store_free) struct store *store = NULL;
	CLEANUP(jsonio_free) json_t *people = NULL;
	struct store_technician technician = {.role = "admin"};
	int status = store_open(store_path, &store, error);

	if (status == 0)
		status = store_technician_list(store, &people, error);
	if (status == 0 && json_array_size(people) > 0)
		status = error_set(
			error, ERROR_CANNOT_CREATE, "exists",
			"the store %s has its admin already; further people are added by `nightshift technician add`",
			store_path);
	if (status < 0)
		return status;
	if (!text_copy(technician.name, sizeof technician.name, admin) ||
	    !text_copy(technician.login, sizeof technician.login, login))
		return error_set(error, ERROR_USAGE, "usage", "a name has at most %zu bytes",
				 sizeof technician.name - 1);
	return store_technician_add(store, &technician, "nightshiftd --init", clock_now(), error);
}

int init_centre(const struct settings *settings, const char *admin, const char *login, struct error *error)
{
	int status = make_parent(settings->store_path, 0755, error);

	if (status == 0)
		status = make_parent(settings->api_socket, 0755, error);
	if (status == 0)
		status = file_make_directories(settings->releases_directory, 0755, error);
	if (status == 0)
		status = file_make_directories(settings->releases_incoming, 0755, error);
	if (status == 0)
		status = make_host_key(settings->hub_host_key, error);
	if (status == 0)
		status = add_admin(settings->store_path, admin, login, error);
	return status;
}

int init_keys(const struct settings *settings, struct error *error)
{
	int status = file_make_directories(settings->signer_keys, 0700, error);

	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(key_names); i++) {
		CLEANUP(free_pointer) char *path = file_join(settings->signer_keys, key_names[i]);
		/* Not sealed: the signer starts with nobody there. The directory and the signer's own user keep them.
		 */
		status = path ? key_secret_create(path, NULL, error)
			      : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	}
	return status < 0 ? status : init_show_keys(settings, error);
}

int init_show_keys(const struct settings *settings, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(key_names); i++) {
		CLEANUP(free_pointer) char *path = NULL;
		CLEANUP(key_free) struct key *key = NULL;
		if (asprintf(&path, "%s/%s.pub", settings->signer_keys, key_names[i]) < 0)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
		int status = key_read_file(path, &key, error);
		if (status < 0)
			return error_prefix(error, "no %s key; `nightshiftd keys init` makes it", key_names[i]);
		printf("%-12s %s  %s\n", key_names[i], key_id(key), path);
	}
	return 0;
}

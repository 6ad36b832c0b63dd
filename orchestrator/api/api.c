#include "orchestrator/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "orchestrator/api/api_server.h"

#define SET_WAIT_MS 30000

struct api {
	struct loop *loop;
	struct store *store;
	struct api_settings settings;
	struct api_server *server;
};

static void api_end(struct api *api)
{
	api_server_free(&api->server);
	store_free(&api->store);
	loop_free(&api->loop);
	free(api->settings.store);
	free(api->settings.exports);
	free(api->settings.hub_public);
}

static const struct jsonio_field set_fields[] = {
	{.name = "store", .type = JSONIO_STRING, .required = true, .most = 4095},
	{.name = "exports", .type = JSONIO_STRING, .most = 4095},
	{.name = "public", .type = JSONIO_STRING, .most = 255},
	{.name = "host_key", .type = JSONIO_STRING, .most = HASH_HEX_SIZE - 1},
	{.name = "lapsed", .type = JSONIO_STRING, .most = 15},
	{.name = "approvals", .type = JSONIO_STRING, .most = 15},
	{.name = NULL},
};

static char *copy_string(const json_t *object, const char *name)
{
	const char *text = jsonio_string(object, name);

	return strdup(text ? text : "");
}

/* An unknown word is refused: a policy that was misread must not become the milder one. */
static int read_word(const json_t *object, const char *name, const char *first, const char *second, int *ret_index,
		     struct error *error)
{
	const char *word = jsonio_string(object, name);

	if (!word || strcmp(word, first) == 0)
		*ret_index = 0;
	else if (strcmp(word, second) == 0)
		*ret_index = 1;
	else
		return error_set(error, ERROR_CONFIG, "policy", "%s \"%s\" must be %s or %s", name, word, first,
				 second);
	return 0;
}

/* The supervisor's first packet. Other members of `set` are for other roles and are let through. */
static int receive_settings(int supervisor_fd, struct api_settings *ret_settings, struct error *error)
{
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int fd = -1;
	int lapsed = 0, approvals = 0;
	int result = packet_wait(supervisor_fd, clock_ticks_ms() + SET_WAIT_MS, &packet, &fd, error);

	if (result < 0)
		return result;
	const json_t *set = jsonio_member(packet, "set");
	if (!set)
		return error_set(error, ERROR_BUG, "set", "the supervisor's first packet is not `set`");
	result = jsonio_check_open(set, set_fields, "the API's settings", error);
	if (result == 0)
		result = read_word(set, "lapsed", "blocked", "published", &lapsed, error);
	if (result == 0)
		result = read_word(set, "approvals", "none", "second-person", &approvals, error);
	if (result < 0)
		return result;
	ret_settings->store = copy_string(set, "store");
	ret_settings->exports = copy_string(set, "exports");
	ret_settings->hub_public = copy_string(set, "public");
	snprintf(ret_settings->host_key, sizeof(ret_settings->host_key), "%s",
		 jsonio_string(set, "host_key") ? jsonio_string(set, "host_key") : "");
	ret_settings->lapsed = (enum settings_lapsed)lapsed;
	ret_settings->approvals = (enum settings_approvals)approvals;
	if (!ret_settings->store || !ret_settings->exports || !ret_settings->hub_public)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the API's settings");
	return 0;
}

/* Later packets have nothing for this role; the end of the socket is the end of the supervisor. */
static void on_supervisor(void *context, int fd, uint32_t events UNUSED)
{
	struct api *api = context;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int passed = -1;
	struct error error;

	if (packet_receive(fd, &packet, &passed, &error) < 0 && error.code != ERROR_NOT_NOW)
		loop_stop(api->loop);
}

static int run(struct api *api, int supervisor_fd, struct error *error)
{
	int result = secret_start(error);

	if (result == 0)
		result = receive_settings(supervisor_fd, &api->settings, error);
	if (result == 0)
		result = store_open(api->settings.store, &api->store, error);
	if (result == 0)
		result = loop_new(&api->loop, error);
	if (result == 0)
		result = loop_watch(api->loop, supervisor_fd, EPOLLIN, on_supervisor, api, error);
	if (result == 0)
		result = api_server_new(api->loop, supervisor_fd + 1, api->store, &api->settings, &api->server, error);
	/* The store, zone data and the user database are opened while it runs; programs and sockets never. */
	if (result == 0)
		result = sandbox_enter(SANDBOX_FILES | SANDBOX_ACCEPT, "api", error);
	if (result == 0)
		result = loop_run(api->loop, true, error);
	return result;
}

int api_main(int supervisor_fd)
{
	CLEANUP(api_end) struct api api = {0};
	struct error error = {0};

	log_start("api", LOG_LEVEL_INFO);
	if (run(&api, supervisor_fd, &error) == 0)
		return 0;
	log_failure("api", &error);
	return (int)error.code;
}

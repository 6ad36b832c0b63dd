/* What the hub says, sorted to whoever waits for it. */
#include <string.h>

#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_tunnel.h"

struct said {
	const json_t *message;
	const char *name; /* of the appliance */
	int fd;           /* taken by setting -1 */
};

static int take_fd(struct said *said)
{
	int fd = said->fd;
	said->fd = -1;
	return fd;
}

static void on_hello(struct engine *engine, struct said *said)
{
	session_hello(engine, said->message);
}

static void on_alive(struct engine *engine, struct said *said)
{
	session_alive(engine, said->name);
}

static void on_gone(struct engine *engine, struct said *said)
{
	session_gone(engine, said->name, jsonio_integer(said->message, "connection"));
}

static void on_attached(struct engine *engine, struct said *said)
{
	if (said->fd >= 0)
		session_attached_take(engine, said->name, jsonio_integer(said->message, "connection"), take_fd(said));
}

static void on_stream(struct engine *engine, struct said *said)
{
	const char *ticket = jsonio_string(said->message, "ticket");
	if (said->fd >= 0 && ticket)
		session_stream_take(engine, said->name, ticket, take_fd(said));
}

static void on_pull(struct engine *engine, struct said *said)
{
	if (said->fd >= 0)
		pull_take(engine, said->name, take_fd(said));
}

static void on_join(struct engine *engine, struct said *said)
{
	const char *key = jsonio_string(said->message, "key");
	if (said->fd >= 0 && key)
		join_take(engine, key, said->name, take_fd(said));
}

static const struct {
	const char *word, *name_member;
	void (*handle)(struct engine *engine, struct said *said);
} words[] = {
	{"hello", "appliance", on_hello},   {"alive", "appliance", on_alive},
	{"gone", "appliance", on_gone},     {"attached", "appliance", on_attached},
	{"stream", "appliance", on_stream}, {"pull", "appliance", on_pull},
	{"join", "name", on_join},
};

void hub_link_message(struct engine *engine, const json_t *message, int fd)
{
	const char *word = jsonio_string(message, "is");
	struct said said = {.message = message, .fd = fd};
	for (size_t i = 0; word && i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].word, word))
			continue;
		said.name = jsonio_string(message, words[i].name_member);
		if (said.name && strlen(said.name) < STORE_NAME_SIZE)
			words[i].handle(engine, &said);
		break;
	}
	file_close(&said.fd);
}

void hub_link_lost(struct engine *engine)
{
	struct error error = {0};
	engine->hub = NULL;
	session_drop_all(engine);
	pull_drop_all(engine);
	join_drop_all(engine);
	jsonio_free(&engine->roster);
	if (store_tunnel_clear(engine->store, &error))
		log_failure("the list of tunnels", &error);
	log_write(LOG_LEVEL_WARNING, "the hub is gone; appliances connect again when it is back");
}

void hub_link_close(struct engine *engine, const char *appliance)
{
	peer_send_take(engine->hub, json_pack("{s:s, s:s}", "do", "close", "appliance", appliance));
}

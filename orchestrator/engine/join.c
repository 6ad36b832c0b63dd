/* Join: over a stream that only the one-time key opens, the appliance hands in its own key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys/key.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/engine/join_proof.h"

#define JOIN_MS 60000

struct join {
	struct engine *engine;
	struct join *next;
	char name[STORE_NAME_SIZE]; /* as the hub's table had it */
	uint8_t once[SECRET_ED25519_PUBLIC];
	struct talk *talk;
	uint64_t timer;
};

static void join_free(struct join *join)
{
	struct engine *engine = join->engine;
	for (struct join **at = &engine->joins; *at; at = &(*at)->next)
		if (*at == join) {
			*at = join->next;
			break;
		}
	loop_cancel(engine->loop, join->timer);
	talk_free(&join->talk);
	free(join);
	roster_send(engine, false); /* the used code goes now */
}

void join_drop_all(struct engine *engine)
{
	while (engine->joins)
		join_free(engine->joins);
}

static int accept_key(struct join *join, const json_t *body, char ret_name[static STORE_NAME_SIZE], struct error *error)
{
	CLEANUP(key_free) struct key *key = NULL;
	struct store_appliance box;
	uint8_t own[SECRET_ED25519_PUBLIC];
	if (hash_from_hex(jsonio_string(body, "public_key"), own, sizeof own, error) ||
	    join_proof_check(jsonio_string(body, "proof"), join->once, own, error) ||
	    store_appliance_get(join->engine->store, join->name, &box, error))
		return -(int)error->code;
	if (strcmp(jsonio_string(body, "product"), box.product))
		return error_set(error, ERROR_DATA, "product", "%s is registered with product %s and not with %s",
				 box.name, box.product, jsonio_string(body, "product"));
	if (key_from_ed25519(own, &key, error))
		return -(int)error->code;
	return store_appliance_join(join->engine->store, join->once, own, key_id(key), clock_now(), ret_name, error);
}

static void requested(void *context, struct talk *talk, const struct stream_message *message)
{
	struct join *join = context;
	struct error why = {0};
	char name[STORE_NAME_SIZE];
	if (message->type != MESSAGE_JOIN)
		error_set(&why, ERROR_NOT_PERMITTED, "request", "\"%s\" has no place on a join stream",
			  message_name(message->type));
	else if (accept_key(join, message->body, name, &why) == 0) {
		log_write(LOG_LEVEL_NOTICE, "%s joined", name);
		/* The new key first, so that the appliance can come with it as soon as it reads the answer. */
		roster_send(join->engine, false);
		talk_reply_take(talk, message, json_pack("{s:s}", "appliance", name));
		return;
	}
	log_failure(join->name, &why);
	talk_refuse(talk, message, &why);
}

static void closed(void *context, struct talk *talk UNUSED, const struct error *why UNUSED)
{
	struct join *join = context;
	join->talk = NULL;
	join_free(join);
}

static void too_long(void *context)
{
	join_free(context);
}

void join_take(struct engine *engine, const char *key, const char *name, int fd)
{
	static const struct talk_events events = {requested, closed};
	struct join *join = calloc(1, sizeof *join);
	struct error error = {0};
	if (!join) {
		file_close(&fd);
		return;
	}
	join->engine = engine;
	snprintf(join->name, sizeof join->name, "%s", name);
	if (hash_from_hex(key, join->once, sizeof join->once, &error)) {
		log_failure(name, &error);
		file_close(&fd);
		free(join);
		return;
	}
	if (talk_new_take(engine->loop, fd, engine->releases, &events, join, &join->talk, &error)) {
		log_failure(name, &error);
		free(join);
		return;
	}
	join->next = engine->joins;
	engine->joins = join;
	join->timer = loop_after(engine->loop, JOIN_MS, too_long, join);
}

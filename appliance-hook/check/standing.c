#include "appliance-hook/check/standing.h"

#include "keys/trust.h"

/* What act says of itself and may leave the appliance; `status` adds the last two. */
static const char *const acts_part[] = {"product",   "version",    "state",   "upgrade",   "fence",
					"order_key", "generation", "journal", "quarantine"};
enum { HELLO_PART = 7 };

static int64_t root_version(const struct check_places *places)
{
	CLEANUP(trust_free) struct trust *trust = NULL;
	struct error ignored = {0};
	if (trust_open(places->metadata, places->root->data, places->root->size, &trust, &ignored) < 0)
		return 0;
	return trust_version(trust, ROLE_ROOT);
}

int standing_read(struct session *session, enum standing_form form, json_t **ret_body, struct error *error)
{
	CLEANUP(jsonio_free) json_t *act = NULL;
	if (actor_ask(&session->actor, "status", NULL, NULL, NULL, &act, error) < 0)
		return -(int)error->code;
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:i, s:s, s:s, s:I, s:s, s:I, s:b, s:I}", "protocol", MESSAGE_PROTOCOL, "hook",
				 NIGHTSHIFT_VERSION, "boot", session->places->boot, "time", (json_int_t)clock_now(),
				 "scope", session->grant.scope, "until", (json_int_t)session->grant.until, "permanent",
				 (int)session->grant.permanent, "root", (json_int_t)root_version(session->places));
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to say what stands");
	size_t count = form == STANDING_HELLO ? (size_t)HELLO_PART : ARRAY_SIZE(acts_part);
	for (size_t i = 0; i < count; i++) {
		json_t *value = json_object_get(act, acts_part[i]);
		if (value && !json_is_null(value) && json_object_set(body, acts_part[i], value) < 0)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to say what stands");
	}
	*ret_body = TAKE(body);
	return 0;
}

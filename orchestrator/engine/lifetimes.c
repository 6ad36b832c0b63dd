/* How long the metadata that is served still lives, for `nightshift status`. */
#include "keys/role.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_lifetime.h"

#define DAY (24 * 60 * 60)

/* As nightshift-release and the signer give them out. */
static const int64_t lives[ROLE_KINDS] = {
	[ROLE_ROOT] = 365 * DAY,
	[ROLE_TARGETS] = 180 * DAY,
	[ROLE_SNAPSHOT] = 90 * DAY,
	[ROLE_TIMESTAMP] = 7 * DAY,
};

void lifetimes_store(struct engine *engine)
{
	for (int kind = 0; engine->catalogue && kind < ROLE_KINDS; kind++) {
		struct role_head head = {0};
		struct error error = {0};
		if (!catalogue_head(engine->catalogue, engine->releases, (enum role_kind)kind, &head))
			continue;
		const struct store_lifetime lifetime = {
			.name = role_names[kind],
			.version = head.version,
			.expires = head.expires,
			.life = lives[kind],
		};
		if (store_lifetime_put(engine->store, &lifetime, &error))
			log_failure(role_names[kind], &error);
	}
}

/* What a join writes down: appliance_key and hub.json for link, appliance.pub for check. All of it or none, whatever
 * happens meanwhile: STATE/joining.key holds the new key before the hub hears of it, STATE/joining.json makes it this
 * appliance's, and whoever finds both brings the join to its end. Both are root's, and go when it has ended. */
#ifndef CLI_JOINING_H
#define CLI_JOINING_H

#include "appliance-hook/cli/places.h"
#include "appliance-hook/link/link.h"
#include "base/secret.h"

/* What the hub answered. */
struct joining {
	uint8_t once[SECRET_ED25519_PUBLIC]; /* the one-time key of the code */
	char host[JOINCODE_HOST_MOST];
	uint16_t port;
	uint8_t host_key[SECRET_ED25519_PUBLIC];
	char name[LINK_NAME_MOST];
};

/* One join at a time (ERROR_NOT_NOW "busy"), until *ret_lock is closed. */
int joining_lock(const struct places *places, int *ret_lock, struct error *error) MUST_CHECK;
/* Ends what an earlier join began: *ret_found tells of one whose hub had answered; its name is "" when there was none,
 * and what else it left is removed. Under the lock. */
int joining_settle(const struct places *places, const struct places_users *users, struct joining *ret_found,
		   struct error *error) MUST_CHECK;
/* For serve: the same, unless a join is under way, which ends by itself. */
int joining_settle_idle(const struct places *places, const struct places_users *users, struct error *error) MUST_CHECK;

/* Before the hub is asked, so that a code is not spent where nothing can be written. Under the lock, settled. */
int joining_prepare(const struct places *places, const uint8_t seed[static SECRET_ED25519_SEED],
		    struct error *error) MUST_CHECK;
/* With the answer, what was prepared becomes this appliance's. Where that fails half-way, the next one to settle goes
 * on. */
int joining_keep(const struct places *places, const struct places_users *users, const struct joining *joining,
		 struct error *error) MUST_CHECK;

#endif

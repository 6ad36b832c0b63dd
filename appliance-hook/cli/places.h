/* The hook's directories as serve prepares them, and the users that link and check run as. */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include <sys/types.h>

#include "appliance-hook/settings.h"
#include "base/buffer.h"

/* Users without a name, for appliances whose package made none. */
#define PLACES_LINK_UID  64101
#define PLACES_CHECK_UID 64102

struct places_user {
	uid_t uid; /* (uid_t)-1: stay who we are */
	gid_t gid;
};
struct places_users {
	struct places_user link, check;
};
/* Started as root: USER-link and USER-check where both exist, else the two numbers; two different users always.
 * Otherwise nobody changes, which the log says. */
int places_find_users(const struct hook_settings *settings, struct places_users *ret_users,
		      struct error *error) MUST_CHECK;

struct places {
	int state;    /* STATE */
	int link;     /* STATE/link */
	int trust;    /* STATE/trust */
	int metadata; /* STATE/trust/metadata */
	int product;  /* STATE/PRODUCT */
	int releases; /* PRODUCT_ROOT/releases */
};
#define PLACES_CLOSED ((struct places){-1, -1, -1, -1, -1, -1})
/* Makes what is missing, with its owner and mode. */
int places_open(const struct hook_settings *settings, const struct places_users *users, struct places *ret_places,
		struct error *error) MUST_CHECK;
void places_close(struct places *places); /* also the CLEANUP function */

/* A file of link's: STATE/link/NAME, 0600, link's own. */
int places_write_link_file(const struct places *places, const struct places_users *users, const char *name,
			   const struct buffer *content, struct error *error) MUST_CHECK;

/* STATE/generation, one higher; durable. */
int places_next_generation(const struct places *places, struct error *error) MUST_CHECK;

#endif

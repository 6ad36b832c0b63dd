/* Who may log in: the table key → name and kind that the engine pushes. The hub's whole knowledge of the world. */
#ifndef HUB_ROSTER_H
#define HUB_ROSTER_H

#include "base/error.h"

#define ROSTER_KEY_SIZE  32
#define ROSTER_NAME_MOST 64
/* Beyond what one hub serves by far; a bound all the same. */
#define ROSTER_MOST 1000000

enum roster_kind { ROSTER_APPLIANCE, ROSTER_JOIN };

struct roster_entry {
	uint8_t key[ROSTER_KEY_SIZE];
	enum roster_kind kind;
	char name[ROSTER_NAME_MOST];
	int64_t expires; /* UTC; 0: never */
};

struct roster;

int roster_new(struct roster **ret_roster, struct error *error) MUST_CHECK;
void roster_free(struct roster **roster);
/* Adds, or replaces the entry of the same key. */
int roster_admit(struct roster *roster, const struct roster_entry *entry, struct error *error) MUST_CHECK;
void roster_dismiss(struct roster *roster, const uint8_t key[static ROSTER_KEY_SIZE]);
void roster_clear(struct roster *roster);
/* NULL when unknown or expired at `now`. Borrowed until the next change. */
const struct roster_entry *roster_find(const struct roster *roster, const uint8_t key[static ROSTER_KEY_SIZE],
				       int64_t now);
/* Takes one of the streams that this key may open now: ROSTER_STREAMS_AT_ONCE, and so many a second after that. What
 * one appliance costs the engine is bounded by it, over however many connections. False: none is left, or it is
 * unknown. */
#define ROSTER_STREAMS_AT_ONCE  64
#define ROSTER_STREAMS_A_SECOND 4
bool roster_spend(struct roster *roster, const uint8_t key[static ROSTER_KEY_SIZE], int64_t now_ms);

#endif

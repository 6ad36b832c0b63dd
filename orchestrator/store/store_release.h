/* Releases as the importer verified them, halts, and requests for imports. */
#ifndef STORE_STORE_RELEASE_H
#define STORE_STORE_RELEASE_H

#include "orchestrator/store/store.h"

struct store_release {
	char product[STORE_NAME_SIZE], version[STORE_NAME_SIZE];
	char target[160];
	uint8_t sha256[HASH_SIZE];
	int64_t length, sequence, published;
	bool security, stop;
	char min_from[STORE_NAME_SIZE], channels[256]; /* comma separated */
	bool yanked;
	char yank_reason[128];
	bool halted;
	char halt_reason[256];
	int64_t need, bytes, imported;
};

/* Inserts or renews; halted and halt_reason are left as they are. Opened upgrades meet a yank at their next check. */
int store_release_put(struct store *store, const struct store_release *release, struct error *error) MUST_CHECK;
/* The newest signed list does not name it: it stays as history and is known to nobody below. */
int store_release_unlist(struct store *store, const char *product, const char *version, struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-release". */
int store_release_get(struct store *store, const char *product, const char *version, struct store_release *ret_release,
		      struct error *error) MUST_CHECK;
/* Of every product that has this version; acts at once. `halt` false frees. ERROR_DATA "unknown-release". */
enum store_halt { STORE_UNHALT, STORE_HALT };
int store_release_halt(struct store *store, const char *version, enum store_halt halt, const char *reason,
		       const char *actor, int64_t now, struct error *error) MUST_CHECK;
int store_release_list(struct store *store, const char *product, json_t **ret_rows, struct error *error) MUST_CHECK;
/* May a box at `from` go to `to`, by the rows: there, not yanked, not halted, not older, min_from reached, no stop
 * skipped. ERROR_DATA "unknown-release" | "yanked" | "older" | "min-from" | "stop" | "same"; ERROR_NOT_NOW "halt". A
 * `from` that is not known here leaves the order to the appliance. */
int store_release_path(struct store *store, const char *product, const char *from, const char *to,
		       struct error *error) MUST_CHECK;

#endif

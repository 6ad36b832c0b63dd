/* Where a release runs from: prepare, switch, undo, mark good. Versioned trees and a symlink (slot_tree), or a pair of
 * images and a boot loader that counts its tries (slot_pair). Each may be called again after an interruption. */
#ifndef ACT_SLOT_H
#define ACT_SLOT_H

#include "appliance-hook/act/layout.h"

struct slot_backend {
	const char *name;
	/* What is activated runs only after the machine has restarted. */
	bool by_restart;
	/* What runs now; "" nothing. By restart: what the machine was booted from. */
	int (*current)(const struct layout *layout, char ret_version[static LAYOUT_VERSION_SIZE], struct error *error);
	/* Whether `version` still stands, to go back to it. Names only: it is hashed before it is gone back to. */
	bool (*holds)(const struct layout *layout, const char *version);
	/* The release is whole, by hash, and could be switched to. Touches nothing that runs; of a pair it takes the
	 * place of the fallback. */
	int (*prepare)(const struct layout *layout, const char *version, struct error *error);
	/* From now on `version` is what starts: at once, or at the next restart and then on trial. Durable. */
	int (*activate)(const struct layout *layout, const char *version, struct error *error);
	/* Back to `version`, which ran before. */
	int (*undo)(const struct layout *layout, const char *version, struct error *error);
	/* `version` was found healthy; `fallback` ("": none) and `also` ("": none) stay, beyond `keep` the oldest go.
	 */
	int (*mark_good)(const struct layout *layout, const char *version, const char *fallback, const char *also,
			 struct error *error);
};

/* The layout's own, or versioned trees. */
const struct slot_backend *slot_backend(const struct layout *layout);

extern const struct slot_backend slot_tree;
extern const struct slot_backend slot_pair; /* shows that the interface fits; no configuration chooses it */

/* For backends: of releases/ only `version`, `fallback`, `also` ("": none), what runs, and the newest others up to
 * `keep` stay. */
int slot_trim(const struct layout *layout, const char *version, const char *fallback, const char *also,
	      struct error *error) MUST_CHECK;

#endif

/* Where a release runs from: prepare, switch, undo, mark good. Versioned trees and a symlink now; an A/B pair of images
 * with a boot loader's counter fits the same five. Each may be called again after an interruption. */
#ifndef ACT_SLOT_H
#define ACT_SLOT_H

#include "appliance-hook/act/layout.h"

struct slot_backend {
	const char *name;
	/* What runs now; "" nothing. */
	int (*current)(const struct layout *layout, char ret_version[static LAYOUT_VERSION_SIZE], struct error *error);
	/* The release is whole, by hash, and could be switched to. Touches nothing that runs. */
	int (*prepare)(const struct layout *layout, const char *version, struct error *error);
	/* From now on `version` is what starts. Durable and at once. */
	int (*activate)(const struct layout *layout, const char *version, struct error *error);
	/* Back to `version`, which ran before. */
	int (*undo)(const struct layout *layout, const char *version, struct error *error);
	/* `version` was found healthy; `fallback` ("": none) and `also` ("": none) stay, beyond `keep` the oldest go.
	 */
	int (*mark_good)(const struct layout *layout, const char *version, const char *fallback, const char *also,
			 struct error *error);
};

/* The backend that the settings ask for. */
const struct slot_backend *slot_backend(const struct hook_settings *settings);

extern const struct slot_backend slot_tree;

#endif

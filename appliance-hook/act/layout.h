/* The appliance's directories (docs/ARCHITECTURE.md), open. Everything in act works beneath these descriptors. */
#ifndef ACT_LAYOUT_H
#define ACT_LAYOUT_H

#include "appliance-hook/settings.h"
#include "release/manifest.h"

#define LAYOUT_VERSION_SIZE (MANIFEST_NAME_MOST + 1)
#define LAYOUT_ID_SIZE      64
#define LAYOUT_STAGING      ".staging-" /* releases/.staging-V */
#define LAYOUT_TRASH        ".trash-"   /* releases/.trash-V: being removed */

struct slot_backend;

struct layout {
	const struct hook_settings *settings; /* borrowed */
	const struct slot_backend *slots;     /* NULL: versioned trees */
	int root;                             /* PRODUCT_ROOT */
	int releases;                         /* PRODUCT_ROOT/releases */
	int state;                            /* STATE/PRODUCT */
};

/* For a CLEANUP variable before layout_open. */
#define LAYOUT_CLOSED ((struct layout){.root = -1, .releases = -1, .state = -1})

/* Makes what is missing. */
int layout_open(const struct hook_settings *settings, struct layout *ret_layout, struct error *error) MUST_CHECK;
void layout_close(struct layout *layout); /* also the CLEANUP function */

/* The one lock of everything that changes something. ERROR_NOT_NOW "busy". The lock file says who holds it. */
int layout_lock(const struct layout *layout, int wait_ms, int *ret_lock, struct error *error) MUST_CHECK;

/* The version that `current` names; "" when there is none. ERROR_DATA "current" when it is anything but releases/V. */
int layout_current(const struct layout *layout, char ret_version[static LAYOUT_VERSION_SIZE],
		   struct error *error) MUST_CHECK;

/* manifests/V.json; `ret_sha256` may be NULL. */
int layout_manifest(const struct layout *layout, const char *version, struct manifest **ret_manifest,
		    uint8_t ret_sha256[HASH_SIZE], struct error *error) MUST_CHECK;
/* releases/V, open. */
int layout_release(const struct layout *layout, const char *version, int *ret_fd, struct error *error) MUST_CHECK;
/* hooks/V, open; -1 without an error when the release has none. */
int layout_hooks(const struct layout *layout, const char *version, int *ret_fd, struct error *error) MUST_CHECK;

/* tree_verify's flags here: owners can be compared only where they could be given. */
unsigned layout_strictness(void);
/* Whether the tree and the hooks of V are, byte for byte, what its manifest says. */
int layout_verify(const struct layout *layout, const char *version, struct error *error) MUST_CHECK;

/* Tree, hooks and manifest of V. Out of sight by one rename first: a tree that is half removed never bears a version's
 * name. */
int layout_remove(const struct layout *layout, const char *version, struct error *error) MUST_CHECK;

/* An upgrade's id as a part of file names: other characters than letters, digits and _ become "-". */
void layout_id(const char *upgrade, char ret_id[static LAYOUT_ID_SIZE]);

/* STATE/generation; 0 when there is none. */
int64_t layout_generation(const struct layout *layout);

#endif

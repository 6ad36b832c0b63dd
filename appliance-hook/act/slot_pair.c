/* The second backend: two images and a boot loader that counts its tries. A release carries its image as the file
 * "image"; PRODUCT_ROOT/slot-a and slot-b are where images are started from (on an appliance: partitions), boot.env is
 * what the boot loader reads and counts down in, booted what it says to have started ("a" or "b").
 *
 * The boot loader starts `next` when that slot is ok, or has tries left, of which it takes one; else the other slot. */
#include "appliance-hook/act/slot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/act/point.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"

#define PAIR_ENV   "boot.env"
#define PAIR_IMAGE "image"
#define PAIR_TRIES 3
#define PAIR_CHUNK (256 * 1024)

struct pair_slot {
	char version[LAYOUT_VERSION_SIZE]; /* "" nothing whole */
	bool ok;                           /* was found healthy once */
	int tries;
};

struct pair {
	struct pair_slot slots[2];
	int next, booted;
};

/* "KEY=VALUE" of the text, "" when it is not there. */
static void take_value(const char *text, const char *key, char *ret_value, size_t size)
{
	size_t length = strlen(key);

	ret_value[0] = '\0';
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, key, length) == 0 && line[length] == '=')
			snprintf(ret_value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
}

static int slot_of_letter(const char *text, int *ret_slot, struct error *error)
{
	if ((text[0] != 'a' && text[0] != 'b') || (text[1] != '\0' && text[1] != '\n'))
		return error_set(error, ERROR_DATA, "slot", "\"%.20s\" is no slot", text);
	*ret_slot = text[0] - 'a';
	return 0;
}

static int read_text(const struct layout *layout, const char *name, struct buffer *text, struct error *error)
{
	int status = file_read_at(layout->root, name, text, error);

	return status == 0 ? buffer_append(text, "", 1, error) : status;
}

static int read_pair(const struct layout *layout, struct pair *ret_pair, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(4096);
	CLEANUP(buffer_free) struct buffer booted = BUFFER_INIT(16);
	struct pair pair = {0};
	char value[LAYOUT_VERSION_SIZE], key[32];
	int status = read_text(layout, PAIR_ENV, &text, error);

	if (status == 0)
		status = read_text(layout, "booted", &booted, error);
	for (int i = 0; status == 0 && i < 2; i++) {
		struct pair_slot *slot = &pair.slots[i];
		snprintf(key, sizeof key, "slot_%c_version", 'a' + i);
		take_value((const char *)text.data, key, slot->version, sizeof slot->version);
		snprintf(key, sizeof key, "slot_%c_ok", 'a' + i);
		take_value((const char *)text.data, key, value, sizeof value);
		slot->ok = strcmp(value, "1") == 0;
		snprintf(key, sizeof key, "slot_%c_tries", 'a' + i);
		take_value((const char *)text.data, key, value, sizeof value);
		slot->tries = value[0] >= '0' && value[0] <= '9' ? value[0] - '0' : 0;
		if (slot->version[0] && !manifest_name_is_safe(slot->version))
			status = error_set(error, ERROR_DATA, "slot", "slot %c holds \"%s\"", 'a' + i, slot->version);
	}
	if (status < 0)
		return status;
	take_value((const char *)text.data, "next", value, sizeof value);
	status = slot_of_letter(value, &pair.next, error);
	if (status == 0)
		status = slot_of_letter((const char *)booted.data, &pair.booted, error);
	if (status == 0)
		*ret_pair = pair;
	return status;
}

static int write_pair(const struct layout *layout, const struct pair *pair, struct error *error)
{
	const struct pair_slot *a = &pair->slots[0], *b = &pair->slots[1];
	char text[512];
	int size = snprintf(text, sizeof text,
			    "slot_a_version=%s\nslot_a_ok=%d\nslot_a_tries=%d\n"
			    "slot_b_version=%s\nslot_b_ok=%d\nslot_b_tries=%d\nnext=%c\n",
			    a->version, a->ok, a->tries, b->version, b->ok, b->tries, 'a' + pair->next);
	int status = point_pass("act.pair.env", error);

	return status == 0 ? file_replace_at(layout->root, PAIR_ENV, text, (size_t)size, 0644, error) : status;
}

/* The slot that holds it; the booted one first, for both may. -1: none. */
static int find_slot(const struct pair *pair, const char *version)
{
	if (strcmp(pair->slots[pair->booted].version, version) == 0)
		return pair->booted;
	return strcmp(pair->slots[!pair->booted].version, version) == 0 ? !pair->booted : -1;
}

/* The pair as it stands, and which of the two holds `version`. */
static int read_slot(const struct layout *layout, const char *version, struct pair *ret_pair, int *ret_slot,
		     struct error *error)
{
	int status = read_pair(layout, ret_pair, error);

	if (status < 0)
		return status;
	*ret_slot = find_slot(ret_pair, version);
	return *ret_slot < 0 ? error_set(error, ERROR_DATA, "missing", "no slot holds release %s", version) : 0;
}

static int current(const struct layout *layout, char ret_version[static LAYOUT_VERSION_SIZE], struct error *error)
{
	struct pair pair;
	int status = read_pair(layout, &pair, error);

	if (status == 0)
		memcpy(ret_version, pair.slots[pair.booted].version, LAYOUT_VERSION_SIZE);
	return status;
}

static bool holds(const struct layout *layout, const char *version)
{
	struct pair pair;
	struct error ignored;
	int slot = version[0] && read_pair(layout, &pair, &ignored) == 0 ? find_slot(&pair, version) : -1;

	return slot >= 0 && pair.slots[slot].ok;
}

/* Copies, or only reads when `to` is -1, and hashes on the way. */
static int pass_image(int from, int to, uint64_t size, uint8_t ret_hash[HASH_SIZE], struct error *error)
{
	CLEANUP(free_pointer) uint8_t *chunk = malloc(PAIR_CHUNK);
	struct hash_state state;

	if (!chunk)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an image");
	hash_begin(&state, HASH_BLAKE2B);
	for (uint64_t at = 0; at < size;) {
		size_t want = size - at < PAIR_CHUNK ? (size_t)(size - at) : PAIR_CHUNK;
		int status = file_read_exact(from, "an image", at, chunk, want, error);
		if (status == 0 && to >= 0)
			status = file_write_fd(to, PAIR_IMAGE, chunk, want, error);
		if (status < 0)
			return status;
		hash_update(&state, chunk, want);
		at += want;
	}
	hash_end(&state, ret_hash);
	return 0;
}

static int check_hash(const struct manifest_entry *entry, const uint8_t found[HASH_SIZE], const char *what,
		      struct error *error)
{
	return hash_equal(entry->hash, found) ? 0
					      : error_set(error, ERROR_DATA, "tree", "%s is not the release's", what);
}

static int write_image(const struct layout *layout, int from, int slot, const struct manifest_entry *entry,
		       struct error *error)
{
	uint8_t hash[HASH_SIZE];
	char name[16];

	snprintf(name, sizeof name, "slot-%c", 'a' + slot);
	int status = point_pass("act.pair.write", error);
	if (status < 0)
		return status;
	CLEANUP(file_close)
	int to = openat(layout->root, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (to < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "slot", "%s cannot be written", name);
	status = pass_image(from, to, entry->size, hash, error);
	if (status == 0)
		status = check_hash(entry, hash, "the image", error);
	if (status == 0 && (fault_point("act.pair.sync") < 0 || fsync(to) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "slot", "%s cannot be made durable", name);
	if (status == 0)
		status = pass_image(to, -1, entry->size, hash, error);
	return status == 0 ? check_hash(entry, hash, name, error) : status;
}

static const struct manifest_entry *find_image(const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		if (entry->root == MANIFEST_TREE && entry->type == MANIFEST_FILE &&
		    strcmp(entry->path, PAIR_IMAGE) == 0)
			return entry;
	}
	return NULL;
}

static int prepare(const struct layout *layout, const char *version, struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(file_close) int tree = -1;
	CLEANUP(file_close) int image = -1;
	struct pair pair;
	int status = layout_verify(layout, version, error);

	if (status == 0)
		status = read_pair(layout, &pair, error);
	if (status == 0)
		status = layout_manifest(layout, version, &manifest, NULL, error);
	if (status == 0)
		status = layout_release(layout, version, &tree, error);
	if (status < 0)
		return status;
	const struct manifest_entry *entry = find_image(manifest);
	image = openat(tree, PAIR_IMAGE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (!entry || image < 0)
		return error_set(error, ERROR_NOT_NOW, "slot", "release %s carries no image", version);
	/* What is half written is nobody's version, and is not started. */
	pair.slots[!pair.booted] = (struct pair_slot){0};
	pair.next = pair.booted;
	status = write_pair(layout, &pair, error);
	if (status == 0)
		status = write_image(layout, image, !pair.booted, entry, error);
	if (status < 0)
		return status;
	text_copy(pair.slots[!pair.booted].version, sizeof pair.slots[0].version, version);
	return write_pair(layout, &pair, error);
}

static int activate(const struct layout *layout, const char *version, struct error *error)
{
	struct pair pair;
	int slot = 0, status = read_slot(layout, version, &pair, &slot, error);

	if (status < 0)
		return status;
	pair.next = slot;
	if (!pair.slots[slot].ok)
		pair.slots[slot].tries = PAIR_TRIES;
	return write_pair(layout, &pair, error);
}

/* Whatever happens now: the other one is not tried again. */
static int undo(const struct layout *layout, const char *version, struct error *error)
{
	struct pair pair;
	int slot = 0, status = read_slot(layout, version, &pair, &slot, error);

	if (status < 0)
		return status;
	pair.next = slot;
	pair.slots[!slot].ok = false;
	pair.slots[!slot].tries = 0;
	return write_pair(layout, &pair, error);
}

static int mark_good(const struct layout *layout, const char *version, const char *fallback, const char *also,
		     struct error *error)
{
	struct pair pair;
	int slot = 0, status = read_slot(layout, version, &pair, &slot, error);

	if (status < 0)
		return status;
	pair.next = slot;
	pair.slots[slot].ok = true;
	pair.slots[slot].tries = 0;
	status = write_pair(layout, &pair, error);
	return status == 0 ? slot_trim(layout, version, fallback, also, error) : status;
}

const struct slot_backend slot_pair = {
	.name = "pair",
	.by_restart = true,
	.current = current,
	.holds = holds,
	.prepare = prepare,
	.activate = activate,
	.undo = undo,
	.mark_good = mark_good,
};

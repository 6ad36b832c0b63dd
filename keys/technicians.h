/* technicians.json, a target under the targets' threshold: whose keys may log in at an appliance where its customer
 * opens the tunnel for that person. {"_type":"technicians","technicians":[{"name","key":"ssh-ed25519 AAAA…"}…]} */
#ifndef KEYS_TECHNICIANS_H
#define KEYS_TECHNICIANS_H

#include "base/buffer.h"
#include "base/secret.h"

#define TECHNICIANS_TARGET    "technicians.json"
#define TECHNICIANS_MOST      1000
#define TECHNICIANS_SIZE_MOST 524288
#define TECHNICIAN_NAME_MOST  63

struct technician {
	char name[TECHNICIAN_NAME_MOST + 1];
	uint8_t key[SECRET_ED25519_PUBLIC];
};

struct technicians {
	struct technician *list; /* owned; no name and no key stands there twice */
	size_t count;
};
int technicians_parse(const void *bytes, size_t size, struct technicians *ret_technicians,
		      struct error *error) MUST_CHECK;
/* Sorted by name, keys without their comments: the same people, the same bytes. */
int technicians_write(const struct technicians *technicians, struct buffer *ret_bytes, struct error *error) MUST_CHECK;
void technicians_free(struct technicians *technicians);

/* Borrowed; NULL when nobody has that name. */
const struct technician *technicians_find(const struct technicians *technicians, const char *name);
/* `line`: an OpenSSH public key, its comment ignored. "format" for a name or key that cannot be, "exists" for one that
 * another entry has, "length" past the most. */
int technicians_add(struct technicians *technicians, const char *name, const char *line,
		    struct error *error) MUST_CHECK;
/* False when nobody has that name. */
bool technicians_remove(struct technicians *technicians, const char *name);

#endif

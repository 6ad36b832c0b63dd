/* What the text of an entry says, before it is judged. An entry stands in a manifest in the very words that
 * manifest_write has for it, unless somebody else wrote it: those are known without a parser. */
#ifndef RELEASE_MANIFEST_WORDS_H
#define RELEASE_MANIFEST_WORDS_H

#include "release/manifest.h"

#define MANIFEST_PATH_MOST 4095

struct manifest_word {
	const char *at; /* NULL: absent; not followed by NUL */
	size_t size;
};
struct manifest_words {
	struct manifest_word path, root, type, mode, owner, hash, target;
	bool set_id, has_size;
	uint64_t size;
};

/* False for any other text, right or wrong: the parser's. What it takes means to a parser just what it says here:
 * each member once and within its bounds, strings of printable ASCII without an escape. Borrows the text. */
bool manifest_words_read(const char *text, size_t size, struct manifest_words *ret_words) MUST_CHECK;
/* The same of a string alone, of at most `most` bytes. */
bool manifest_words_string(const char *text, size_t size, size_t most, struct manifest_word *ret_word) MUST_CHECK;

bool manifest_word_is(struct manifest_word word, const char *text);
/* Its hexadecimal digits: ERROR_DATA "format" when it is anything else. */
int manifest_word_hash(struct manifest_word word, uint8_t ret_hash[static HASH_SIZE], struct error *error) MUST_CHECK;

#endif

#include "release/manifest_words.h"

#include <string.h>

/* The strings of an entry by their names, as manifest_write sorts them; "set_id" and "size" stand before "target". */
static const struct {
	const char *name;
	size_t word; /* in struct manifest_words */
	size_t most;
} strings[] = {
	{"\"hash\":", offsetof(struct manifest_words, hash), 2 * HASH_SIZE},
	{"\"mode\":", offsetof(struct manifest_words, mode), 4},
	{"\"owner\":", offsetof(struct manifest_words, owner), 32},
	{"\"path\":", offsetof(struct manifest_words, path), MANIFEST_PATH_MOST},
	{"\"root\":", offsetof(struct manifest_words, root), 8},
	{"\"target\":", offsetof(struct manifest_words, target), MANIFEST_PATH_MOST},
	{"\"type\":", offsetof(struct manifest_words, type), 16},
};
#define TARGET 5

struct reader {
	const char *at, *end;
};

static bool take_text(struct reader *reader, const char *text)
{
	size_t size = strlen(text);
	if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, text, size) != 0)
		return false;
	reader->at += size;
	return true;
}

static bool take_string(struct reader *reader, size_t most, struct manifest_word *ret_word)
{
	if (reader->at == reader->end || *reader->at != '"')
		return false;
	const char *start = ++reader->at;
	while (reader->at < reader->end && *reader->at >= ' ' && *reader->at <= '~' && *reader->at != '"' &&
	       *reader->at != '\\')
		reader->at++;
	*ret_word = (struct manifest_word){start, (size_t)(reader->at - start)};
	return ret_word->size <= most && take_text(reader, "\"");
}

static bool take_size(struct reader *reader, uint64_t *ret_size)
{
	const char *start = reader->at;
	uint64_t size = 0;
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' && size <= MANIFEST_FILE_MOST)
		size = 10 * size + (uint64_t)(*reader->at++ - '0');
	*ret_size = size;
	return reader->at > start && size <= MANIFEST_FILE_MOST && (*start != '0' || reader->at == start + 1);
}

/* Behind a member. *ret_more: another one follows. */
static bool take_end(struct reader *reader, bool *ret_more)
{
	*ret_more = take_text(reader, ",");
	return *ret_more || take_text(reader, "}");
}

/* What is no string; not there is right, too. */
static bool take_values(struct reader *reader, struct manifest_words *words, bool *ret_more)
{
	if (*ret_more && take_text(reader, "\"set_id\":true")) {
		words->set_id = true;
		if (!take_end(reader, ret_more))
			return false;
	}
	if (*ret_more && take_text(reader, "\"size\":")) {
		words->has_size = true;
		return take_size(reader, &words->size) && take_end(reader, ret_more);
	}
	return true;
}

bool manifest_words_read(const char *text, size_t size, struct manifest_words *ret_words)
{
	struct reader reader = {text, text + size};
	struct manifest_words words = {0};
	bool more = take_text(&reader, "{");

	for (size_t i = 0; more && i < ARRAY_SIZE(strings); i++) {
		struct manifest_word *word = (struct manifest_word *)((char *)&words + strings[i].word);
		if (i == TARGET && !take_values(&reader, &words, &more))
			return false;
		if (more && take_text(&reader, strings[i].name) &&
		    (!take_string(&reader, strings[i].most, word) || !take_end(&reader, &more)))
			return false;
	}
	if (more || reader.at != reader.end || size == 0 || words.path.at == NULL || words.type.at == NULL)
		return false;
	*ret_words = words;
	return true;
}

bool manifest_words_string(const char *text, size_t size, size_t most, struct manifest_word *ret_word)
{
	struct reader reader = {text, text + size};
	struct manifest_word word;
	if (!take_string(&reader, most, &word) || reader.at != reader.end)
		return false;
	*ret_word = word;
	return true;
}

bool manifest_word_is(struct manifest_word word, const char *text)
{
	return word.size == strlen(text) && memcmp(word.at, text, word.size) == 0;
}

int manifest_word_hash(struct manifest_word word, uint8_t ret_hash[static HASH_SIZE], struct error *error)
{
	char text[HASH_HEX_SIZE];
	size_t size = word.size < sizeof(text) ? word.size : sizeof(text) - 1;
	memcpy(text, word.at, size);
	text[size] = '\0';
	return hash_from_hex(word.size == size ? text : "", ret_hash, HASH_SIZE, error);
}

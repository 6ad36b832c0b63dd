#include <string.h>

#include "keys/pattern.h"

/* A stretch of text between slashes. */
struct span {
	const char *at, *end;
};

/* The next character as a code point; a byte that begins no valid sequence stands for itself. */
static uint32_t next_character(struct span *text)
{
	unsigned char lead = (unsigned char)*text->at++;
	int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	uint32_t character = more ? lead & (0x3fu >> more) : lead;
	const char *start = text->at;

	for (; more > 0; more--) {
		if (text->at == text->end || ((unsigned char)*text->at & 0xc0) != 0x80) {
			text->at = start;
			return lead;
		}
		character = character << 6 | ((unsigned char)*text->at++ & 0x3f);
	}
	return character;
}

/* Behind '[': whether the set holds the character. *ret_closed false: there is no ']', so it is no set. A ']' that
 * comes first is a member (glob(7)). */
static bool set_holds(struct span *pattern, uint32_t character, bool *ret_closed)
{
	struct span at = *pattern;
	bool negated = at.at < at.end && *at.at == '!', held = false, first = true;

	if (negated)
		at.at++;
	*ret_closed = false;
	while (at.at < at.end) {
		uint32_t low, high;

		if (*at.at == ']' && !first) {
			pattern->at = at.at + 1;
			*ret_closed = true;
			return held != negated;
		}
		first = false;
		low = high = next_character(&at);
		if (at.end - at.at >= 2 && *at.at == '-' && at.at[1] != ']') {
			at.at++;
			high = next_character(&at);
		}
		held = held || (low <= character && character <= high);
	}
	return false;
}

/* One character against one element that is no '*'. Advances both on a match. */
static bool match_one(struct span *pattern, struct span *text)
{
	struct span rest_pattern = *pattern, rest_text = *text;
	uint32_t element, character;
	bool closed;

	if (pattern->at == pattern->end)
		return false;
	element = next_character(&rest_pattern);
	character = next_character(&rest_text);
	if (element == '[') {
		bool held = set_holds(&rest_pattern, character, &closed);

		if (closed ? !held : character != '[')
			return false;
	} else if (element != '?' && element != character) {
		return false;
	}
	*pattern = rest_pattern;
	*text = rest_text;
	return true;
}

/* Only the last '*' is ever tried again: what an earlier one could take, the last one can too. */
static bool match_component(struct span pattern, struct span text)
{
	struct span star_pattern = {NULL, NULL}, star_text = {NULL, NULL};

	while (text.at < text.end) {
		if (pattern.at < pattern.end && *pattern.at == '*') {
			pattern.at++;
			star_pattern = pattern;
			star_text = text;
		} else if (!match_one(&pattern, &text)) {
			if (!star_pattern.at)
				return false;
			next_character(&star_text);
			text = star_text;
			pattern = star_pattern;
		}
	}
	while (pattern.at < pattern.end && *pattern.at == '*')
		pattern.at++;
	return pattern.at == pattern.end;
}

static struct span next_component(const char **text)
{
	const char *end = strchrnul(*text, '/');
	struct span component = {*text, end};

	*text = *end ? end + 1 : NULL;
	return component;
}

bool pattern_matches(const char *pattern, const char *path)
{
	while (pattern && path) {
		struct span element = next_component(&pattern), component = next_component(&path);

		if (!match_component(element, component))
			return false;
	}
	return !pattern && !path;
}

#include <ctype.h>
#include <string.h>

#include "base/secret.h"
#include "keys/joincode.h"

/* Inside: host size, host, port (big-endian), host key hash, root hash, secret, CRC-32 of all that. A CRC notices every
 * burst of up to 32 bits, so every single mistyped digit and every swap of neighbours; the other mistakes slip through
 * once in four thousand million. It guards against typing, not against people: the hashes do that. */
#define CHECK_SIZE  4
#define BYTES_MOST  (1 + (JOINCODE_HOST_MOST - 1) + 2 + 2 * HASH_SIZE + JOINCODE_SECRET + CHECK_SIZE)
#define DIGITS_MOST ((BYTES_MOST * 8 + 4) / 5)
#define GROUP       5
#define PREFIX      "ns1"

_Static_assert(sizeof PREFIX + DIGITS_MOST + (DIGITS_MOST + GROUP - 1) / GROUP <= JOINCODE_TEXT_MOST,
	       "the longest code fits");

/* Crockford's: no I, L, O, U. */
static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static bool host_is_sound(const char *host, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isascii((unsigned char)host[i]) || !(isalnum((unsigned char)host[i]) || strchr(".-:", host[i])))
			return false;
	return size > 0 && size < JOINCODE_HOST_MOST;
}

static size_t pack(const struct joincode *code, uint8_t bytes[static BYTES_MOST])
{
	size_t host = strlen(code->host), at = 0;
	uint32_t crc;

	bytes[at++] = (uint8_t)host;
	memcpy(bytes + at, code->host, host);
	at += host;
	bytes[at++] = (uint8_t)(code->port >> 8);
	bytes[at++] = (uint8_t)(code->port & 0xff);
	memcpy(bytes + at, code->host_key, HASH_SIZE);
	at += HASH_SIZE;
	memcpy(bytes + at, code->root, HASH_SIZE);
	at += HASH_SIZE;
	memcpy(bytes + at, code->secret, JOINCODE_SECRET);
	at += JOINCODE_SECRET;
	crc = crc32_of(bytes, at);
	for (int i = 0; i < CHECK_SIZE; i++)
		bytes[at++] = (uint8_t)(crc >> (8 * i));
	return at;
}

static unsigned bit_at(const uint8_t *bytes, size_t size, size_t bit)
{
	unsigned byte = bit / 8 < size ? bytes[bit / 8] : 0;

	return byte >> (7 - bit % 8) & 1;
}

int joincode_write(const struct joincode *code, char ret_text[static JOINCODE_TEXT_MOST], struct error *error)
{
	uint8_t bytes[BYTES_MOST];
	size_t size, at = sizeof PREFIX - 1;

	if (!memchr(code->host, '\0', sizeof code->host) || !host_is_sound(code->host, strlen(code->host)) ||
	    !code->port)
		return error_set(error, ERROR_CONFIG, "join-code",
				 "a join code needs the hub's host name (at most %d letters) and port",
				 JOINCODE_HOST_MOST - 1);
	size = pack(code, bytes);
	memcpy(ret_text, PREFIX, sizeof PREFIX);
	for (size_t digit = 0; digit < (size * 8 + 4) / 5; digit++) {
		unsigned value = 0;

		for (size_t bit = 5 * digit; bit < 5 * digit + 5; bit++)
			value = value << 1 | bit_at(bytes, size, bit);
		if (digit % GROUP == 0)
			ret_text[at++] = '-';
		ret_text[at++] = digits[value];
	}
	ret_text[at] = '\0';
	secret_wipe(bytes, sizeof bytes);
	return 0;
}

/* The digit's value, with the usual misreadings put right; -1 for none. */
static int value_of(char c)
{
	static const char misread[] = "OILoil", meant[] = "011011";
	const char *found = strchr(misread, c);

	if (found)
		c = meant[found - misread];
	found = strchr(digits, toupper((unsigned char)c));
	return found ? (int)(found - digits) : -1;
}

static int mistyped(struct error *error)
{
	return error_set(error, ERROR_USAGE, "join-code",
			 "the join code has a wrong, missing or extra digit; compare it with the one you were given");
}

static bool skip_prefix(const char **text)
{
	for (const char *c = PREFIX; *c; (*text)++) {
		if (**text == '-' || **text == ' ')
			continue;
		if (tolower((unsigned char)**text) != *c++)
			return false;
	}
	return true;
}

/* The digits as bytes; the bits behind the last whole byte must be zero. */
static int read_digits(const char *text, uint8_t bytes[static BYTES_MOST], size_t *ret_size, struct error *error)
{
	size_t bits = 0;

	memset(bytes, 0, BYTES_MOST);
	for (; *text; text++) {
		int value;

		if (*text == '-' || isspace((unsigned char)*text))
			continue;
		value = value_of(*text);
		if (value < 0 || bits / 5 == DIGITS_MOST)
			return mistyped(error);
		for (int i = 4; i >= 0; i--, bits++) {
			if (!(value >> i & 1))
				continue;
			if (bits / 8 >= BYTES_MOST)
				return mistyped(error);
			bytes[bits / 8] |= (uint8_t)(1u << (7 - bits % 8));
		}
	}
	if (bits % 8 >= 5 || (bits % 8 && bits / 8 < BYTES_MOST && bytes[bits / 8]))
		return mistyped(error);
	*ret_size = bits / 8;
	return 0;
}

static int unpack(const uint8_t *bytes, size_t size, struct joincode *ret_code, struct error *error)
{
	struct joincode code = {0};
	size_t host = bytes[0], at = 1 + host;
	uint32_t crc = 0;

	if (size != 1 + host + 2 + 2 * HASH_SIZE + JOINCODE_SECRET + CHECK_SIZE)
		return mistyped(error);
	for (size_t i = 0; i < CHECK_SIZE; i++)
		crc |= (uint32_t)bytes[size - CHECK_SIZE + i] << (8 * i);
	if (crc != crc32_of(bytes, size - CHECK_SIZE) || !host_is_sound((const char *)bytes + 1, host))
		return mistyped(error);
	memcpy(code.host, bytes + 1, host);
	code.port = (uint16_t)(bytes[at] << 8 | bytes[at + 1]);
	at += 2;
	if (!code.port)
		return mistyped(error);
	memcpy(code.host_key, bytes + at, HASH_SIZE);
	memcpy(code.root, bytes + at + HASH_SIZE, HASH_SIZE);
	memcpy(code.secret, bytes + at + 2 * HASH_SIZE, JOINCODE_SECRET);
	*ret_code = code;
	secret_wipe(&code, sizeof code);
	return 0;
}

int joincode_read(const char *text, struct joincode *ret_code, struct error *error)
{
	uint8_t bytes[BYTES_MOST];
	size_t size = 0;
	int r;

	if (!skip_prefix(&text))
		return error_set(error, ERROR_USAGE, "join-code", "a join code begins with ns1-");
	r = read_digits(text, bytes, &size, error);
	if (!r)
		r = size ? unpack(bytes, size, ret_code, error) : mistyped(error);
	secret_wipe(bytes, sizeof bytes);
	return r;
}

/* Bound to the hub and the root, so that a secret is good for one place only. */
void joincode_seed(const struct joincode *code, uint8_t ret_seed[static 32])
{
	static const char purpose[] = "nightshift join 1";
	struct hash_state state;

	hash_begin(&state, HASH_BLAKE2B);
	hash_update(&state, purpose, sizeof purpose);
	hash_update(&state, code->secret, sizeof code->secret);
	hash_update(&state, code->host_key, sizeof code->host_key);
	hash_update(&state, code->root, sizeof code->root);
	hash_end(&state, ret_seed);
	secret_wipe(&state, sizeof state);
}

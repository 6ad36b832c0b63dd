#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys/sshkey.h"

#define MAGIC        "openssh-key-v1" /* its NUL belongs to it */
#define KEY_TYPE     "ssh-ed25519"
#define FILE_BEGIN   "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define FILE_END     "-----END OPENSSH PRIVATE KEY-----\n"
#define LINE_WIDTH   70
#define PAD_TO       8
#define FIELD_MOST   4096
#define COMMENT_MOST 100

static int malformed(struct error *error)
{
	return error_set(
		error, ERROR_DATA, "format",
		"not an OpenSSH private key of type ed25519 without a passphrase (ssh-keygen -t ed25519 -N '')");
}

static bool comment_is_sound(const char *comment)
{
	for (const char *c = comment; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7f)
			return false;
	return strlen(comment) <= COMMENT_MOST;
}

/* RFC 4251 §5: uint32 and string. */
static int put_number(struct buffer *out, uint32_t value, struct error *error)
{
	const uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};

	return buffer_append(out, bytes, sizeof bytes, error);
}

static int put_string(struct buffer *out, const void *bytes, size_t size, struct error *error)
{
	int r = put_number(out, (uint32_t)size, error);

	return r ? r : buffer_append(out, bytes, size, error);
}

struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool get_number(struct cursor *in, uint32_t *ret_value)
{
	if (in->left < 4)
		return false;
	*ret_value = (uint32_t)in->at[0] << 24 | (uint32_t)in->at[1] << 16 | (uint32_t)in->at[2] << 8 | in->at[3];
	in->at += 4;
	in->left -= 4;
	return true;
}

static bool get_string(struct cursor *in, struct cursor *ret_string)
{
	uint32_t size;

	if (!get_number(in, &size) || size > FIELD_MOST || size > in->left)
		return false;
	*ret_string = (struct cursor){in->at, size};
	in->at += size;
	in->left -= size;
	return true;
}

static bool string_is(struct cursor string, const void *bytes, size_t size)
{
	return string.left == size && (size == 0 || secret_equal(string.at, bytes, size));
}

static bool expect_string(struct cursor *in, const void *bytes, size_t size)
{
	struct cursor string;

	return get_string(in, &string) && string_is(string, bytes, size);
}

void sshkey_blob(const uint8_t public_key[static SECRET_ED25519_PUBLIC], uint8_t ret_blob[static SSHKEY_BLOB_SIZE])
{
	static const uint8_t head[] = "\0\0\0\x0b" KEY_TYPE "\0\0\0\x20";

	_Static_assert(sizeof head - 1 + SECRET_ED25519_PUBLIC == SSHKEY_BLOB_SIZE, "blob size");
	memcpy(ret_blob, head, sizeof head - 1);
	memcpy(ret_blob + sizeof head - 1, public_key, SECRET_ED25519_PUBLIC);
}

/* The part that a passphrase would encrypt: two equal check numbers, the key, the comment, padding 1, 2, 3 … */
static int write_private(const uint8_t *seed, const uint8_t *public_key, const char *comment, struct buffer *out,
			 struct error *error)
{
	uint8_t secret[SECRET_ED25519_SECRET];
	uint32_t check;
	int r;

	secret_random(&check, sizeof check);
	memcpy(secret, seed, SECRET_ED25519_SEED);
	memcpy(secret + SECRET_ED25519_SEED, public_key, SECRET_ED25519_PUBLIC);
	r = put_number(out, check, error);
	if (!r)
		r = put_number(out, check, error);
	if (!r)
		r = put_string(out, KEY_TYPE, strlen(KEY_TYPE), error);
	if (!r)
		r = put_string(out, public_key, SECRET_ED25519_PUBLIC, error);
	if (!r)
		r = put_string(out, secret, sizeof secret, error);
	if (!r)
		r = put_string(out, comment, strlen(comment), error);
	for (uint8_t pad = 1; !r && out->size % PAD_TO; pad++)
		r = buffer_append(out, &pad, 1, error);
	secret_wipe(secret, sizeof secret);
	return r;
}

static int write_binary(const uint8_t *seed, const char *comment, struct buffer *out, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer private = {0};
	uint8_t public_key[SECRET_ED25519_PUBLIC], secret[SECRET_ED25519_SECRET], blob[SSHKEY_BLOB_SIZE];
	int r;

	secret_ed25519_from_seed(seed, public_key, secret);
	secret_wipe(secret, sizeof secret);
	sshkey_blob(public_key, blob);
	r = write_private(seed, public_key, comment, &private, error);
	if (!r)
		r = buffer_append(out, MAGIC, sizeof MAGIC, error);
	if (!r)
		r = put_string(out, "none", 4, error); /* cipher */
	if (!r)
		r = put_string(out, "none", 4, error); /* kdf */
	if (!r)
		r = put_string(out, "", 0, error); /* kdf options */
	if (!r)
		r = put_number(out, 1, error);
	if (!r)
		r = put_string(out, blob, sizeof blob, error);
	return r ? r : put_string(out, private.data, private.size, error);
}

int sshkey_write(const uint8_t seed[static SECRET_ED25519_SEED], const char *comment, struct buffer *ret_text,
		 struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer binary = {0}, text = {0}, lines = {0};
	uint8_t *room;
	size_t size;
	int r;

	if (!comment_is_sound(comment))
		return error_set(error, ERROR_USAGE, "format", "a key's comment has at most %d printable characters",
				 COMMENT_MOST);
	r = write_binary(seed, comment, &binary, error);
	if (r)
		return r;
	size = sodium_base64_encoded_len(binary.size, sodium_base64_VARIANT_ORIGINAL);
	r = buffer_reserve(&text, size, &room, error);
	if (r)
		return r;
	sodium_bin2base64((char *)room, size, binary.data, binary.size, sodium_base64_VARIANT_ORIGINAL);
	size--;
	buffer_commit(&text, size);
	r = buffer_append_string(&lines, FILE_BEGIN, error);
	for (size_t at = 0; !r && at < size; at += LINE_WIDTH) {
		r = buffer_append(&lines, text.data + at, size - at < LINE_WIDTH ? size - at : LINE_WIDTH, error);
		if (!r)
			r = buffer_append(&lines, "\n", 1, error);
	}
	if (!r)
		r = buffer_append_string(&lines, FILE_END, error);
	return r ? r : buffer_append(ret_text, lines.data, lines.size, error);
}

static bool read_private(struct cursor in, uint8_t ret_seed[static SECRET_ED25519_SEED],
			 uint8_t ret_public[static SECRET_ED25519_PUBLIC])
{
	uint8_t public_key[SECRET_ED25519_PUBLIC], secret[SECRET_ED25519_SECRET];
	struct cursor stated, seed_and_public, comment;
	uint32_t check, again;
	bool sound;

	if (in.left % PAD_TO || !get_number(&in, &check) || !get_number(&in, &again) || check != again ||
	    !expect_string(&in, KEY_TYPE, strlen(KEY_TYPE)) || !get_string(&in, &stated) ||
	    !get_string(&in, &seed_and_public) || !get_string(&in, &comment) ||
	    seed_and_public.left != SECRET_ED25519_SECRET || in.left >= PAD_TO)
		return false;
	for (size_t i = 0; i < in.left; i++)
		if (in.at[i] != i + 1)
			return false;
	secret_ed25519_from_seed(seed_and_public.at, public_key, secret);
	secret_wipe(secret, sizeof secret);
	/* Both copies of the public half must be the seed's: signing under another would leak the seed. */
	sound = string_is(stated, public_key, sizeof public_key) &&
		secret_equal(seed_and_public.at + SECRET_ED25519_SEED, public_key, sizeof public_key);
	if (sound) {
		memcpy(ret_seed, seed_and_public.at, SECRET_ED25519_SEED);
		memcpy(ret_public, public_key, sizeof public_key);
	}
	return sound;
}

static bool read_binary(const struct buffer *binary, uint8_t ret_seed[static SECRET_ED25519_SEED])
{
	struct cursor in = {binary->data, binary->size}, blob, private;
	uint8_t public_key[SECRET_ED25519_PUBLIC], expected[SSHKEY_BLOB_SIZE], seed[SECRET_ED25519_SEED];
	uint32_t count;
	bool sound;

	if (in.left < sizeof MAGIC || memcmp(in.at, MAGIC, sizeof MAGIC) != 0)
		return false;
	in.at += sizeof MAGIC;
	in.left -= sizeof MAGIC;
	if (!expect_string(&in, "none", 4) || !expect_string(&in, "none", 4) || !expect_string(&in, "", 0) ||
	    !get_number(&in, &count) || count != 1 || !get_string(&in, &blob) || !get_string(&in, &private) || in.left)
		return false;
	if (!read_private(private, seed, public_key))
		return false;
	sshkey_blob(public_key, expected);
	sound = string_is(blob, expected, sizeof expected);
	if (sound)
		memcpy(ret_seed, seed, sizeof seed);
	secret_wipe(seed, sizeof seed);
	return sound;
}

int sshkey_read(const void *text, size_t size, uint8_t ret_seed[static SECRET_ED25519_SEED], struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer copy = {0}, binary = {0};
	char *begin, *end;
	const char *stop;
	uint8_t *room;
	size_t used;
	int r;

	if (size > SSHKEY_FILE_MOST)
		return error_set(error, ERROR_DATA, "length", "a key file has at most %d bytes", SSHKEY_FILE_MOST);
	r = buffer_append(&copy, text, size, error);
	if (r)
		return r;
	if (size < strlen(FILE_BEGIN) || strlen((char *)copy.data) != size ||
	    strncmp((char *)copy.data, FILE_BEGIN, strlen(FILE_BEGIN)) != 0)
		return malformed(error);
	begin = (char *)copy.data + strlen(FILE_BEGIN);
	end = strstr(begin, "-----END OPENSSH PRIVATE KEY-----");
	if (!end)
		return malformed(error);
	r = buffer_reserve(&binary, size, &room, error);
	if (r)
		return r;
	if (sodium_base642bin(room, size, begin, (size_t)(end - begin), "\r\n", &used, &stop,
			      sodium_base64_VARIANT_ORIGINAL) ||
	    stop != end)
		return malformed(error);
	buffer_commit(&binary, used);
	return read_binary(&binary, ret_seed) ? 0 : malformed(error);
}

int sshkey_public_line(const uint8_t public_key[static SECRET_ED25519_PUBLIC], const char *comment,
		       char ret_line[static SSHKEY_LINE_MOST], struct error *error)
{
	char text[sodium_base64_ENCODED_LEN(SSHKEY_BLOB_SIZE, sodium_base64_VARIANT_ORIGINAL)];
	uint8_t blob[SSHKEY_BLOB_SIZE];

	if (!comment_is_sound(comment))
		return error_set(error, ERROR_USAGE, "format", "a key's comment has at most %d printable characters",
				 COMMENT_MOST);
	sshkey_blob(public_key, blob);
	sodium_bin2base64(text, sizeof text, blob, sizeof blob, sodium_base64_VARIANT_ORIGINAL);
	snprintf(ret_line, SSHKEY_LINE_MOST, KEY_TYPE " %s%s%s", text, *comment ? " " : "", comment);
	return 0;
}

int sshkey_public_read(const char *line, uint8_t ret_public[static SECRET_ED25519_PUBLIC], struct error *error)
{
	uint8_t blob[SSHKEY_BLOB_SIZE], expected[SSHKEY_BLOB_SIZE];
	const char *text = line + strlen(KEY_TYPE " ");
	size_t length, size;

	if (strncmp(line, KEY_TYPE " ", strlen(KEY_TYPE " ")) != 0)
		return error_set(error, ERROR_DATA, "format", "a public key line must begin with " KEY_TYPE);
	length = strcspn(text, " \t\r\n");
	if (sodium_base642bin(blob, sizeof blob, text, length, NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) ||
	    size != sizeof blob)
		return error_set(error, ERROR_DATA, "format", "a public key line of " KEY_TYPE " is damaged");
	sshkey_blob(blob + SSHKEY_BLOB_SIZE - SECRET_ED25519_PUBLIC, expected);
	if (memcmp(blob, expected, sizeof blob) != 0)
		return error_set(error, ERROR_DATA, "format", "a public key line of " KEY_TYPE " holds another type");
	memcpy(ret_public, blob + SSHKEY_BLOB_SIZE - SECRET_ED25519_PUBLIC, SECRET_ED25519_PUBLIC);
	return 0;
}

void sshkey_fingerprint(const uint8_t public_key[static SECRET_ED25519_PUBLIC], char ret_text[static 51])
{
	uint8_t blob[SSHKEY_BLOB_SIZE], hash[HASH_SIZE];

	sshkey_blob(public_key, blob);
	hash_bytes(HASH_SHA256, blob, sizeof blob, hash);
	memcpy(ret_text, "SHA256:", 7);
	sodium_bin2base64(ret_text + 7, 44, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

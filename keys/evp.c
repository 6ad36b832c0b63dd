#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "keys/evp.h"

struct evp_key {
	EVP_PKEY *pkey;
	enum key_scheme scheme;
};

static void bio_free(BIO **bio)
{
	BIO_free(*bio);
}

static void pkey_free(EVP_PKEY **pkey)
{
	EVP_PKEY_free(*pkey);
}

static void context_free(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

/* An encrypted PEM must never make a daemon ask its terminal. */
static int no_password(char *buffer UNUSED, int size UNUSED, int writing UNUSED, void *context UNUSED)
{
	return -1;
}

static enum key_scheme scheme_of(EVP_PKEY *pkey)
{
	char group[32];
	size_t size;
	int bits = EVP_PKEY_get_bits(pkey);

	switch (EVP_PKEY_get_base_id(pkey)) {
	case EVP_PKEY_EC:
		if (EVP_PKEY_get_group_name(pkey, group, sizeof group, &size) == 1 && !strcmp(group, "prime256v1"))
			return KEY_ECDSA_P256;
		return KEY_UNKNOWN;
	case EVP_PKEY_RSA:
		return bits >= EVP_RSA_BITS_LEAST && bits <= EVP_RSA_BITS_MOST ? KEY_RSA_PSS_SHA256 : KEY_UNKNOWN;
	default:
		return KEY_UNKNOWN;
	}
}

bool evp_key_parse(const char *pem, size_t size, struct evp_key **ret_key)
{
	CLEANUP(bio_free) BIO *bio = NULL;
	CLEANUP(pkey_free) EVP_PKEY *pkey = NULL;
	enum key_scheme scheme;
	struct evp_key *key;

	if (size == 0 || size > EVP_PEM_MOST)
		return false;
	/* No openssl.cnf: a verifier inside a sandbox opens no file and loads no engine. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	ERR_set_mark();
	bio = BIO_new_mem_buf(pem, (int)size);
	if (bio)
		pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
	scheme = pkey ? scheme_of(pkey) : KEY_UNKNOWN;
	ERR_pop_to_mark();
	if (scheme == KEY_UNKNOWN)
		return false;
	key = calloc(1, sizeof *key);
	if (!key)
		return false;
	key->pkey = TAKE(pkey);
	key->scheme = scheme;
	*ret_key = key;
	return true;
}

void evp_key_free(struct evp_key **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

enum key_scheme evp_key_scheme(const struct evp_key *key)
{
	return key->scheme;
}

bool evp_key_same(const struct evp_key *a, const struct evp_key *b)
{
	bool same;

	ERR_set_mark();
	same = EVP_PKEY_eq(a->pkey, b->pkey) == 1;
	ERR_pop_to_mark();
	return same;
}

static bool verify(const struct evp_key *key, EVP_MD_CTX *context, const void *message, size_t size,
		   const uint8_t *signature, size_t signature_size)
{
	EVP_PKEY_CTX *options; /* the context's own */

	if (EVP_DigestVerifyInit_ex(context, &options, "SHA256", NULL, NULL, key->pkey, NULL) != 1)
		return false;
	if (key->scheme == KEY_RSA_PSS_SHA256 && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
						  EVP_PKEY_CTX_set_rsa_mgf1_md_name(options, "SHA256", NULL) != 1 ||
						  EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) != 1))
		return false;
	return EVP_DigestVerify(context, signature, signature_size, message, size) == 1;
}

bool evp_key_verify(const struct evp_key *key, const void *message, size_t size, const uint8_t *signature,
		    size_t signature_size)
{
	CLEANUP(context_free) EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool valid;

	if (!context)
		return false;
	ERR_set_mark();
	valid = verify(key, context, message, size, signature, signature_size);
	ERR_pop_to_mark();
	return valid;
}

/* ECDSA P-256 and RSA-PSS public keys, so that hardware and cloud keys can sign: the one module that meets libcrypto,
 * and it only verifies. Internal to keys/. */
#ifndef KEYS_EVP_H
#define KEYS_EVP_H

#include "keys/key.h"

#define EVP_PEM_MOST       8192
#define EVP_RSA_BITS_LEAST 2048
#define EVP_RSA_BITS_MOST  8192

struct evp_key;

/* A PEM SubjectPublicKeyInfo: an EC key on P-256 or an RSA key of 2,048 to 8,192 bits. Anything else is false: to the
 * caller that is a key which never verifies. */
bool evp_key_parse(const char *pem, size_t size, struct evp_key **ret_key);
void evp_key_free(struct evp_key **key);
/* KEY_ECDSA_P256 or KEY_RSA_PSS_SHA256. */
enum key_scheme evp_key_scheme(const struct evp_key *key);
bool evp_key_same(const struct evp_key *a, const struct evp_key *b);
/* SHA-256 in both; ECDSA signatures are DER, PSS salts of any length. */
bool evp_key_verify(const struct evp_key *key, const void *message, size_t size, const uint8_t *signature,
		    size_t signature_size);

#endif

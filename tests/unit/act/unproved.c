/* In place of keys/evp.c, as unprobed.c is in place of another: no key of these tests is an ECDSA or RSA one, and
 * libcrypto takes longer to load than a watcher to look. */
#include "keys/evp.h"

bool evp_key_parse(const char *pem UNUSED, size_t size UNUSED, struct evp_key **ret_key UNUSED)
{
	return false;
}

void evp_key_free(struct evp_key **key UNUSED)
{
}

enum key_scheme evp_key_scheme(const struct evp_key *key UNUSED)
{
	return KEY_ECDSA_P256;
}

bool evp_key_same(const struct evp_key *a UNUSED, const struct evp_key *b UNUSED)
{
	return false;
}

bool evp_key_verify(const struct evp_key *key UNUSED, const void *message UNUSED, size_t size UNUSED,
		    const uint8_t *signature UNUSED, size_t signature_size UNUSED)
{
	return false;
}

#include "orchestrator/engine/join_proof.h"

#include <string.h>

#include "base/hash.h"

int join_proof_check(const char *proof, const uint8_t once[static SECRET_ED25519_PUBLIC],
		     const uint8_t own[static SECRET_ED25519_PUBLIC], struct error *error)
{
	static const char label[] = "nightshift-join"; /* its NUL is signed too */
	uint8_t message[sizeof label + 2 * SECRET_ED25519_PUBLIC], signatures[2 * SECRET_ED25519_SIGNATURE];
	if (hash_from_hex(proof, signatures, sizeof signatures, error))
		return error_set(error, ERROR_DATA, "signature", "the proof of a join is not two signatures");
	memcpy(message, label, sizeof label);
	memcpy(message + sizeof label, once, SECRET_ED25519_PUBLIC);
	memcpy(message + sizeof label + SECRET_ED25519_PUBLIC, own, SECRET_ED25519_PUBLIC);
	if (!secret_ed25519_verify(once, message, sizeof message, signatures) ||
	    !secret_ed25519_verify(own, message, sizeof message, signatures + SECRET_ED25519_SIGNATURE))
		return error_set(error, ERROR_DATA, "signature",
				 "a join needs the signatures of the one-time key and of the new key");
	return 0;
}

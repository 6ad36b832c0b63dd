/* The proof that a joining appliance gives: it holds the one-time key and the new one. Two signatures, first by the
 * one-time key, then by the new, 256 hexadecimal digits, both over "nightshift-join" NUL one-time-key new-key. */
#ifndef ENGINE_JOIN_PROOF_H
#define ENGINE_JOIN_PROOF_H

#include "base/secret.h"

/* ERROR_DATA "signature". */
int join_proof_check(const char *proof, const uint8_t once[static SECRET_ED25519_PUBLIC],
		     const uint8_t own[static SECRET_ED25519_PUBLIC], struct error *error) MUST_CHECK;

#endif

/* External signers, `cmd:PROGRAM`: a hardware or cloud key behind a program of the operator's. Internal to keys/. */
#ifndef KEYS_EXTERNAL_H
#define KEYS_EXTERNAL_H

#include "keys/key.h"

#define EXTERNAL_PREFIX "cmd:"

/* PROGRAM.pub, or a file `public` in the program's directory: JSON or PEM. */
int external_public(const char *program, struct key **ret_key, struct error *error) MUST_CHECK;
/* Runs the program, without arguments, with the caller's environment, terminal and stderr (it may ask for a PIN or a
 * touch). The message is its stdin; its stdout is the signature, raw or in hexadecimal. Two minutes at most.
 * The caller verifies what came back. */
int external_sign(const char *program, const void *message, size_t size,
		  uint8_t ret_signature[static KEY_SIGNATURE_MOST], size_t *ret_size, struct error *error) MUST_CHECK;

#endif

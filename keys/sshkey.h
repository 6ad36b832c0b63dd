/* ed25519 keys as OpenSSH writes them (openssh-key-v1, no passphrase; PROTOCOL.key): the hub's host key and the
 * appliance's key must be readable by libssh and ssh, and the appliance's key also signs receipts. */
#ifndef KEYS_SSHKEY_H
#define KEYS_SSHKEY_H

#include "keys/key.h"

#define SSHKEY_FILE_MOST 16384
#define SSHKEY_LINE_MOST 256
#define SSHKEY_BLOB_SIZE 51 /* string "ssh-ed25519", string of 32 bytes */

/* The text of a private key file. */
int sshkey_write(const uint8_t seed[static SECRET_ED25519_SEED], const char *comment, struct buffer *ret_text,
		 struct error *error) MUST_CHECK;
int sshkey_read(const void *text, size_t size, uint8_t ret_seed[static SECRET_ED25519_SEED],
		struct error *error) MUST_CHECK;
/* "ssh-ed25519 AAAA… comment"; reading ignores the comment and refuses other types. */
int sshkey_public_line(const uint8_t public_key[static SECRET_ED25519_PUBLIC], const char *comment,
		       char ret_line[static SSHKEY_LINE_MOST], struct error *error) MUST_CHECK;
int sshkey_public_read(const char *line, uint8_t ret_public[static SECRET_ED25519_PUBLIC],
		       struct error *error) MUST_CHECK;
void sshkey_blob(const uint8_t public_key[static SECRET_ED25519_PUBLIC], uint8_t ret_blob[static SSHKEY_BLOB_SIZE]);
/* "SHA256:…" as ssh-keygen -l prints it; 51 bytes with NUL. */
void sshkey_fingerprint(const uint8_t public_key[static SECRET_ED25519_PUBLIC], char ret_text[static 51]);

#endif

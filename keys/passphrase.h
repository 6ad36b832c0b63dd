/* Where a passphrase comes from: a file, a systemd credential, the terminal. Internal to keys/. */
#ifndef KEYS_PASSPHRASE_H
#define KEYS_PASSPHRASE_H

#include "keys/key.h"

#define PASSPHRASE_MOST 1024

/* `what` names the key file in the prompt. The caller wipes `ret_text` (buffer_wipe), also after a failure. */
int passphrase_read(const struct key_passphrase *source, const char *what, struct buffer *ret_text,
		    struct error *error) MUST_CHECK;

#endif

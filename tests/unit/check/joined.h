/* Joins by number, as `appliance-hook join` writes them down once the hub has answered, and what the parts of the hook
 * then find: always the same keys. */
#ifndef TESTS_CHECK_JOINED_H
#define TESTS_CHECK_JOINED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "appliance-hook/settings.h"
#include "base/error.h"

#define JOINED_TEXT_SIZE 256

int joined_join(const struct hook_settings *settings, int number, struct error *error) MUST_CHECK;
int joined_settle(const struct hook_settings *settings, struct error *error) MUST_CHECK; /* as serve does */
/* Which join the box is of, 0: none. -1 where link, check and act do not find the same one, or not as it must lie
 * there: *ret_text is what is wrong. */
int joined_number(const struct hook_settings *settings, char ret_text[static JOINED_TEXT_SIZE]);
/* As a join or a serve that was interrupted left it: no private key is half there, or another's to read. */
bool joined_is_sound(const struct hook_settings *settings, char ret_text[static JOINED_TEXT_SIZE]);

#endif

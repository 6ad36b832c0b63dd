/* How the product is stopped, started and asked for: a row a backend. */
#ifndef ACT_UNITS_H
#define ACT_UNITS_H

#include "appliance-hook/settings.h"
#include "base/buffer.h"

/* All of the configured units, within [units] timeout. With nothing configured they do nothing. ERROR_DATA "units" with
 * the command's last words; ERROR_NOT_NOW "timeout". */
int units_stop(const struct hook_settings *settings, struct error *error) MUST_CHECK;
int units_start(const struct hook_settings *settings, struct error *error) MUST_CHECK;

/* Asks for a restart of the machine, which comes some time after this has returned 0. */
int units_reboot(const struct hook_settings *settings, struct error *error) MUST_CHECK;
/* ERROR_NOT_NOW "restart" when nothing is configured that could. */
int units_can_reboot(const struct hook_settings *settings, struct error *error) MUST_CHECK;

/* Whether a unit runs; ERROR_DATA "units" when not. Only a service manager can tell. */
int units_active(const struct hook_settings *settings, const char *unit, int64_t timeout_ms,
		 struct error *error) MUST_CHECK;

/* After a restart of the machine: none of them runs yet, and the service manager starts them by itself. Stopping would
 * take that from it, starting would wait for us. A plain command is started by nobody we know. */
bool units_start_later(const struct hook_settings *settings);

/* The last words of a command's output, on one line, for a sentence. */
void units_last_words(const struct buffer *output, char *ret_text, size_t size);

#endif

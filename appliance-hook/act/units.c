#include "appliance-hook/act/units.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/point.h"
#include "base/process.h"

#define UNITS_OUTPUT_MOST 8192

static const char *const environment[] = {"LANG=C.UTF-8", "HOME=/", NULL};

void units_last_words(const struct buffer *output, char *ret_text, size_t size)
{
	size_t end = output->size;
	while (end > 0 && output->data[end - 1] <= ' ')
		end--;
	size_t start = end > size - 1 ? end - (size - 1) : 0;
	size_t length = end - start;

	for (size_t i = 0; i < length; i++) {
		uint8_t byte = output->data[start + i];
		ret_text[i] = byte >= ' ' && byte < 127 ? (char)byte : ' ';
	}
	ret_text[length] = '\0';
}

static int64_t longest_ms(const struct hook_settings *settings)
{
	return 1000 * settings->units_timeout;
}

static int run(const char *const *argv, const char *what, int64_t timeout_ms, struct error *error)
{
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(UNITS_OUTPUT_MOST);
	char words[161];
	int exit_code = -1;
	int status = process_run(argv, environment, "/", timeout_ms, &output, &exit_code, error);

	if (status < 0)
		return error_prefix(error, "%s", what);
	if (exit_code == 0)
		return 0;
	units_last_words(&output, words, sizeof words);
	return error_set(error, ERROR_DATA, "units", "%s: %s ended with %d%s%s", what, argv[0], exit_code,
			 words[0] ? ": " : "", words);
}

enum order { FORWARD, REVERSED };

/* systemctl VERB UNIT…, all in one job so that systemd orders them. */
static int systemctl(const struct hook_settings *settings, const char *verb, const struct hook_words *units,
		     enum order order, const char *what, struct error *error)
{
	const char *argv[HOOK_SETTINGS_WORDS_MOST + 4] = {settings->units_systemctl, verb, "--"};

	if (units->count == 0)
		return 0;
	for (size_t i = 0; i < units->count; i++)
		argv[3 + i] = units->words[order == REVERSED ? units->count - 1 - i : i];
	return run(argv, what, longest_ms(settings), error);
}

static int systemd_stop(const struct hook_settings *settings, struct error *error)
{
	return systemctl(settings, "stop", &settings->units_stop, FORWARD, "stopping the units", error);
}

static int systemd_start(const struct hook_settings *settings, struct error *error)
{
	const struct hook_words *start = &settings->units_start;

	return start->count
		       ? systemctl(settings, "start", start, FORWARD, "starting the units", error)
		       : systemctl(settings, "start", &settings->units_stop, REVERSED, "starting the units", error);
}

static int systemd_active(const struct hook_settings *settings, const char *unit, int64_t timeout_ms,
			  struct error *error)
{
	const char *const argv[] = {settings->units_systemctl, "is-active", "--", unit, NULL};

	return run(argv, unit, timeout_ms, error);
}

static int systemd_reboot(const struct hook_settings *settings, struct error *error)
{
	const char *const argv[] = {settings->units_systemctl, "reboot", NULL};

	return run(argv, "restarting the machine", longest_ms(settings), error);
}

static bool systemd_start_later(const struct hook_settings *settings)
{
	struct error ignored;

	for (size_t i = 0; i < settings->units_stop.count; i++)
		if (systemd_active(settings, settings->units_stop.words[i], longest_ms(settings), &ignored) == 0)
			return false;
	return true;
}

static int command_words(const struct hook_settings *settings, const struct hook_words *words, const char *what,
			 struct error *error)
{
	return words->count ? run((const char *const *)words->words, what, longest_ms(settings), error) : 0;
}

static int command_stop(const struct hook_settings *settings, struct error *error)
{
	return command_words(settings, &settings->units_stop, "stopping the product", error);
}

static int command_start(const struct hook_settings *settings, struct error *error)
{
	return command_words(settings, &settings->units_start, "starting the product", error);
}

static int command_active(const struct hook_settings *settings UNUSED, const char *unit, int64_t timeout_ms UNUSED,
			  struct error *error)
{
	return error_set(error, ERROR_CONFIG, "units", "unit %s: only [units] backend = systemd can be asked for units",
			 unit);
}

static bool command_start_later(const struct hook_settings *settings UNUSED)
{
	return false;
}

static const struct backend {
	int (*stop)(const struct hook_settings *settings, struct error *error);
	int (*start)(const struct hook_settings *settings, struct error *error);
	int (*active)(const struct hook_settings *settings, const char *unit, int64_t timeout_ms, struct error *error);
	bool (*start_later)(const struct hook_settings *settings);
	/* Where no program is configured for it; NULL: cannot. */
	int (*reboot)(const struct hook_settings *settings, struct error *error);
} backends[] = {
	[HOOK_UNITS_SYSTEMD] = {systemd_stop, systemd_start, systemd_active, systemd_start_later, systemd_reboot},
	[HOOK_UNITS_COMMAND] = {command_stop, command_start, command_active, command_start_later, NULL},
};

int units_stop(const struct hook_settings *settings, struct error *error)
{
	int status = point_pass("act.units.stop", error);

	return status == 0 ? backends[settings->units_backend].stop(settings, error) : status;
}

int units_start(const struct hook_settings *settings, struct error *error)
{
	int status = point_pass("act.units.start", error);

	return status == 0 ? backends[settings->units_backend].start(settings, error) : status;
}

int units_active(const struct hook_settings *settings, const char *unit, int64_t timeout_ms, struct error *error)
{
	return backends[settings->units_backend].active(settings, unit, timeout_ms, error);
}

int units_can_reboot(const struct hook_settings *settings, struct error *error)
{
	if (settings->units_reboot.count > 0 || backends[settings->units_backend].reboot)
		return 0;
	return error_set(error, ERROR_NOT_NOW, "restart",
			 "nothing is configured that restarts this machine; name a program in [units] reboot");
}

int units_reboot(const struct hook_settings *settings, struct error *error)
{
	int status = units_can_reboot(settings, error);

	if (status == 0)
		status = point_pass("act.units.reboot", error);
	if (status < 0)
		return status;
	return settings->units_reboot.count > 0
		       ? command_words(settings, &settings->units_reboot, "restarting the machine", error)
		       : backends[settings->units_backend].reboot(settings, error);
}

bool units_start_later(const struct hook_settings *settings)
{
	return backends[settings->units_backend].start_later(settings);
}

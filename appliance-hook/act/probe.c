#include "appliance-hook/act/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "appliance-hook/act/point.h"
#include "appliance-hook/act/probe_net.h"
#include "appliance-hook/act/units.h"
#include "base/clock.h"
#include "base/process.h"

#define PROBE_OUTPUT_MOST (64 * 1024)
#define PROBE_PAUSE_MS    50 /* the shortest time between two rounds */
#define VERSION_MARK      "{version}"

/* `text` with every "{version}" replaced. NULL when memory ends. */
static char *expand(const char *text, const char *version)
{
	CLEANUP(buffer_free) struct buffer result = BUFFER_INIT(16384);
	struct error ignored;
	int status = 0;

	while (status == 0) {
		const char *mark = strstr(text, VERSION_MARK);
		if (!mark)
			break;
		status = buffer_append(&result, text, (size_t)(mark - text), &ignored);
		if (status == 0)
			status = buffer_append_string(&result, version, &ignored);
		text = mark + strlen(VERSION_MARK);
	}
	if (status == 0)
		status = buffer_append_string(&result, text, &ignored);
	return status < 0 ? NULL : strdup(result.data ? (const char *)result.data : "");
}

static int try_command(const struct hook_probe *probe, const char *target, const char *expect, int64_t timeout_ms,
		       struct error *error)
{
	static const char *const environment[] = {"LANG=C.UTF-8", "HOME=/", NULL};
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(PROBE_OUTPUT_MOST);
	CLEANUP(free_pointer) char *text = strdup(target);
	const char *argv[HOOK_SETTINGS_WORDS_MOST + 1] = {0};
	char *rest = NULL;
	size_t count = 0;
	int exit_code = -1;

	for (char *word = text ? strtok_r(text, " \t", &rest) : NULL; word && count < HOOK_SETTINGS_WORDS_MOST;
	     word = strtok_r(NULL, " \t", &rest))
		argv[count++] = word;
	if (count == 0)
		return error_set(error, ERROR_CONFIG, "probe", "probe %s has no command", probe->name);
	int status = process_run(argv, environment, "/", timeout_ms, &output, &exit_code, error);
	if (status < 0)
		return status;
	if (exit_code != 0) {
		char words[161];
		units_last_words(&output, words, sizeof words);
		return error_set(error, ERROR_NOT_NOW, "health", "%s ended with %d%s%s", argv[0], exit_code,
				 words[0] ? ": " : "", words);
	}
	if (*expect && (output.size == 0 || !memmem(output.data, output.size, expect, strlen(expect))))
		return error_set(error, ERROR_NOT_NOW, "health", "%s does not say \"%.100s\"", argv[0], expect);
	return 0;
}

int probe_try(const struct hook_settings *settings, const struct hook_probe *probe, const char *version,
	      int64_t timeout_ms, struct error *error)
{
	CLEANUP(free_pointer) char *target = expand(probe->target, version);
	CLEANUP(free_pointer) char *expect = expand(probe->expect, version);
	int status = point_pass("act.probe.try", error);

	if (status < 0)
		return status;
	if (!target || !expect)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for probe %s", probe->name);
	switch ((enum hook_probe_type)probe->type) {
	case HOOK_PROBE_HTTP:
		status = probe_net_http(target, expect, timeout_ms, error);
		break;
	case HOOK_PROBE_TCP:
		status = probe_net_tcp(target, timeout_ms, error);
		break;
	case HOOK_PROBE_UNIT:
		status = units_active(settings, target, timeout_ms, error);
		break;
	case HOOK_PROBE_COMMAND:
		status = try_command(probe, target, expect, timeout_ms, error);
		break;
	}
	if (status == 0)
		return 0;
	/* Whatever it was, it says that the product is not well. */
	error->code = ERROR_NOT_NOW;
	snprintf(error->name, sizeof error->name, "health");
	return error_prefix(error, "probe %s", probe->name);
}

int probe_all_once(const struct hook_settings *settings, const char *version, struct error *error)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < settings->probe_count; i++)
		status = probe_try(settings, settings->probes[i], version, PROBE_TRY_MS, error);
	return status;
}

/* What a try needs to say something of the product. */
#define PROBE_TELLING_MS 500

struct watch {
	int64_t good;      /* in a row */
	int64_t due;       /* clock_ticks_ms of the next try */
	int64_t deadline;  /* likewise */
	struct error last; /* of the last failure that had time to be one */
};

static void pause_until(int64_t when)
{
	int64_t left = when - clock_ticks_ms();
	struct timespec time = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

	if (left > 0)
		nanosleep(&time, NULL);
}

/* One try of a probe that is due; fails when no further try can come in time. */
static int watch_one(const struct hook_settings *settings, const struct hook_probe *probe, struct watch *watch,
		     const char *version, struct error *error)
{
	struct error why = {0};
	int64_t left = watch->deadline - clock_ticks_ms();
	int status = left > 0 ? probe_try(settings, probe, version, left < PROBE_TRY_MS ? left : PROBE_TRY_MS, &why)
			      : error_set(&why, ERROR_NOT_NOW, "health", "probe %s: no time is left", probe->name);

	/* A try that the deadline cuts short says nothing of the product; the one before it does. */
	if (status < 0 && (left >= PROBE_TELLING_MS || watch->last.code == ERROR_NONE))
		watch->last = why;
	watch->good = status == 0 ? watch->good + 1 : 0;
	watch->due = clock_ticks_ms() + (probe->interval > 0 ? probe->interval * 1000 : PROBE_PAUSE_MS);
	if (watch->good >= probe->times || watch->due < watch->deadline)
		return 0;
	if (status == 0)
		return error_set(error, ERROR_NOT_NOW, "health",
				 "probe %s was good %lld times in a row within %lld s, not %lld", probe->name,
				 (long long)watch->good, (long long)probe->deadline, (long long)probe->times);
	*error = watch->last;
	return -(int)error->code;
}

int probe_wait(const struct hook_settings *settings, const char *version, int64_t until, struct error *error)
{
	struct watch watches[HOOK_SETTINGS_PROBES_MOST] = {0};
	int64_t now = clock_ticks_ms();

	for (size_t i = 0; i < settings->probe_count; i++)
		watches[i] = (struct watch){.due = now, .deadline = now + settings->probes[i]->deadline * 1000};
	for (;;) {
		int64_t next = INT64_MAX;
		for (size_t i = 0; i < settings->probe_count; i++) {
			struct watch *watch = &watches[i];
			const struct hook_probe *probe = settings->probes[i];
			int status = 0;
			if (watch->good >= probe->times)
				continue;
			if (clock_ticks_ms() >= until)
				return error_set(error, ERROR_NOT_NOW, "window",
						 "the window ended before probe %s was good %lld times in a row",
						 probe->name, (long long)probe->times);
			if (watch->due <= clock_ticks_ms())
				status = watch_one(settings, probe, watch, version, error);
			if (status < 0)
				return status;
			if (watch->good < probe->times && watch->due < next)
				next = watch->due;
		}
		if (next == INT64_MAX)
			return 0;
		/* In short stretches, so that the window's end is seen. */
		now = clock_ticks_ms();
		pause_until(next < now + 1000 ? next : now + 1000);
	}
}

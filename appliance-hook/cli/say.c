#include "appliance-hook/cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { BAR_WIDTH = 30 };

int say_json(const json_t *value, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	if (jsonio_write(value, true, &text, error) < 0)
		return -(int)error->code;
	if (fwrite(text.data, 1, text.size, stdout) != text.size || fflush(stdout) != 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "output", "the answer cannot be written");
	if (text.size && text.data[text.size - 1] != '\n')
		putchar('\n');
	return 0;
}

static void draw_bar(int64_t done, int64_t all)
{
	int filled = all > 0 ? (int)(done * BAR_WIDTH / all) : BAR_WIDTH;
	char bar[BAR_WIDTH + 1];
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %" PRId64 " of %" PRId64 " KiB ", bar, done / 1024, all / 1024);
}

void say_progress(void *context UNUSED, const json_t *event)
{
	const char *state = json_string_value(json_object_get(event, "state"));
	const char *step = json_string_value(json_object_get(event, "step"));
	const char *text = json_string_value(json_object_get(event, "text"));
	const json_t *bytes = json_object_get(event, "bytes");
	if (json_is_integer(bytes)) {
		if (isatty(STDERR_FILENO))
			draw_bar(json_integer_value(json_object_get(event, "bytes_done")), json_integer_value(bytes));
		return;
	}
	say_progress_end();
	if (state)
		fprintf(stderr, "%s: %s%s%s\n", state, step ? step : "", text && text[0] ? ": " : "", text ? text : "");
}

void say_progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

const char *say_time(int64_t time, char text[static SAY_TIME_SIZE])
{
	if (time > 0)
		clock_format_utc(time, text);
	else
		text_copy(text, SAY_TIME_SIZE, "-");
	return text;
}

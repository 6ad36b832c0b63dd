/* Foreign INI, as a customer hands it in: windows, else freezes. What parses is written, read again to the same text,
 * and asked for its occurrences, which must keep their promises. */
#include <stdlib.h>
#include <string.h>

#include "schedules/window.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void ask(const struct window_set *set, const struct freeze_set *freezes)
{
	struct window_query query = {.freezes = freezes, .need = 600};
	struct occurrence occurrences[8], one;
	struct error error;
	size_t count = 0;
	int64_t from = 1798761600; /* 2027-01-01 */

	expect(window_set_next(set, &query, from, ARRAY_SIZE(occurrences), occurrences, &count, &error) == 0);
	for (size_t i = 0; i < count; i++) {
		const struct occurrence *at = &occurrences[i];
		expect(at->start <= at->last_start && at->last_start + query.need <= at->end && at->last_start >= from);
		expect(i == 0 || occurrences[i - 1].start <= at->start);
		expect(window_set_open(set, &query, at->last_start, &one, &error) == 0);
		expect(at->start == from || at->trimmed || at->end - at->start == window_duration(at->window));
	}
	if (window_set_open(set, &query, from, &one, &error) != 0)
		expect(error.code == ERROR_NOT_NOW);
}

static void windows(const char *text, size_t size)
{
	struct buffer first = BUFFER_INIT(1024 * 1024), second = BUFFER_INIT(1024 * 1024);
	static const char frozen[] = "[freeze f]\nfrom = 2027-01-10T00:00\nto = 2027-02-01T00:00\n";
	struct window_set set = {0}, again = {0};
	struct freeze_set freezes = {0};
	struct error error;

	if (window_set_parse(text, size, "fuzz.ini", &set, &error) < 0) {
		expect(!set.windows && error.text[0]);
		return;
	}
	expect(freeze_set_parse(frozen, sizeof frozen - 1, "freeze.ini", &freezes, &error) == 0);
	ask(&set, NULL);
	ask(&set, &freezes);
	expect(window_set_write(&set, &first, &error) == 0);
	expect(window_set_parse((const char *)first.data, first.size, "again.ini", &again, &error) == 0);
	expect(window_set_write(&again, &second, &error) == 0);
	expect(first.size == second.size && (first.size == 0 || memcmp(first.data, second.data, first.size) == 0));
	window_set_free(&set);
	window_set_free(&again);
	freeze_set_free(&freezes);
	buffer_free(&first);
	buffer_free(&second);
}

static void freezes(const char *text, size_t size)
{
	struct buffer first = BUFFER_INIT(1024 * 1024), second = BUFFER_INIT(1024 * 1024);
	struct freeze_set set = {0}, again = {0};
	struct error error;

	if (freeze_set_parse(text, size, "fuzz.ini", &set, &error) < 0)
		return;
	expect(freeze_set_write(&set, &first, &error) == 0);
	expect(freeze_set_parse((const char *)first.data, first.size, "again.ini", &again, &error) == 0);
	expect(freeze_set_write(&again, &second, &error) == 0);
	expect(first.size == second.size && (first.size == 0 || memcmp(first.data, second.data, first.size) == 0));
	freeze_set_free(&set);
	freeze_set_free(&again);
	buffer_free(&first);
	buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	windows((const char *)data, size);
	freezes((const char *)data, size);
	return 0;
}

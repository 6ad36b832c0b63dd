#include "appliance-hook/cli/window_command.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "appliance-hook/check/ownwindow.h"
#include "appliance-hook/cli/places.h"
#include "appliance-hook/cli/program.h"
#include "appliance-hook/cli/say.h"
#include "base/clock.h"
#include "base/file.h"
#include "schedules/window.h"

enum { SHOWN_MOST = 100, SHOWN_DEFAULT = 5 };

struct shelf {
	struct hook_settings settings;
	struct places places;
};

static void close_shelf(struct shelf *shelf)
{
	places_close(&shelf->places);
	hook_settings_free(&shelf->settings);
}

static int open_shelf(const struct command_line *line, struct shelf *shelf, struct error *error)
{
	struct places_users users;
	if (program_settings(line, &shelf->settings, error) < 0 ||
	    places_find_users(&shelf->settings, &users, error) < 0)
		return -(int)error->code;
	return places_open(&shelf->settings, &users, &shelf->places, error);
}

int window_command_set(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_shelf) struct shelf shelf = {.places = PLACES_CLOSED};
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(OWNWINDOW_MOST);
	CLEANUP(window_set_free) struct window_set set = {0};
	const char *file = command_argument(line, 0);
	if (open_shelf(line, &shelf, error) < 0 || file_read_at(AT_FDCWD, file, &text, error) < 0 ||
	    window_set_parse((const char *)text.data, text.size, file, &set, error) < 0)
		return -(int)error->code;
	if (set.count == 0)
		return error_set(error, ERROR_DATA, "window",
				 "%s has no [window NAME]: `window clear` takes the window away", file);
	return file_replace_at(shelf.places.product, OWNWINDOW_FILE, text.data, text.size, 0644, error);
}

static int show_next(const struct command_line *line, const struct window_set *set, size_t count, struct error *error)
{
	struct occurrence occurrences[SHOWN_MOST];
	struct window_query query = {0};
	CLEANUP(jsonio_free) json_t *list = json_array();
	size_t found = 0;
	if (!list || window_set_next(set, &query, clock_now(), count, occurrences, &found, error) < 0)
		return list ? -(int)error->code
			    : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a list");
	for (size_t i = 0; i < found; i++) {
		char start[SAY_TIME_SIZE], end[SAY_TIME_SIZE], last[SAY_TIME_SIZE];
		say_time(occurrences[i].start, start);
		say_time(occurrences[i].end, end);
		say_time(occurrences[i].last_start, last);
		if (!command_flag(line, "--json"))
			printf("%-20s %s to %s, starts until %s%s\n", window_name(occurrences[i].window), start, end,
			       last, occurrences[i].shifted ? " (moved out of a clock change)" : "");
		else if (json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b}", "window",
							       window_name(occurrences[i].window), "start", start,
							       "end", end, "last_start", last, "shifted",
							       (int)occurrences[i].shifted)) < 0)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a list");
	}
	return command_flag(line, "--json") ? say_json(list, error) : 0;
}

int window_command_show(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_shelf) struct shelf shelf = {.places = PLACES_CLOSED};
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(OWNWINDOW_MOST);
	CLEANUP(window_set_free) struct window_set set = {0};
	if (open_shelf(line, &shelf, error) < 0)
		return -(int)error->code;
	struct error reading = {0};
	if (file_read_at(shelf.places.product, OWNWINDOW_FILE, &text, &reading) < 0) {
		if (strcmp(reading.name, "missing") != 0) {
			*error = reading;
			return -(int)error->code;
		}
		puts(command_flag(line, "--json") ? "[]" : "no window is set at this appliance");
		return 0;
	}
	if (window_set_parse((const char *)text.data, text.size, OWNWINDOW_FILE, &set, error) < 0)
		return -(int)error->code;
	return show_next(line, &set, SHOWN_DEFAULT, error);
}

int window_command_clear(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(close_shelf) struct shelf shelf = {.places = PLACES_CLOSED};
	if (open_shelf(line, &shelf, error) < 0 || file_remove_tree_at(shelf.places.product, OWNWINDOW_FILE, error) < 0)
		return -(int)error->code;
	return file_sync_directory(shelf.places.product, error);
}

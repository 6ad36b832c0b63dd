#include "appliance-hook/check/ownwindow.h"

#include <string.h>

#include "base/file.h"

int ownwindow_open(int product, int64_t need, bool security, int64_t now, struct ownwindow *ret_window,
		   struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(OWNWINDOW_MOST);
	CLEANUP(window_set_free) struct window_set set = {0};
	struct window_query query = {.security = security, .need = need};
	struct occurrence occurrence = {0};
	struct error reading = {0};
	if (file_read_at(product, OWNWINDOW_FILE, &text, &reading) < 0) {
		if (strcmp(reading.name, "missing") != 0) {
			*error = reading;
			return -(int)error->code;
		}
		*ret_window = (struct ownwindow){0};
		return 0;
	}
	if (window_set_parse((const char *)text.data, text.size, OWNWINDOW_FILE, &set, error) < 0)
		return -(int)error->code;
	if (window_set_open(&set, &query, now, &occurrence, error) < 0)
		return error_prefix(error, "this appliance's own window");
	*ret_window = (struct ownwindow){
		.is_set = true,
		.start = occurrence.start,
		.end = occurrence.end,
		.last_start = occurrence.last_start,
		.finish = window_overrun(occurrence.window) == WINDOW_OVERRUN_FINISH,
	};
	return 0;
}

#include "appliance-hook/check/floor.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/jsonio.h"

#define FLOOR_FILE "floor.json"
enum { FLOOR_MOST = 256 };

static const struct jsonio_field fields[] = {
	{"floor", JSONIO_INTEGER, true, INT64_C(253402300799), false},
	{0},
};

int floor_read(int trust, int64_t *ret_floor, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(FLOOR_MOST);
	struct error missing = {0};
	int64_t floor = FLOOR_BUILD_DATE;
	if (file_read_at(trust, FLOOR_FILE, &bytes, &missing) == 0) {
		CLEANUP(jsonio_free) json_t *object = NULL;
		if (jsonio_parse(bytes.data, bytes.size, FLOOR_FILE, &object, error) < 0 ||
		    jsonio_check(object, fields, FLOOR_FILE, error) < 0)
			return -(int)error->code;
		if (jsonio_integer(object, "floor") > floor)
			floor = jsonio_integer(object, "floor");
	} else if (strcmp(missing.name, "missing") != 0) {
		*error = missing;
		return -(int)error->code;
	}
	*ret_floor = floor;
	return 0;
}

int floor_check(int trust, int64_t now, struct error *error)
{
	int64_t floor = 0;
	if (floor_read(trust, &floor, error) < 0)
		return -(int)error->code;
	if (now >= floor)
		return 0;
	char here[CLOCK_UTC_SIZE], least[CLOCK_UTC_SIZE];
	clock_format_utc(now < 0 ? 0 : now, here);
	clock_format_utc(floor, least);
	return error_set(error, ERROR_DATA, "clock",
			 "this appliance's clock says %s, but a release signed on %s was accepted: set the clock", here,
			 least);
}

int floor_raise(int trust, int64_t published, struct error *error)
{
	int64_t floor = 0;
	if (floor_read(trust, &floor, error) < 0)
		return -(int)error->code;
	if (published <= floor)
		return 0;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(FLOOR_MOST);
	if (buffer_printf(&text, error, "{\"floor\":%" PRId64 "}\n", published) < 0)
		return -(int)error->code;
	return file_replace_at(trust, FLOOR_FILE, text.data, text.size, 0644, error);
}

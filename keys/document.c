#include "keys/document.h"

json_t *document_time(int64_t time)
{
	char text[CLOCK_UTC_SIZE];

	clock_format_utc(time, text);
	return json_string(text);
}

int document_read_time(const json_t *document, const char *name, const char *what, int64_t *ret_time,
		       struct error *error)
{
	if (clock_parse_utc(jsonio_string(document, name), ret_time, error))
		return error_set(error, ERROR_DATA, "format", "%s: %s must be YYYY-MM-DDTHH:MM:SSZ", what, name);
	return 0;
}

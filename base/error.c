#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void free_pointer(void *pointer_to_pointer)
{
	void **pointer = pointer_to_pointer;

	free(*pointer);
	*pointer = NULL;
}

static void fill(struct error *error, enum error_code code, const char *name, const char *format, va_list arguments)
	__attribute__((format(printf, 4, 0)));

static void fill(struct error *error, enum error_code code, const char *name, const char *format, va_list arguments)
{
	/* The arguments may point into this very error: write beside it first. */
	struct error filled = {.code = code};

	vsnprintf(filled.text, sizeof filled.text, format, arguments);
	snprintf(filled.name, sizeof filled.name, "%s", name);
	*error = filled;
}

int error_set(struct error *error, enum error_code code, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fill(error, code, name, format, arguments);
	va_end(arguments);
	return -(int)code;
}

int error_set_errno(struct error *error, enum error_code code, const char *name, const char *format, ...)
{
	int number = errno;
	bool full = number == ENOSPC || number == EDQUOT || number == EROFS;
	va_list arguments;

	va_start(arguments, format);
	fill(error, full ? ERROR_CANNOT_CREATE : code, full ? "space" : name, format, arguments);
	va_end(arguments);
	size_t used = strlen(error->text);
	snprintf(error->text + used, sizeof error->text - used, ": %s", strerror(number));
	return -(int)error->code;
}

int error_prefix(struct error *error, const char *format, ...)
{
	char prefix[sizeof error->text], whole[2 * sizeof error->text + 2];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(prefix, sizeof prefix, format, arguments);
	va_end(arguments);
	snprintf(whole, sizeof whole, "%s: %s", prefix, error->text);
	snprintf(error->text, sizeof error->text, "%.*s", (int)sizeof error->text - 1, whole);
	return -(int)error->code;
}

enum error_class error_class(enum error_code code)
{
	switch (code) {
	case ERROR_UNREACHABLE:
	case ERROR_CANNOT_CREATE:
	case ERROR_NOT_NOW:
		return ERROR_CLASS_RETRY;
	case ERROR_DATA:
	case ERROR_NOT_PERMITTED:
		return ERROR_CLASS_SECURITY;
	case ERROR_BUG:
		return ERROR_CLASS_BUG;
	case ERROR_NONE:
	case ERROR_USAGE:
	case ERROR_CONFIG:
		break;
	}
	return ERROR_CLASS_PERMANENT;
}

bool error_code_is_known(int code)
{
	static const int known[] = {ERROR_USAGE,         ERROR_DATA,    ERROR_UNREACHABLE,   ERROR_BUG,
				    ERROR_CANNOT_CREATE, ERROR_NOT_NOW, ERROR_NOT_PERMITTED, ERROR_CONFIG};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i] == code)
			return true;
	return false;
}

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The process's name and level: set once by its main, read everywhere. */
static struct {
	const char *part;
	enum log_level level;
	bool journal;
} process = {"", LOG_LEVEL_INFO, false};

void log_start(const char *part, enum log_level level)
{
	process.part = part;
	process.level = level;
	process.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_write(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {"", "", "", "error", "warning", "notice", "info", "debug"};
	char line[1024];
	int used = 0;
	va_list arguments;

	if (level > process.level)
		return;
	if (process.journal)
		used = snprintf(line, sizeof line, "<%d>%s: ", (int)level, process.part);
	else
		used = snprintf(line, sizeof line, "%s: %s: ", process.part, words[level]);
	va_start(arguments, format);
	used += vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
	va_end(arguments);
	if (used > (int)sizeof line - 2)
		used = (int)sizeof line - 2;
	/* A log line is one line whatever a peer put into a name. */
	for (int i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)used) < 0)
		return;
}

void log_failure(const char *what, const struct error *error)
{
	enum error_class class = error_class(error->code);
	bool grave = class == ERROR_CLASS_SECURITY || class == ERROR_CLASS_BUG;

	log_write(grave ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s: %s (%s)", what, error->text, error->name);
}

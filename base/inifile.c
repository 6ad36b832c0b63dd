#include "base/inifile.h"

#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

/* Names seen so far, to refuse the second of a section, or of a key in its section. */
struct seen {
	char **names;
	size_t count, capacity;
};

static void seen_clear(struct seen *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		free(seen->names[i]);
	seen->count = 0;
}

static void seen_free(struct seen *seen)
{
	seen_clear(seen);
	free(seen->names);
}

/* 1 when it is new, 0 when it was there, -1 when memory ends. */
static int seen_add(struct seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->names[i], name) == 0)
			return 0;
	char **names = list_grow(seen->names, seen->count, &seen->capacity, sizeof *names);
	if (!names)
		return -1;
	seen->names = names;
	char *copy = strdup(name);
	if (!copy)
		return -1;
	seen->names[seen->count++] = copy;
	return 1;
}

struct reader {
	const char *name;
	enum error_code code;
	inifile_pair *pair;
	void *context;
	struct error *error;
	int status;
	unsigned line, header_line;
	char section[INIFILE_HEADER_MOST + 1];
	bool section_has_keys;
	struct seen sections, keys;
};

static int refuse(struct reader *reader, unsigned line, const char *why)
{
	reader->status = error_set(reader->error, reader->code, "syntax", "%s:%u: %s", reader->name, line, why);
	return reader->status;
}

/* A line's own shape, before inih sees it. `text` is trimmed of its newline. */
static int scan_line(struct reader *reader, const char *text, size_t size, unsigned line)
{
	size_t start = 0, end = size;

	if (size > INIFILE_LINE_MOST)
		return refuse(reader, line, "the line is longer than 190 bytes");
	for (size_t i = 0; i < size; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 127)
			return refuse(reader, line, "the line holds a control character");
	while (start < size && isspace((unsigned char)text[start]))
		start++;
	while (end > start && isspace((unsigned char)text[end - 1]))
		end--;
	if (start == end || text[start] == ';' || text[start] == '#')
		return 0;
	if (start > 0)
		return refuse(reader, line,
			      "the line is indented, which would continue the one above; begin it at the left");
	if (text[start] == '[') {
		const char *close = memchr(text, ']', size);
		if (!close || close == text + 1)
			return refuse(reader, line, "the section header is not closed or is empty");
		if ((size_t)(close - text - 1) > INIFILE_HEADER_MOST)
			return refuse(reader, line, "the section header is longer than 48 bytes");
		for (const char *after = close + 1; after < text + end; after++) {
			if (*after == ';' && isspace((unsigned char)after[-1]))
				break;
			if (!isspace((unsigned char)*after))
				return refuse(reader, line, "something stands behind the section header");
		}
		return 0;
	}
	const char *equals = memchr(text, '=', size);
	if (!equals || equals == text)
		return refuse(reader, line, "this is neither a [section], nor key = value, nor a comment");
	return 0;
}

static int scan(struct reader *reader, const char *text, size_t size)
{
	unsigned line = 1;

	if (memchr(text, 0, size))
		return refuse(reader, 1, "the text holds a NUL byte");
	for (size_t at = 0; at < size; line++) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - text) - at : size - at;
		size_t shown = length && text[at + length - 1] == '\r' ? length - 1 : length;
		int status = scan_line(reader, text + at, shown, line);
		if (status < 0)
			return status;
		at += length + 1;
	}
	return 0;
}

static int deliver(struct reader *reader, const char *key, const char *value, unsigned line)
{
	int status = reader->pair(reader->context, reader->section, key, value, line, reader->error);

	if (status != 0) {
		struct error why = *reader->error;
		reader->status =
			error_set(reader->error, why.code, why.name, "%s:%u: %s", reader->name, line, why.text);
	}
	return reader->status;
}

static int end_section(struct reader *reader)
{
	if (reader->section[0] && !reader->section_has_keys)
		return deliver(reader, NULL, NULL, reader->header_line);
	return 0;
}

/* inih calls this for each pair; a changed section name is how a new header shows. Headers of sections are found by our
 * own pass, so that one without keys, or given twice, is noticed. */
static int handle_pair(void *context, const char *section, const char *key, const char *value)
{
	struct reader *reader = context;

	if (reader->status < 0)
		return 0;
	if (!section[0])
		return refuse(reader, reader->line, "a key stands before the first section"), 0;
	int added = seen_add(&reader->keys, key);
	if (added == 0)
		return refuse(reader, reader->line, "the key stands twice in its section"), 0;
	if (added < 0)
		return refuse(reader, reader->line, "no memory"), 0;
	reader->section_has_keys = true;
	return deliver(reader, key, value, reader->line) == 0;
}

/* One line at a time through inih, so that the line number is ours and each header is seen. */
static int read_section_header(struct reader *reader, const char *line)
{
	size_t length = (size_t)(strchr(line, ']') - line) - 1;
	int status = end_section(reader);

	if (status < 0)
		return status;
	snprintf(reader->section, sizeof reader->section, "%.*s", (int)length, line + 1);
	reader->section_has_keys = false;
	reader->header_line = reader->line;
	seen_clear(&reader->keys);
	int added = seen_add(&reader->sections, reader->section);
	if (added <= 0)
		return refuse(reader, reader->line, added == 0 ? "the section stands twice" : "no memory");
	return 0;
}

static int read_pair(struct reader *reader, const char *line)
{
	char text[INIFILE_HEADER_MOST + INIFILE_LINE_MOST + 8];

	snprintf(text, sizeof text, "[%s]\n%s\n", reader->section, line);
	if (ini_parse_string(text, handle_pair, reader) != 0 && reader->status == 0)
		return refuse(reader, reader->line, "this line cannot be read");
	return reader->status;
}

int inifile_parse(const char *text, size_t size, const char *name, enum error_code code, inifile_pair *pair,
		  void *context, struct error *error)
{
	struct reader reader = {.name = name, .code = code, .pair = pair, .context = context, .error = error};

	if (size > INIFILE_SIZE_MOST)
		return error_set(error, code, "length", "%s is longer than %d bytes", name, INIFILE_SIZE_MOST);
	int status = size ? scan(&reader, text, size) : 0;
	for (size_t at = 0; status == 0 && at < size;) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - text) - at : size - at;
		char line[INIFILE_LINE_MOST + 2];
		snprintf(line, sizeof line, "%.*s", (int)length, text + at);
		line[strcspn(line, "\r")] = 0;
		at += length + 1;
		reader.line++;
		if (line[strspn(line, " \t")] == 0 || line[0] == ';' || line[0] == '#' || strspn(line, " \t") > 0)
			continue; /* indented lines that passed the scan are comments */
		if (line[0] == '[')
			status = read_section_header(&reader, line);
		else if (!reader.section[0])
			status = refuse(&reader, reader.line, "a key stands before the first section");
		else
			status = read_pair(&reader, line);
	}
	if (status == 0)
		status = end_section(&reader);
	seen_free(&reader.sections);
	seen_free(&reader.keys);
	return status;
}

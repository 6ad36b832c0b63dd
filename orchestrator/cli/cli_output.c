#include "orchestrator/cli/cli_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define COLUMNS_MOST 24
#define CELL_MOST    600

bool cli_output_is_terminal(int fd)
{
	return isatty(fd) == 1;
}

bool cli_output_is_coloured(int fd)
{
	const char *no_colour = getenv("NO_COLOR");

	return cli_output_is_terminal(fd) && !(no_colour && no_colour[0]);
}

/* Control characters, C1 in UTF-8 too, become "?": what an appliance says must not move the cursor. */
static void tidy(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
		if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			c[0] = c[1] = '?';
	}
}

static void format_bytes(int64_t bytes, char *text, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;
	int64_t tenths = bytes * 10;

	while (tenths >= 10240 && unit + 1 < ARRAY_SIZE(units)) {
		tenths /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(text, size, "%lld B", (long long)bytes);
	else
		snprintf(text, size, "%lld.%lld %s", (long long)(tenths / 10), (long long)(tenths % 10), units[unit]);
}

static void format_integer(int64_t number, enum cli_format format, char *text, size_t size)
{
	char utc[CLOCK_UTC_SIZE];

	switch (format) {
	case CLI_TIME:
		if (number > 0)
			clock_format_utc(number, utc);
		snprintf(text, size, "%s", number > 0 ? utc : "-");
		break;
	case CLI_YESNO:
		snprintf(text, size, "%s", number ? "yes" : "no");
		break;
	case CLI_BYTES:
		format_bytes(number, text, size);
		break;
	default:
		snprintf(text, size, "%lld", (long long)number);
		break;
	}
}

void cli_output_format(const json_t *value, enum cli_format format, char *ret_text, size_t size)
{
	if (json_is_string(value) && json_string_length(value))
		snprintf(ret_text, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		format_integer(json_integer_value(value), format, ret_text, size);
	else if (json_is_boolean(value))
		snprintf(ret_text, size, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_null(value) && format == CLI_YESNO)
		snprintf(ret_text, size, "no");
	else
		snprintf(ret_text, size, "-");
	tidy(ret_text);
}

static void print_line(FILE *stream, const char *text)
{
	char line[4096];

	snprintf(line, sizeof(line), "%s", text);
	tidy(line);
	fprintf(stream, "%s\n", line);
}

void cli_output_text(const char *text)
{
	print_line(stdout, text);
}

void cli_output_note(const char *text)
{
	print_line(stderr, text);
}

/* Columns on a screen: code points, as near as one gets without tables. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_cell(const char *text, size_t width, bool last)
{
	fputs(text, stdout);
	for (size_t i = width_of(text); !last && i < width + 2; i++)
		putchar(' ');
}

static int finish(struct error *error)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "output", "standard output");
	return 0;
}

int cli_output_table(const json_t *rows, const struct cli_column *columns, struct error *error)
{
	bool coloured = cli_output_is_coloured(STDOUT_FILENO);
	size_t widths[COLUMNS_MOST] = {0}, count = 0, index;
	char cell[CELL_MOST];
	const json_t *row;

	while (count < COLUMNS_MOST && columns[count].key)
		count++;
	for (size_t i = 0; i < count; i++)
		widths[i] = width_of(columns[i].title);
	json_array_foreach(rows, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cli_output_format(json_object_get(row, columns[i].key), columns[i].format, cell, sizeof(cell));
			if (width_of(cell) > widths[i])
				widths[i] = width_of(cell);
		}
	}
	if (coloured)
		fputs("\033[1m", stdout);
	for (size_t i = 0; i < count; i++)
		print_cell(columns[i].title, widths[i], i + 1 == count);
	puts(coloured ? "\033[0m" : "");
	json_array_foreach(rows, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cli_output_format(json_object_get(row, columns[i].key), columns[i].format, cell, sizeof(cell));
			print_cell(cell, widths[i], i + 1 == count);
		}
		putchar('\n');
	}
	return finish(error);
}

int cli_output_object(const json_t *object, const struct cli_column *columns, const struct cli_nested *nested,
		      struct error *error)
{
	char cell[CELL_MOST], title[64];
	size_t widest = 0;
	int result = 0;

	for (const struct cli_column *column = columns; column->key; column++)
		if (width_of(column->title) > widest)
			widest = width_of(column->title);
	for (const struct cli_column *column = columns; column->key; column++) {
		const json_t *value = json_object_get(object, column->key);
		cli_output_format(value, column->format, cell, sizeof(cell));
		if (column->title[0] == '\0') {
			puts(cell);
			continue;
		}
		snprintf(title, sizeof(title), "%s:", column->title);
		print_cell(title, widest + 1, false);
		puts(cell);
	}
	for (; nested && nested->key && result == 0; nested++) {
		const json_t *rows = json_object_get(object, nested->key);
		if (json_array_size(rows) == 0)
			continue;
		printf("\n%s\n", nested->title);
		result = cli_output_table(rows, nested->columns, error);
	}
	return result < 0 ? result : finish(error);
}

int cli_output_json(const json_t *value, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	int result = jsonio_write(value, true, &text, error);

	if (result < 0)
		return result;
	fwrite(text.data, 1, text.size, stdout);
	if (text.size == 0 || text.data[text.size - 1] != '\n')
		putchar('\n');
	return finish(error);
}

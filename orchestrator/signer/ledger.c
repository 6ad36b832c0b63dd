#include "orchestrator/signer/ledger.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define LEDGER_FILE       "ledger"
#define LEDGER_BYTES_MOST (64 * 1024 * 1024)
/* Beyond this the file is folded when it is opened: the highest numbers and the last hour are all that rules need. */
#define LEDGER_FOLD_AT   (4 * 1024 * 1024)
#define LEDGER_LINE_MOST 1024
#define LEDGER_HOUR      3600

const char *const ledger_words[LEDGER_KINDS] = {"order", "entitlement", "answer", "timestamp"};

struct ledger {
	int directory;
	int fd;
	json_t *highest; /* subject → number */
	struct {
		int64_t *times; /* of the last hour and a little more, ascending */
		size_t count, capacity;
	} recent[LEDGER_KINDS];
};

static const struct jsonio_field line_fields[] = {
	{"kind", JSONIO_STRING, true, 16, false},      {"at", JSONIO_INTEGER, true, INT64_MAX, false},
	{"subject", JSONIO_STRING, false, 128, false}, {"number", JSONIO_INTEGER, false, INT64_MAX, false},
	{NULL, JSONIO_STRING, false, 0, false},
};

static int remember_number(struct ledger *ledger, const char *subject, int64_t number, struct error *error)
{
	if (ledger_highest(ledger, subject) >= number)
		return 0;
	if (json_object_set_new(ledger->highest, subject, json_integer(number)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
	return 0;
}

static int remember_time(struct ledger *ledger, enum ledger_kind kind, int64_t at, struct error *error)
{
	size_t old = 0, count = ledger->recent[kind].count;
	int64_t *times = ledger->recent[kind].times;

	while (old < count && times[old] < at - LEDGER_HOUR)
		old++;
	if (old) {
		memmove(times, times + old, (count - old) * sizeof *times);
		count -= old;
	}
	if (count == ledger->recent[kind].capacity) {
		size_t capacity = count ? 2 * count : 64;
		times = realloc(times, capacity * sizeof *times);
		if (!times)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
		ledger->recent[kind].times = times;
		ledger->recent[kind].capacity = capacity;
	}
	times[count] = at;
	ledger->recent[kind].count = count + 1;
	return 0;
}

static int take_line(struct ledger *ledger, const char *line, size_t size, struct error *error)
{
	CLEANUP(jsonio_free) json_t *entry = NULL;
	int status = jsonio_parse(line, size, "a line of the signer's ledger", &entry, error);

	if (status == 0)
		status = jsonio_check(entry, line_fields, "a line of the signer's ledger", error);
	if (status < 0)
		return status;
	for (int kind = 0; kind < LEDGER_KINDS; kind++) {
		if (strcmp(jsonio_string(entry, "kind"), ledger_words[kind]) != 0)
			continue;
		status = remember_time(ledger, (enum ledger_kind)kind, jsonio_integer(entry, "at"), error);
		if (status == 0 && jsonio_string(entry, "subject"))
			status = remember_number(ledger, jsonio_string(entry, "subject"),
						 jsonio_integer(entry, "number"), error);
		return status;
	}
	return error_set(error, ERROR_DATA, "ledger", "the signer's ledger holds a line of unknown kind");
}

static int write_line(enum ledger_kind kind, int64_t at, const char *subject, int64_t number, struct buffer *output,
		      struct error *error)
{
	CLEANUP(jsonio_free) json_t *entry = json_pack("{s:s, s:I}", "kind", ledger_words[kind], "at", (json_int_t)at);

	if (!entry || (subject && (json_object_set_new(entry, "subject", json_string(subject)) < 0 ||
				   json_object_set_new(entry, "number", json_integer(number)) < 0)))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
	int status = jsonio_write(entry, false, output, error);
	return status < 0 ? status : buffer_append(output, "\n", 1, error);
}

/* The same memory in fewer lines. */
static int fold(struct ledger *ledger, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(LEDGER_BYTES_MOST);
	const char *subject;
	json_t *number;
	int status = 0;

	json_object_foreach(ledger->highest, subject, number) if (status == 0) status =
		write_line(LEDGER_ORDER, 0, subject, json_integer_value(number), &text, error);
	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		for (size_t i = 0; status == 0 && i < ledger->recent[kind].count; i++)
			status = write_line((enum ledger_kind)kind, ledger->recent[kind].times[i], NULL, 0, &text,
					    error);
	if (status == 0)
		status = file_replace_at(ledger->directory, LEDGER_FILE, text.data, text.size, 0600, error);
	return status;
}

static int load(struct ledger *ledger, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(LEDGER_BYTES_MOST);
	int status = file_read_fd(ledger->fd, "the signer's ledger", &text, error);
	size_t at = 0;

	while (status == 0 && at < text.size) {
		const char *line = (const char *)text.data + at;
		const char *newline = memchr(line, '\n', text.size - at);
		if (!newline)
			break;
		status = take_line(ledger, line, (size_t)(newline - line), error);
		at += (size_t)(newline - line) + 1;
	}
	if (status == 0 && at < text.size && ftruncate(ledger->fd, (off_t)at) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the signer's ledger cannot be mended");
	if (status == 0 && text.size > LEDGER_FOLD_AT) {
		status = fold(ledger, error);
		file_close(&ledger->fd);
		ledger->fd = openat(ledger->directory, LEDGER_FILE, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
		if (status == 0 && ledger->fd < 0)
			status = error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the ledger cannot be opened");
	}
	return status;
}

int ledger_open(int directory, struct ledger **ret_ledger, struct error *error)
{
	CLEANUP(ledger_free) struct ledger *ledger = calloc(1, sizeof *ledger);

	if (!ledger)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
	ledger->directory = fcntl(directory, F_DUPFD_CLOEXEC, 0);
	ledger->fd = openat(directory, LEDGER_FILE, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	ledger->highest = json_object();
	if (ledger->directory < 0 || ledger->fd < 0 || !ledger->highest)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the signer's ledger cannot be opened");
	int status = load(ledger, error);
	if (status == 0)
		status = file_sync_directory(directory, error);
	if (status == 0)
		*ret_ledger = TAKE(ledger);
	return status;
}

void ledger_free(struct ledger **ledger)
{
	struct ledger *old = *ledger;

	if (!old)
		return;
	file_close(&old->fd);
	file_close(&old->directory);
	json_decref(old->highest);
	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		free(old->recent[kind].times);
	free(old);
	*ledger = NULL;
}

int64_t ledger_count(const struct ledger *ledger, enum ledger_kind kind, int64_t since)
{
	int64_t count = 0;

	for (size_t i = 0; i < ledger->recent[kind].count; i++)
		if (ledger->recent[kind].times[i] >= since)
			count++;
	return count;
}

int64_t ledger_highest(const struct ledger *ledger, const char *subject)
{
	return json_integer_value(json_object_get(ledger->highest, subject));
}

int ledger_append(struct ledger *ledger, enum ledger_kind kind, int64_t at, const char *subject, int64_t number,
		  struct error *error)
{
	CLEANUP(buffer_free) struct buffer line = BUFFER_INIT(LEDGER_LINE_MOST);
	off_t size = lseek(ledger->fd, 0, SEEK_END);
	int status = write_line(kind, at, subject, number, &line, error);

	if (status == 0)
		status = file_write_fd(ledger->fd, "the signer's ledger", line.data, line.size, error);
	if (status == 0 && fsync(ledger->fd) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the ledger cannot be made durable");
	/* Half a line in the middle would stop the next start. */
	if (status < 0 && size >= 0 && ftruncate(ledger->fd, size) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the ledger cannot be mended");
	if (status == 0)
		status = remember_time(ledger, kind, at, error);
	if (status == 0 && subject)
		status = remember_number(ledger, subject, number, error);
	return status;
}

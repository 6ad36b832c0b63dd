#include "orchestrator/signer/ledger.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"

#define LEDGER_FILE       "ledger"
#define LEDGER_BYTES_MOST (256 * 1024 * 1024)
/* Beyond this the file is folded: the highest numbers and the last hour are all that rules need. A fold that does not
 * get it down to half of this puts the next one off until the file has doubled. */
#define LEDGER_FOLD_AT   (4 * 1024 * 1024)
#define LEDGER_LINE_MOST 1024
#define LEDGER_HOUR      3600

const char *const ledger_words[LEDGER_KINDS] = {"order", "entitlement", "answer", "timestamp", "offline"};
/* A line that holds a number and counts in no hour. */
#define LEDGER_MEMORY "memory"

struct ledger {
	int directory;
	int fd; /* -1: to be opened again, after a fold put a new file there */
	int64_t fold_least, fold_at;
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
	times = list_grow(times, count, &ledger->recent[kind].capacity, sizeof *times);
	if (!times)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
	ledger->recent[kind].times = times;
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
	const char *word = jsonio_string(entry, "kind"), *subject = jsonio_string(entry, "subject");
	int kind = 0;
	while (kind < LEDGER_KINDS && strcmp(word, ledger_words[kind]) != 0)
		kind++;
	if (kind < LEDGER_KINDS)
		status = remember_time(ledger, (enum ledger_kind)kind, jsonio_integer(entry, "at"), error);
	else if (strcmp(word, LEDGER_MEMORY) != 0)
		status = error_set(error, ERROR_DATA, "ledger", "the signer's ledger holds a line of unknown kind");
	if (status == 0 && subject)
		status = remember_number(ledger, subject, jsonio_integer(entry, "number"), error);
	return status;
}

static int write_line(const char *word, int64_t at, const char *subject, int64_t number, struct buffer *output,
		      struct error *error)
{
	CLEANUP(jsonio_free) json_t *entry = json_pack("{s:s, s:I}", "kind", word, "at", (json_int_t)at);

	if (!entry || (subject && (json_object_set_new(entry, "subject", json_string(subject)) < 0 ||
				   json_object_set_new(entry, "number", json_integer(number)) < 0)))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
	int status = jsonio_write(entry, false, output, error);
	return status < 0 ? status : buffer_append(output, "\n", 1, error);
}

static int open_file(struct ledger *ledger, struct error *error)
{
	ledger->fd = openat(ledger->directory, LEDGER_FILE, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (ledger->fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the signer's ledger cannot be opened");
	return 0;
}

/* The same memory in fewer lines. */
static int fold(struct ledger *ledger, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(LEDGER_BYTES_MOST);
	const char *subject;
	json_t *number;
	int status = 0;

	json_object_foreach(ledger->highest, subject, number) if (status == 0) status =
		write_line(LEDGER_MEMORY, 0, subject, json_integer_value(number), &text, error);
	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		for (size_t i = 0; status == 0 && i < ledger->recent[kind].count; i++)
			status = write_line(ledger_words[kind], ledger->recent[kind].times[i], NULL, 0, &text, error);
	if (status == 0)
		status = file_replace_at(ledger->directory, LEDGER_FILE, text.data, text.size, 0600, error);
	if (status < 0)
		return status;
	file_close(&ledger->fd);
	ledger->fold_at = 2 * (int64_t)text.size > ledger->fold_least ? 2 * (int64_t)text.size : ledger->fold_least;
	return 0;
}

/* One that fails costs room and nothing else. */
static void fold_if_large(struct ledger *ledger, int64_t size)
{
	struct error error = {0};

	if (size <= ledger->fold_at || fold(ledger, &error) == 0)
		return;
	log_failure("the signer's ledger is not folded", &error);
	ledger->fold_at = size + ledger->fold_least;
}

void ledger_fold_at(struct ledger *ledger, int64_t size)
{
	ledger->fold_least = ledger->fold_at = size;
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
	if (status == 0)
		fold_if_large(ledger, (int64_t)text.size);
	return status;
}

int ledger_open(int directory, struct ledger **ret_ledger, struct error *error)
{
	CLEANUP(ledger_free) struct ledger *ledger = calloc(1, sizeof *ledger);

	if (!ledger)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the ledger");
	ledger->fd = -1;
	ledger_fold_at(ledger, LEDGER_FOLD_AT);
	ledger->directory = fcntl(directory, F_DUPFD_CLOEXEC, 0);
	ledger->highest = json_object();
	if (ledger->directory < 0 || !ledger->highest)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the signer's ledger cannot be opened");
	int status = open_file(ledger, error);
	if (status == 0)
		status = load(ledger, error);
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

/* Durable, or as if it had never been begun: half a line in the middle would stop the next start. */
static int append(struct ledger *ledger, const char *word, int64_t at, const char *subject, int64_t number,
		  struct error *error)
{
	CLEANUP(buffer_free) struct buffer line = BUFFER_INIT(LEDGER_LINE_MOST);
	int status = write_line(word, at, subject, number, &line, error);

	if (status == 0 && ledger->fd < 0)
		status = open_file(ledger, error);
	if (status < 0)
		return status;
	off_t size = lseek(ledger->fd, 0, SEEK_END);
	status = file_write_fd(ledger->fd, "the signer's ledger", line.data, line.size, error);
	if (status == 0 && fsync(ledger->fd) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the ledger cannot be made durable");
	if (status < 0 && size >= 0 && ftruncate(ledger->fd, size) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "ledger", "the ledger cannot be mended");
	if (status == 0 && subject)
		status = remember_number(ledger, subject, number, error);
	return status;
}

static void fold_now_and_then(struct ledger *ledger)
{
	off_t size = ledger->fd < 0 ? 0 : lseek(ledger->fd, 0, SEEK_END);

	fold_if_large(ledger, (int64_t)size);
}

int ledger_append(struct ledger *ledger, enum ledger_kind kind, int64_t at, const char *subject, int64_t number,
		  struct error *error)
{
	int status = append(ledger, ledger_words[kind], at, subject, number, error);

	if (status == 0)
		status = remember_time(ledger, kind, at, error);
	fold_now_and_then(ledger);
	return status;
}

int ledger_remember(struct ledger *ledger, int64_t at, const char *subject, int64_t number, struct error *error)
{
	return append(ledger, LEDGER_MEMORY, at, subject, number, error);
}

#include "appliance-hook/act/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/journal_fold.h"
#include "appliance-hook/act/point.h"
#include "base/file.h"

#define JOURNAL_FILE    "journal"
#define JOURNAL_BEFORE  "journal.1" /* what was written before the last turn */
#define JOURNAL_NEXT    ".journal.next"
#define JOURNAL_RESERVE (256 * 1024)
#define JOURNAL_TURN    (1024 * 1024)

struct journal {
	struct journal_state state;
	uint8_t chain[HASH_SIZE]; /* hash of the last line; zeros before the first */
	int fd;                   /* -1 for reading only */
	off_t size;
};

/* BLAKE2b-256 of the hash before it and the line's text without its own. */
static void link_hash(const uint8_t chain[HASH_SIZE], const struct buffer *text, uint8_t ret_hash[HASH_SIZE])
{
	struct hash_state state;

	hash_begin(&state, HASH_BLAKE2B);
	hash_update(&state, chain, HASH_SIZE);
	hash_update(&state, text->data, text->size);
	hash_end(&state, ret_hash);
}

/* Whether the text was a whole line once: a torn one does not parse. */
static int read_line(struct journal *journal, const uint8_t *text, size_t size, bool *ret_torn, struct error *error)
{
	CLEANUP(jsonio_free) json_t *line = NULL;
	CLEANUP(buffer_free) struct buffer rest = BUFFER_INIT(JOURNAL_LINE_MOST);
	uint8_t stated[HASH_SIZE], found[HASH_SIZE];

	*ret_torn = true;
	if (size > JOURNAL_LINE_MOST)
		return error_set(error, ERROR_DATA, "journal", "longer than %d bytes", JOURNAL_LINE_MOST);
	int status = jsonio_parse(text, size, "line", &line, error);
	const char *hash = status == 0 ? json_string_value(json_object_get(line, "hash")) : NULL;
	if (status == 0 && (!hash || hash_from_hex(hash, stated, sizeof stated, error) < 0))
		status = error_set(error, ERROR_DATA, "journal", "without its hash");
	if (status < 0)
		return status;
	*ret_torn = false;
	if (json_object_del(line, "hash") < 0)
		return error_set(error, ERROR_BUG, "journal", "a hash cannot be taken off");
	status = jsonio_write(line, false, &rest, error);
	if (status < 0)
		return status;
	link_hash(journal->chain, &rest, found);
	if (!hash_equal(stated, found))
		return error_set(error, ERROR_DATA, "journal", "altered, or the line before it is");
	status = journal_fold_line(&journal->state, line, error);
	if (status == 0)
		memcpy(journal->chain, found, sizeof found);
	return status;
}

/* Folds every whole line; *ret_good is where they end. Only the very last line may be torn. */
static int read_lines(struct journal *journal, const struct buffer *text, size_t *ret_good, struct error *error)
{
	size_t at = 0;
	unsigned number = 1;

	while (at < text->size) {
		const uint8_t *start = text->data + at;
		const uint8_t *end = memchr(start, '\n', text->size - at);
		size_t length = end ? (size_t)(end - start) : text->size - at;
		bool torn = !end;
		bool last = at + length + 1 >= text->size;
		int status = torn ? 0 : read_line(journal, start, length, &torn, error);
		if (torn && last)
			break;
		if (status < 0) {
			if (error->code == ERROR_DATA)
				snprintf(error->name, sizeof error->name, "journal");
			return error_prefix(error, "line %u of the journal", number);
		}
		at += length + 1;
		number++;
	}
	*ret_good = at;
	return 0;
}

/* The line's number, time and boot, and its hash: as text that ends in a newline. */
static int finish_line(json_t *line, uint64_t seq, const uint8_t chain[HASH_SIZE], struct buffer *text,
		       uint8_t ret_hash[HASH_SIZE], struct error *error)
{
	char boot[CLOCK_BOOT_ID_SIZE], hex[HASH_HEX_SIZE];

	clock_boot_id(boot);
	if (!line || json_object_set_new(line, "seq", json_integer((json_int_t)seq)) < 0 ||
	    json_object_set_new(line, "time", json_integer(clock_now())) < 0 ||
	    json_object_set_new(line, "boot", json_string(boot)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a line of the journal");
	int status = jsonio_write(line, false, text, error);
	if (status < 0)
		return status;
	link_hash(chain, text, ret_hash);
	hash_to_hex(ret_hash, HASH_SIZE, hex);
	buffer_clear(text);
	if (json_object_set_new(line, "hash", json_string(hex)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a line of the journal");
	status = jsonio_write(line, false, text, error);
	return status == 0 ? buffer_append(text, "\n", 1, error) : status;
}

/* A long journal begins anew with one line that folds to what stands; the old one is kept once. Whoever asks for
 * staging again and again cannot make it longer than can be read. */
static int turn(int directory, const struct journal_state *state, struct error *error)
{
	CLEANUP(jsonio_free) json_t *line = journal_fold_base(state);
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(JOURNAL_LINE_MOST);
	static const uint8_t first[HASH_SIZE];
	uint8_t hash[HASH_SIZE];
	int status = finish_line(line, state->seq + 1, first, &text, hash, error);

	if (status == 0)
		status = file_replace_at(directory, JOURNAL_NEXT, text.data, text.size, 0644, error);
	if (status == 0)
		status = point_pass("act.journal.turn", error);
	if (status == 0 && unlinkat(directory, JOURNAL_BEFORE, 0) < 0 && errno != ENOENT)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "%s cannot go", JOURNAL_BEFORE);
	if (status == 0 &&
	    (fault_point("act.journal.keep") < 0 || linkat(directory, JOURNAL_FILE, directory, JOURNAL_BEFORE, 0) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "the journal cannot be kept");
	return status == 0 ? file_rename_at(directory, JOURNAL_NEXT, directory, JOURNAL_FILE, error) : status;
}

int journal_open(int directory, enum journal_access access, struct journal **ret_journal, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(JOURNAL_BYTES_MOST);
	CLEANUP(file_close) int fd = -1;
	CLEANUP(journal_free) struct journal *journal = calloc(1, sizeof *journal);
	bool write = access == JOURNAL_WRITE;
	size_t good = 0;

	if (!journal)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	journal->fd = -1;
	bool made = write && faccessat(directory, JOURNAL_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	fd = openat(directory, JOURNAL_FILE, (write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 && (write || errno != ENOENT))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "the journal cannot be opened");
	int status = made ? file_sync_directory(directory, error) : 0;
	if (status == 0 && fd >= 0)
		status = file_read_fd(fd, JOURNAL_FILE, &text, error);
	if (status == 0)
		status = read_lines(journal, &text, &good, error);
	if (status == 0 && write && good < text.size &&
	    (fault_point("act.journal.cut") < 0 || ftruncate(fd, (off_t)good) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "a torn line cannot be cut off");
	/* A line that its writer did not live to sync: nobody acts on it, or tells of it, before it will stay. */
	if (status == 0 && write && (fault_point("act.journal.settle") < 0 || fsync(fd) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "the journal cannot be made durable");
	if (status < 0)
		return status;
	journal->size = (off_t)good;
	struct error unturned;
	/* Where there is no room to turn, the old one goes on. */
	if (write && good > JOURNAL_TURN && !journal_stage_is_open(journal->state.stage) &&
	    turn(directory, &journal->state, &unturned) == 0)
		return journal_open(directory, access, ret_journal, error);
	if (write) {
		journal->fd = fd;
		fd = -1;
	}
	*ret_journal = TAKE(journal);
	return 0;
}

void journal_free(struct journal **journal)
{
	if (!*journal)
		return;
	file_close(&(*journal)->fd);
	free(*journal);
	*journal = NULL;
}

const struct journal_state *journal_state(const struct journal *journal)
{
	return &journal->state;
}

int journal_reserve(struct journal *journal, struct error *error)
{
	/* Some file systems cannot; then a full disk is met where it happens. */
	if (fault_point("act.journal.reserve") < 0 ||
	    (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, journal->size, JOURNAL_RESERVE) < 0 && errno != EOPNOTSUPP))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "space", "no room for the journal");
	return 0;
}

/* All or nothing: what a failed write left is cut off again, or the next reader drops it as torn. */
static int put_line(struct journal *journal, const struct buffer *text, struct error *error)
{
	int status = point_pass("act.journal.write", error);

	if (status == 0 && pwrite(journal->fd, text->data, text->size, journal->size) != (ssize_t)text->size)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "the journal cannot be written");
	if (status == 0 && (fault_point("act.journal.sync") < 0 || fdatasync(journal->fd) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "journal", "the journal cannot be made durable");
	if (status < 0) {
		if (ftruncate(journal->fd, journal->size) < 0 || fsync(journal->fd) < 0)
			return error_prefix(error, "the journal may be torn");
		return status;
	}
	journal->size += (off_t)text->size;
	return 0;
}

static int append_take(struct journal *journal, json_t *fields, struct error *error)
{
	CLEANUP(jsonio_free) json_t *line = fields;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(JOURNAL_LINE_MOST);
	struct journal_state state = journal->state;
	uint8_t hash[HASH_SIZE];

	if (journal->fd < 0)
		return error_set(error, ERROR_BUG, "journal", "the journal was opened for reading");
	int status = finish_line(line, state.seq + 1, journal->chain, &text, hash, error);
	if (status < 0)
		return status;
	status = journal_fold_line(&state, line, error);
	if (status < 0) {
		error->code = ERROR_BUG;
		return -ERROR_BUG;
	}
	status = put_line(journal, &text, error);
	if (status < 0)
		return status;
	memcpy(journal->chain, hash, sizeof hash);
	journal->state = state;
	return 0;
}

int journal_enter_take(struct journal *journal, enum journal_stage stage, json_t *fields, struct error *error)
{
	json_t *line = fields ? fields : json_object();

	if (line && (json_object_set_new(line, "kind", json_string("state")) < 0 ||
		     json_object_set_new(line, "state", json_string(journal_stage_name(stage))) < 0))
		jsonio_free(&line);
	return append_take(journal, line, error);
}

int journal_begin(struct journal *journal, const char *step, struct error *error)
{
	return append_take(journal, json_pack("{s:s,s:s}", "kind", "step", "step", step), error);
}

int journal_end(struct journal *journal, const char *step, const char *result, int64_t ms, const char *text,
		struct error *error)
{
	/* A command's output may hold anything: what is no UTF-8 is left out rather than the line. */
	json_t *line =
		json_pack("{s:s,s:s,s:s,s:I}", "kind", "step", "step", step, "result", result, "ms", (json_int_t)ms);
	json_t *note = text && *text ? json_string(text) : NULL;

	if (line && note && json_object_set_new(line, "text", note) < 0)
		jsonio_free(&line);
	return append_take(journal, line, error);
}

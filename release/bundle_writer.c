#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "release/bundle.h"

#define NAME_MOST 512

struct bundle_writer {
	struct archive *archive;
	int fd;
	char *path, *temporary; /* NULL once it has its name */
	time_t time;
};

void bundle_writer_free(struct bundle_writer **writer)
{
	struct bundle_writer *old = TAKE(*writer);
	if (old == NULL)
		return;
	archive_write_free(old->archive);
	file_close(&old->fd);
	if (old->temporary != NULL)
		unlink(old->temporary);
	free(old->temporary);
	free(old->path);
	free(old);
}

/* https://reproducible-builds.org/specs/source-date-epoch/ */
static time_t source_date(void)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end = NULL;
	if (text == NULL || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && value <= INT64_C(253402300799) ? (time_t)value : 0;
}

int bundle_create(const char *path, struct bundle_writer **ret_writer, struct error *error)
{
	CLEANUP(bundle_writer_free) struct bundle_writer *writer = calloc(1, sizeof(*writer));

	if (writer == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to write %s", path);
	writer->fd = -1;
	writer->time = source_date();
	writer->path = strdup(path);
	writer->archive = archive_write_new();
	char *temporary = NULL;
	if (writer->path == NULL || writer->archive == NULL || asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to write %s", path);
	writer->fd = mkostemp(temporary, O_CLOEXEC);
	if (writer->fd < 0) {
		free(temporary);
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made", path);
	}
	writer->temporary = temporary;
	if (archive_write_set_format_pax_restricted(writer->archive) != ARCHIVE_OK ||
	    archive_write_open_fd(writer->archive, writer->fd) != ARCHIVE_OK)
		return error_set(error, ERROR_BUG, "archive", "%s: %s", path, archive_error_string(writer->archive));
	*ret_writer = TAKE(writer);
	return 0;
}

static int write_failed(const struct bundle_writer *writer, struct error *error)
{
	errno = archive_errno(writer->archive);
	return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", writer->path);
}

static void free_entry(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

int bundle_add(struct bundle_writer *writer, const char *name, const void *bytes, size_t size, struct error *error)
{
	CLEANUP(free_entry) struct archive_entry *entry = archive_entry_new();
	const uint8_t *rest = bytes;

	if (entry == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to write %s", writer->path);
	if (strlen(name) > NAME_MOST || !file_path_is_safe(name))
		return error_set(error, ERROR_BUG, "path", "%s is no name in a bundle", name);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_uname(entry, "root");
	archive_entry_set_gname(entry, "root");
	archive_entry_set_mtime(entry, writer->time, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (archive_write_header(writer->archive, entry) != ARCHIVE_OK)
		return write_failed(writer, error);
	while (size > 0) {
		la_ssize_t put = archive_write_data(writer->archive, rest, size);
		if (put <= 0)
			return write_failed(writer, error);
		rest += put;
		size -= (size_t)put;
	}
	return 0;
}

int bundle_close(struct bundle_writer *writer, struct error *error)
{
	if (archive_write_close(writer->archive) != ARCHIVE_OK)
		return write_failed(writer, error);
	/* mkostemp makes 0600; a bundle is for everybody to read. */
	if (fchmod(writer->fd, 0644) < 0 || fault_point("bundle.sync") < 0 || fsync(writer->fd) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made durable", writer->path);
	CLEANUP(free_pointer) char *parent = strdup(writer->path);
	CLEANUP(file_close) int directory = -1;
	if (parent == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to write %s", writer->path);
	int result = file_open_directory(dirname(parent), &directory, error);
	if (result < 0)
		return result;
	if (fault_point("bundle.rename") < 0 || rename(writer->temporary, writer->path) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be put in place", writer->path);
	free(TAKE(writer->temporary));
	return file_sync_directory(directory, error);
}

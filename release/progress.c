#include "release/progress.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"

#define PROGRESS_NAME "progress"
#define PROGRESS_MOST (32 * 1024 * 1024) /* every blob, several times over */
#define LINE_MOST     128
#define FLUSH         "flush"
#define FLUSHED       "flushed"

void progress_close(struct progress *progress)
{
	file_close(&progress->fd);
	free(progress->blobs);
	free(progress->sums);
	*progress = (struct progress){.fd = -1};
}

/* "progress 2 HEX": which release it is about. What is noted below counts blobs, and the files are hashed anew: so that
 * says enough. */
static void first_line(const struct manifest *manifest, char line[static LINE_MOST])
{
	struct hash_state state;
	uint8_t hash[HASH_SIZE];
	char text[HASH_HEX_SIZE];

	hash_begin(&state, HASH_BLAKE2B);
	hash_update(&state, manifest->product, sizeof(manifest->product));
	hash_update(&state, manifest->version, sizeof(manifest->version));
	for (size_t i = 0; i < manifest->blob_count; i++)
		hash_update(&state, manifest->blobs[i].hash, HASH_SIZE);
	for (size_t i = 0; i < manifest->content_count; i++)
		hash_update(&state, manifest->contents[i].hash, HASH_SIZE);
	hash_end(&state, hash);
	hash_to_hex(hash, HASH_SIZE, text);
	snprintf(line, LINE_MOST, "progress 2 %s\n", text);
}

/* Every flush that was begun has ended well. */
static bool is_flushed(const char *text)
{
	bool flushed = true;
	for (; (text = strstr(text, "\n" FLUSH)) != NULL; text++)
		flushed = strncmp(text + 1, FLUSHED "\n", strlen(FLUSHED "\n")) == 0;
	return flushed;
}

/* What stands is about this release, and nothing of it may have been refused by the disk. */
static bool counts(const struct buffer *standing, const char *first)
{
	size_t head = strlen(first);
	return standing->size >= head && memcmp(standing->data, first, head) == 0 &&
	       is_flushed((const char *)standing->data);
}

/* A line that is not ours ends the reading: what follows it is done again. */
static bool take_line(struct progress *progress, const struct manifest *manifest, const char *line)
{
	size_t index = 0;
	uint64_t sum = 0;
	int used = 0;

	if (strcmp(line, FLUSH) == 0 || strcmp(line, FLUSHED) == 0)
		return true;
	if (sscanf(line, "blob %zu %16" SCNx64 "%n", &index, &sum, &used) != 2 || line[used] != '\0' ||
	    index >= manifest->blob_count)
		return false;
	progress->blobs[index] = true;
	progress->sums[index] = sum;
	return true;
}

static void take_lines(struct progress *progress, const struct manifest *manifest, char *text)
{
	for (char *end = strchr(text, '\n'); end != NULL; text = end + 1, end = strchr(text, '\n')) {
		*end = '\0';
		if (end - text >= LINE_MOST || !take_line(progress, manifest, text))
			return;
	}
}

/* After a torn last line the next one must not be read as its end. */
static int cut_torn_line(const struct progress *progress, const struct buffer *standing, struct error *error)
{
	const uint8_t *end = memrchr(standing->data, '\n', standing->size);
	if (fault_point("progress.cut") < 0 || ftruncate(progress->fd, (off_t)(end - standing->data + 1)) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "progress cannot be cut");
	return 0;
}

int progress_open(int staging, const struct manifest *manifest, struct progress *ret_progress, struct error *error)
{
	CLEANUP(progress_close) struct progress progress = {.fd = -1};
	CLEANUP(buffer_free) struct buffer standing = BUFFER_INIT(PROGRESS_MOST);
	char line[LINE_MOST];
	struct error ignored;

	progress.blobs = calloc(manifest->blob_count + 1, sizeof(*progress.blobs));
	progress.sums = calloc(manifest->blob_count + 1, sizeof(*progress.sums));
	if (progress.blobs == NULL || progress.sums == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the progress of release %s",
				 manifest->version);
	first_line(manifest, line);
	progress.fresh = file_read_at(staging, PROGRESS_NAME, &standing, &ignored) < 0 || !counts(&standing, line);
	if (progress.fresh) {
		int result = file_remove_tree_at(staging, PROGRESS_NAME, error);
		if (result < 0)
			return result;
	}
	int result = file_open_beneath(staging, PROGRESS_NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600,
				       &progress.fd, error);
	if (result == 0)
		result = progress.fresh ? file_write_fd(progress.fd, PROGRESS_NAME, line, strlen(line), error)
					: cut_torn_line(&progress, &standing, error);
	if (result < 0)
		return result;
	if (!progress.fresh)
		take_lines(&progress, manifest, (char *)standing.data + strlen(line));
	*ret_progress = progress;
	progress = (struct progress){.fd = -1};
	return 0;
}

static int write_line(const struct progress *progress, const char *line, struct error *error)
{
	if (fault_point("progress.write") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "progress cannot be written");
	return file_write_fd(progress->fd, PROGRESS_NAME, line, strlen(line), error);
}

int progress_blob(const struct progress *progress, size_t index, uint64_t sum, struct error *error)
{
	char line[LINE_MOST];
	snprintf(line, sizeof(line), "blob %zu %016" PRIx64 "\n", index, sum);
	return write_line(progress, line, error);
}

int progress_flush(const struct progress *progress, struct error *error)
{
	return write_line(progress, FLUSH "\n", error);
}

int progress_flushed(const struct progress *progress, struct error *error)
{
	return write_line(progress, FLUSHED "\n", error);
}

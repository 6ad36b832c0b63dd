#include "release/progress.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"

#define PROGRESS_NAME "progress"
#define PROGRESS_MOST (128 * 1024 * 1024) /* every content and every blob, several times over */
#define LINE_MOST     128

void progress_close(struct progress *progress)
{
	file_close(&progress->fd);
	free(progress->contents);
	free(progress->blobs);
	free(progress->plain);
	*progress = (struct progress){.fd = -1};
}

/* "progress 1 HEX": which manifest it is about. */
static int first_line(const struct manifest *manifest, char line[static LINE_MOST], struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
	uint8_t hash[HASH_SIZE];
	char text[HASH_HEX_SIZE];

	int result = manifest_write(manifest, &bytes, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_BLAKE2B, bytes.data, bytes.size, hash);
	hash_to_hex(hash, HASH_SIZE, text);
	snprintf(line, LINE_MOST, "progress 1 %s\n", text);
	return 0;
}

/* A line that is not ours ends the reading: what follows it is done again. */
static bool take_line(struct progress *progress, const struct manifest *manifest, const char *line)
{
	char word[8], text[HASH_HEX_SIZE] = "";
	size_t index = 0;
	int used = 0;
	struct error ignored;

	if (sscanf(line, "%7s %zu%n", word, &index, &used) != 2)
		return false;
	if (strcmp(word, "content") == 0 && line[used] == '\0' && index < manifest->content_count) {
		progress->contents[index] = true;
		return true;
	}
	if (strcmp(word, "blob") != 0 || index >= manifest->blob_count || sscanf(line + used, " %64s", text) != 1 ||
	    hash_from_hex(text, progress->plain[index], HASH_SIZE, &ignored) < 0)
		return false;
	progress->blobs[index] = true;
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
	if (ftruncate(progress->fd, (off_t)(end - standing->data + 1)) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "progress cannot be cut");
	return 0;
}

int progress_open(int staging, const struct manifest *manifest, struct progress *ret_progress, struct error *error)
{
	CLEANUP(progress_close) struct progress progress = {.fd = -1};
	CLEANUP(buffer_free) struct buffer standing = BUFFER_INIT(PROGRESS_MOST);
	char line[LINE_MOST];
	struct error ignored;

	progress.contents = calloc(manifest->content_count + 1, sizeof(*progress.contents));
	progress.blobs = calloc(manifest->blob_count + 1, sizeof(*progress.blobs));
	progress.plain = calloc(manifest->blob_count + 1, sizeof(*progress.plain));
	if (progress.contents == NULL || progress.blobs == NULL || progress.plain == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the progress of release %s",
				 manifest->version);
	int result = first_line(manifest, line, error);
	if (result < 0)
		return result;
	size_t head = strlen(line);
	progress.fresh = file_read_at(staging, PROGRESS_NAME, &standing, &ignored) < 0 || standing.size < head ||
			 memcmp(standing.data, line, head) != 0;
	if (progress.fresh) {
		result = file_remove_tree_at(staging, PROGRESS_NAME, error);
		if (result < 0)
			return result;
	}
	result = file_open_beneath(staging, PROGRESS_NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600,
				   &progress.fd, error);
	if (result == 0)
		result = progress.fresh ? file_write_fd(progress.fd, PROGRESS_NAME, line, head, error)
					: cut_torn_line(&progress, &standing, error);
	if (result < 0)
		return result;
	if (!progress.fresh)
		take_lines(&progress, manifest, (char *)standing.data + head);
	*ret_progress = progress;
	progress = (struct progress){.fd = -1};
	return 0;
}

static int append(const struct progress *progress, const char *line, struct error *error)
{
	if (fault_point("progress.write") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "progress cannot be written");
	return file_write_fd(progress->fd, PROGRESS_NAME, line, strlen(line), error);
}

int progress_content(const struct progress *progress, size_t index, struct error *error)
{
	char line[LINE_MOST];
	snprintf(line, sizeof(line), "content %zu\n", index);
	return append(progress, line, error);
}

int progress_blob(const struct progress *progress, size_t index, const uint8_t plain[static HASH_SIZE],
		  struct error *error)
{
	char line[LINE_MOST], text[HASH_HEX_SIZE];
	hash_to_hex(plain, HASH_SIZE, text);
	snprintf(line, sizeof(line), "blob %zu %s\n", index, text);
	return append(progress, line, error);
}

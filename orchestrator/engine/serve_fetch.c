#include "orchestrator/engine/serve_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define FETCHES_MOST 32
/* Enough to keep a fast line busy, little enough that a control message behind it does not wait long. */
#define QUEUED_MOST (1024 * 1024)

struct fetch {
	uint64_t id;
	int fd;
	int64_t size, at;
};

struct serve_fetch_queue {
	int releases;
	struct fetch fetches[FETCHES_MOST];
	size_t count;
	uint8_t chunk[FRAME_DATA_MOST];
};

enum serve_fetch serve_fetch_kind(const char *name)
{
	static const struct {
		const char *prefix;
		enum serve_fetch kind;
	} kinds[] = {
		{"metadata/", SERVE_FETCH_METADATA},
		{"targets/", SERVE_FETCH_METADATA},
		{"blobs/", SERVE_FETCH_BLOBS},
	};
	if (!file_path_is_safe(name))
		return SERVE_FETCH_NOTHING;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)))
			return kinds[i].kind;
	return SERVE_FETCH_NOTHING;
}

int serve_fetch_new(int releases, struct serve_fetch_queue **ret_queue, struct error *error)
{
	struct serve_fetch_queue *queue = calloc(1, sizeof *queue);
	if (!queue)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a transfer");
	queue->releases = releases;
	*ret_queue = queue;
	return 0;
}

void serve_fetch_free(struct serve_fetch_queue **queue)
{
	if (!*queue)
		return;
	for (size_t i = 0; i < (*queue)->count; i++)
		file_close(&(*queue)->fetches[i].fd);
	free(*queue);
	*queue = NULL;
}

bool serve_fetch_idle(const struct serve_fetch_queue *queue)
{
	return queue->count == 0;
}

static int open_file(int releases, const char *name, int64_t offset, struct fetch *ret_fetch, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	struct stat status;
	/* O_NONBLOCK: a FIFO that stands there must not stop the engine. */
	if (file_open_beneath(releases, name, O_RDONLY | O_NONBLOCK, 0, &fd, error)) {
		if (error->code == ERROR_DATA)
			return error_set(error, ERROR_DATA, "missing", "%s is not there", name);
		return -(int)error->code;
	}
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_DATA, "missing", "%s is not there", name);
	if (offset > status.st_size)
		return error_set(error, ERROR_DATA, "length", "%s has %lld bytes and no byte %lld", name,
				 (long long)status.st_size, (long long)offset);
	if (lseek(fd, offset, SEEK_SET) < 0)
		return error_set_errno(error, ERROR_DATA, "read", "%s", name);
	*ret_fetch = (struct fetch){.fd = fd, .size = status.st_size, .at = offset};
	fd = -1;
	return 0;
}

static int accept_request(struct serve_fetch_queue *queue, const struct stream_message *request, unsigned allowed,
			  struct error *error)
{
	const char *name = jsonio_string(request->body, "name");
	enum serve_fetch kind = serve_fetch_kind(name);
	if (kind == SERVE_FETCH_NOTHING)
		return error_set(error, ERROR_NOT_PERMITTED, "path", "\"%.200s\" is nothing that is served", name);
	if (!(kind & allowed))
		return error_set(error, ERROR_NOT_PERMITTED, "path",
				 "%.200s is not served now: nothing is under way that needs it", name);
	if (queue->count == FETCHES_MOST)
		return error_set(error, ERROR_NOT_NOW, "busy", "more than %d fetches at once", FETCHES_MOST);
	struct fetch fetch;
	if (open_file(queue->releases, name, jsonio_integer(request->body, "offset"), &fetch, error))
		return -(int)error->code;
	fetch.id = request->id;
	queue->fetches[queue->count++] = fetch;
	return 0;
}

int serve_fetch_request(struct serve_fetch_queue *queue, struct stream *stream, const struct stream_message *request,
			unsigned allowed, struct error *error)
{
	struct error why = {0};
	if (accept_request(queue, request, allowed, &why))
		return stream_send_error(stream, MESSAGE_FETCH, request->id, &why, error);
	return serve_fetch_pump(queue, stream, error);
}

static void drop_first(struct serve_fetch_queue *queue)
{
	file_close(&queue->fetches[0].fd);
	queue->count--;
	memmove(queue->fetches, queue->fetches + 1, queue->count * sizeof queue->fetches[0]);
}

/* One chunk of the first fetch, or its end. */
static int send_part(struct serve_fetch_queue *queue, struct stream *stream, struct error *error)
{
	struct fetch *fetch = &queue->fetches[0];
	int64_t left = fetch->size - fetch->at;
	ssize_t got = 0;
	if (left > 0) {
		size_t want = left < (int64_t)sizeof queue->chunk ? (size_t)left : sizeof queue->chunk;
		do
			got = read(fetch->fd, queue->chunk, want);
		while (got < 0 && errno == EINTR);
		if (got <= 0) {
			struct error why = {0};
			error_set(&why, ERROR_DATA, "read",
				  "a file of the releases directory cannot be read to its end");
			drop_first(queue);
			return stream_send_error(stream, MESSAGE_FETCH, fetch->id, &why, error);
		}
		fetch->at += got;
		return stream_send_data(stream, MESSAGE_FETCH, fetch->id, queue->chunk, (size_t)got, error);
	}
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:I}", "size", (json_int_t)fetch->size);
	uint64_t id = fetch->id;
	drop_first(queue);
	return stream_send(stream, MESSAGE_FETCH, FRAME_REPLY, id, body, error);
}

int serve_fetch_pump(struct serve_fetch_queue *queue, struct stream *stream, struct error *error)
{
	while (queue->count && stream_queued(stream) < QUEUED_MOST)
		if (send_part(queue, stream, error))
			return -(int)error->code;
	return 0;
}

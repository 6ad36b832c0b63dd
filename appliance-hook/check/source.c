#include "appliance-hook/check/source.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"

enum { NAME_MOST = 512 };

/* One message of the fetch `id`. *ret_done at its reply. */
static int take_part(const struct stream_message *message, const char *name, size_t most, struct buffer *bytes,
		     bool *ret_done, struct error *error)
{
	if (message->flags & FRAME_ERROR) {
		if (packet_to_error(message->body, error) < 0)
			return -(int)error->code;
		return error_prefix(error, "%s", name);
	}
	if (message->flags & FRAME_REPLY) {
		*ret_done = true;
		return 0;
	}
	if (!(message->flags & FRAME_DATA))
		return error_set(error, ERROR_DATA, "dialogue", "%s: neither bytes nor an answer came", name);
	if (message->size > most - bytes->size)
		return error_set(error, ERROR_DATA, "length", "%s is longer than the %zu bytes it may have", name,
				 most);
	return buffer_append(bytes, message->data, message->size, error);
}

int source_fetch(struct source *source, const char *name, size_t most, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(jsonio_free) json_t *request = json_pack("{s:s, s:i}", "name", name, "offset", 0);
	if (!request)
		return error_set(error, ERROR_DATA, "format", "a name to fetch is no text");
	/* Kept apart until it is whole, so that a broken fetch leaves nothing behind. */
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(most + 1);
	uint64_t id = stream_next_id(source->stream);
	if (stream_send(source->stream, MESSAGE_FETCH, 0, id, request, error) < 0)
		return -(int)error->code;
	for (bool done = false; !done;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		if (stream_wait(source->stream, clock_ticks_ms() + SOURCE_PATIENCE_MS, &message, error) < 0)
			return error_prefix(error, "%s", name);
		int result = message.type == MESSAGE_FETCH && message.id == id
				     ? take_part(&message, name, most, &bytes, &done, error)
				     : source->other(source->context, &message, error);
		if (result < 0)
			return result;
	}
	return buffer_append_take(ret_bytes, &bytes, error);
}

static int fetch(void *context, const char *name, size_t most, struct buffer *ret_bytes, struct error *error)
{
	if (strlen(name) > NAME_MOST || !file_path_is_safe(name))
		return error_set(error, ERROR_DATA, "path", "metadata names a file that has no safe path");
	return source_fetch(context, name, most, ret_bytes, error);
}

struct trust_source source_trust(struct source *source)
{
	return (struct trust_source){.fetch = fetch, .context = source};
}

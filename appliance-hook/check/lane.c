#include "appliance-hook/check/lane.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

void lane_open(struct lane *lane, struct stream *stream, bool owned)
{
	*lane = (struct lane){
		.stream = stream,
		.owned = owned,
		.bytes = BUFFER_INIT(LANE_STORED_MOST),
		.heard = clock_ticks_ms(),
	};
}

void lane_close(struct lane *lane)
{
	if (lane->owned)
		stream_free(&lane->stream);
	buffer_free(&lane->bytes);
	*lane = (struct lane){0};
}

int lane_ask(struct lane *lane, const struct manifest_blob *blob, size_t index, struct error *error)
{
	char hex[HASH_HEX_SIZE], name[HASH_HEX_SIZE + 8];
	bool pending = false;
	hash_to_hex(blob->hash, HASH_SIZE, hex);
	snprintf(name, sizeof(name), "blobs/%s", hex);
	if (blob->stored > LANE_STORED_MOST)
		return error_set(error, ERROR_DATA, "length", "blob %s is signed as %" PRIu64 " bytes, too many", hex,
				 blob->stored);
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:s, s:i}", "name", name, "offset", 0);
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to ask for a blob");
	lane->busy = true;
	lane->blob = index;
	lane->id = stream_next_id(lane->stream);
	lane->stored = blob->stored;
	lane->heard = clock_ticks_ms();
	buffer_clear(&lane->bytes);
	if (stream_send(lane->stream, MESSAGE_FETCH, 0, lane->id, body, error) < 0)
		return -(int)error->code;
	return stream_flush(lane->stream, &pending, error);
}

bool lane_owns(const struct lane *lane, const struct stream_message *message)
{
	return lane->busy && message->type == MESSAGE_FETCH && message->id == lane->id;
}

int lane_take(struct lane *lane, const struct stream_message *message, bool *ret_whole, struct error *error)
{
	lane->heard = clock_ticks_ms();
	if (message->flags & FRAME_ERROR) {
		if (packet_to_error(message->body, error) < 0)
			return -(int)error->code;
		return error_prefix(error, "blob %zu", lane->blob);
	}
	if (message->flags & FRAME_REPLY) {
		if (lane->bytes.size != lane->stored)
			return error_set(error, ERROR_DATA, "length", "blob %zu came with %zu of %" PRIu64 " bytes",
					 lane->blob, lane->bytes.size, lane->stored);
		lane->busy = false;
		*ret_whole = true;
		return 0;
	}
	if (!(message->flags & FRAME_DATA))
		return error_set(error, ERROR_DATA, "dialogue", "blob %zu: neither bytes nor an answer came",
				 lane->blob);
	if (message->size > lane->stored - lane->bytes.size)
		return error_set(error, ERROR_DATA, "length",
				 "blob %zu is longer than the %" PRIu64 " bytes it may have", lane->blob, lane->stored);
	return buffer_append(&lane->bytes, message->data, message->size, error);
}

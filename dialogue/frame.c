#include "dialogue/frame.h"

#include <endian.h>
#include <string.h>

#include "dialogue/message.h"

#define FRAME_FLAGS_KNOWN (FRAME_REPLY | FRAME_EVENT | FRAME_ERROR | FRAME_DATA)

int frame_write(struct buffer *output, uint16_t type, uint16_t flags, uint64_t id, const void *body, size_t size,
		struct error *error)
{
	uint8_t head[FRAME_HEAD_SIZE];
	uint8_t *room = NULL;

	if (size > (flags & FRAME_DATA ? FRAME_DATA_MOST : FRAME_JSON_MOST))
		return error_set(error, ERROR_BUG, "frame", "a frame of %zu bytes is longer than the dialogue allows",
				 size);
	uint32_t length_field = htobe32((uint32_t)size);
	uint16_t type_field = htobe16(type), flags_field = htobe16(flags);
	uint64_t id_field = htobe64(id);
	memcpy(head, &length_field, 4);
	memcpy(head + 4, &type_field, 2);
	memcpy(head + 6, &flags_field, 2);
	memcpy(head + 8, &id_field, 8);
	/* Room for both first: a frame is queued whole or not at all. */
	int status = buffer_reserve(output, sizeof head + size, &room, error);
	if (status < 0)
		return status;
	memcpy(room, head, sizeof head);
	if (size)
		memcpy(room + sizeof head, body, size);
	buffer_commit(output, sizeof head + size);
	return 0;
}

int frame_read(const struct buffer *input, struct frame *ret_frame, size_t *ret_used, struct error *error)
{
	uint32_t length;
	uint16_t type, flags;
	uint64_t id;

	*ret_used = 0;
	if (input->size < FRAME_HEAD_SIZE)
		return 0;
	memcpy(&length, input->data, 4);
	memcpy(&type, input->data + 4, 2);
	memcpy(&flags, input->data + 6, 2);
	memcpy(&id, input->data + 8, 8);
	length = be32toh(length);
	type = be16toh(type);
	flags = be16toh(flags);
	/* Judged by its head: a frame that will be refused is not waited for. */
	if (type == 0 || type >= MESSAGE_TYPES)
		return error_set(error, ERROR_DATA, "frame", "the peer sent a frame of unknown type %u", type);
	if (flags & ~FRAME_FLAGS_KNOWN)
		return error_set(error, ERROR_DATA, "frame", "the peer sent a frame with unknown flags %#x", flags);
	if (length > (flags & FRAME_DATA ? FRAME_DATA_MOST : FRAME_JSON_MOST))
		return error_set(error, ERROR_DATA, "frame", "the peer sent a frame of %u bytes, longer than allowed",
				 length);
	if (input->size - FRAME_HEAD_SIZE < length)
		return 0;
	*ret_frame = (struct frame){
		.type = type, .flags = flags, .id = be64toh(id), .body = input->data + FRAME_HEAD_SIZE, .size = length};
	*ret_used = FRAME_HEAD_SIZE + length;
	return 0;
}

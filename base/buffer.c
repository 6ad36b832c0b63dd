#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

int buffer_reserve(struct buffer *buffer, size_t size, uint8_t **ret_room, struct error *error)
{
	if (size > SIZE_MAX / 2 - buffer->size || (buffer->limit && size > buffer->limit - buffer->size))
		return error_set(error, ERROR_DATA, "length", "more than %zu bytes where at most %zu are allowed",
				 buffer->size, buffer->limit);
	size_t needed = buffer->size + size + 1;
	if (needed > buffer->capacity) {
		size_t capacity = buffer->capacity ? buffer->capacity : 64;
		while (capacity < needed)
			capacity *= 2;
		/* Not realloc: what a grown buffer leaves behind may be a secret. */
		uint8_t *data = malloc(capacity);
		if (!data)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %zu bytes", capacity);
		if (buffer->data) {
			memcpy(data, buffer->data, buffer->size);
			secret_wipe(buffer->data, buffer->size);
			free(buffer->data);
		}
		buffer->data = data;
		buffer->capacity = capacity;
	}
	buffer->data[buffer->size] = 0;
	*ret_room = buffer->data + buffer->size;
	return 0;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
	buffer->size += size;
	buffer->data[buffer->size] = 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size, struct error *error)
{
	uint8_t *room = NULL;
	int status = buffer_reserve(buffer, size, &room, error);

	if (status < 0)
		return status;
	if (size)
		memcpy(room, bytes, size);
	buffer_commit(buffer, size);
	return 0;
}

int buffer_append_take(struct buffer *buffer, struct buffer *content, struct error *error)
{
	if (buffer->size > 0 || !content->data) {
		int status = buffer_append(buffer, content->data, content->size, error);
		if (status == 0)
			buffer_free(content);
		return status;
	}
	if (buffer->limit && content->size > buffer->limit)
		return error_set(error, ERROR_DATA, "length", "more than %zu bytes where at most %zu are allowed",
				 content->size, buffer->limit);
	const size_t limit = buffer->limit;
	buffer_wipe(buffer);
	*buffer = *content;
	buffer->limit = limit;
	*content = BUFFER_INIT(content->limit);
	return 0;
}

int buffer_append_string(struct buffer *buffer, const char *string, struct error *error)
{
	return buffer_append(buffer, string, strlen(string), error);
}

int buffer_printf(struct buffer *buffer, struct error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return error_set(error, ERROR_BUG, "format", "a text could not be formatted");
	uint8_t *room = NULL;
	int status = buffer_reserve(buffer, (size_t)length, &room, error);
	if (status < 0)
		return status;
	va_start(arguments, format);
	vsnprintf((char *)room, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer_commit(buffer, (size_t)length);
	return 0;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	if (!size)
		return;
	memmove(buffer->data, buffer->data + size, buffer->size - size);
	buffer->size -= size;
	buffer->data[buffer->size] = 0;
}

void buffer_clear(struct buffer *buffer)
{
	buffer->size = 0;
	if (buffer->data)
		buffer->data[0] = 0;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){.limit = buffer->limit};
}

void buffer_wipe(struct buffer *buffer)
{
	if (buffer->data)
		secret_wipe(buffer->data, buffer->capacity);
	buffer_free(buffer);
}

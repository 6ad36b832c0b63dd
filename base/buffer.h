/* Bytes that grow up to a limit. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/error.h"

struct buffer {
	uint8_t *data; /* always followed by one NUL byte that `size` does not count */
	size_t size;
	size_t capacity;
	size_t limit; /* 0: no limit but memory */
};

#define BUFFER_INIT(maximum) ((struct buffer){.limit = (maximum)})

/* Appends; ERROR_DATA "length" past the limit, ERROR_CANNOT_CREATE "memory" when memory ends. */
int buffer_append(struct buffer *buffer, const void *bytes, size_t size, struct error *error) MUST_CHECK;
int buffer_append_string(struct buffer *buffer, const char *string, struct error *error) MUST_CHECK;
int buffer_printf(struct buffer *buffer, struct error *error, const char *format, ...) PRINTF_LIKE(3, 4) MUST_CHECK;

/* The same of another buffer's content, which is moved, not copied, where nothing stands before it; that one is empty
 * then. Untouched both on failure. */
int buffer_append_take(struct buffer *buffer, struct buffer *content, struct error *error) MUST_CHECK;

/* Makes room for `size` more bytes and points `*ret_room` at them; buffer_commit counts those that were written. */
int buffer_reserve(struct buffer *buffer, size_t size, uint8_t **ret_room, struct error *error) MUST_CHECK;
void buffer_commit(struct buffer *buffer, size_t size);

/* Removes the first `size` bytes. */
void buffer_consume(struct buffer *buffer, size_t size);
/* Forgets the content, keeps the memory. */
void buffer_clear(struct buffer *buffer);
/* Frees; also the CLEANUP function. buffer_wipe zeroes first: for secrets. */
void buffer_free(struct buffer *buffer);
void buffer_wipe(struct buffer *buffer);

#endif

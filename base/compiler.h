/* Names for what the compiler can check, and cleanup by scope. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK               __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))
#define CLEANUP(function)        __attribute__((cleanup(function)))
#define UNUSED                   __attribute__((unused))
#define ARRAY_SIZE(array)        (sizeof(array) / sizeof((array)[0]))

/* free(3) for CLEANUP on a pointer of any type: `CLEANUP(free_pointer) char *path = NULL;` */
void free_pointer(void *pointer_to_pointer);

/* Moves a pointer out of a scope that would free it. */
#define TAKE(pointer)                                                                                                  \
	__extension__({                                                                                                \
		__typeof__(pointer) taken_ = (pointer);                                                                \
		(pointer) = NULL;                                                                                      \
		taken_;                                                                                                \
	})

#endif

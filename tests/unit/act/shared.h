/* Memory that a test program shares with whoever has its descriptor. */
#ifndef TESTS_ACT_SHARED_H
#define TESTS_ACT_SHARED_H

#include <stddef.h>

/* The descriptor of `size` bytes of zeros, none of which takes room before it is written to. */
int shared_new(const char *name, size_t size);
/* Them, to be given back with munmap. */
void *shared_map(int fd, size_t size);

#endif

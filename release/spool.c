#include "release/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

int spool_open(const char *beside, struct spool *ret_spool, struct error *error)
{
	CLEANUP(free_pointer) char *copy = strdup(beside);
	CLEANUP(file_close) int directory = -1;
	int fd = -1;

	if (copy == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a temporary file");
	directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "no temporary file can be made beside %s",
				       beside);
	int result = file_temporary(directory, &fd, error);
	if (result < 0)
		return error_prefix(error, "beside %s", beside);
	*ret_spool = (struct spool){.fd = fd};
	return 0;
}

void spool_close(struct spool *spool)
{
	file_close(&spool->fd);
}

int spool_append(struct spool *spool, const void *bytes, size_t size, uint64_t *ret_offset, struct error *error)
{
	int result = file_write_fd(spool->fd, "the temporary file", bytes, size, error);
	if (result < 0)
		return result;
	if (ret_offset != NULL)
		*ret_offset = spool->size;
	spool->size += size;
	return 0;
}

int spool_read(const struct spool *spool, uint64_t offset, void *bytes, size_t size, struct error *error)
{
	uint8_t *rest = bytes;
	while (size > 0) {
		ssize_t got = pread(spool->fd, rest, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "read",
					       "the temporary file cannot be read back");
		rest += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}

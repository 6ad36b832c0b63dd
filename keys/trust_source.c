#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "keys/trust.h"

static int fetch(void *context, const char *name, size_t most, struct buffer *ret_bytes, struct error *error)
{
	const int *directory = context;
	CLEANUP(file_close) int fd = -1;
	struct stat status;
	int r = file_open_beneath(*directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);

	if (r)
		return r;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_DATA, "format", "%s is not a regular file", name);
	ret_bytes->limit = most;
	return file_read_fd(fd, name, ret_bytes, error);
}

struct trust_source trust_source_folder(int *directory)
{
	return (struct trust_source){.fetch = fetch, .context = directory};
}

#include "release/delta_base.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"

void delta_base_close(struct delta_base *base)
{
	file_close(&base->fd);
	base->content = SIZE_MAX;
}

/* A regular file of that size; -1 otherwise. */
static int open_sized(int tree, const struct manifest_entry *entry, uint64_t size)
{
	struct error ignored;
	struct stat status;
	int fd = -1;

	if (file_open_beneath(tree, entry->path, O_RDONLY, 0, &fd, &ignored) < 0)
		return -1;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || (uint64_t)status.st_size != size)
		file_close(&fd);
	return fd;
}

/* The first of the content's files that can be had. */
static void move_to(struct delta_base *base, size_t index)
{
	const struct manifest_content *content = &base->manifest->contents[index];

	if (base->content == index)
		return;
	delta_base_close(base);
	base->content = index;
	for (size_t i = 0; base->fd < 0 && i < content->files; i++) {
		const struct manifest_entry *entry = manifest_file(base->manifest, content, i);
		if (entry->root == MANIFEST_TREE)
			base->fd = open_sized(base->tree, entry, content->size);
	}
}

void delta_base_read(struct delta_base *base, size_t content, uint64_t offset, void *bytes, size_t size)
{
	struct error ignored;

	move_to(base, content);
	if (base->fd < 0 || fault_point("delta.base") < 0 ||
	    file_read_exact(base->fd, "a file of the base", offset, bytes, size, &ignored) < 0)
		memset(bytes, 0, size);
}

bool delta_base_holds(struct delta_base *base, size_t index)
{
	const struct manifest_content *content = &base->manifest->contents[index];
	struct error ignored;
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;

	move_to(base, index);
	return base->fd >= 0 && hash_file(HASH_BLAKE2B, base->fd, "a file of the base", hash, &size, &ignored) == 0 &&
	       size == content->size && hash_equal(hash, content->hash);
}

/* What pack reads: a directory tree or an archive (tar, cpio or zip; plain, gzip, bzip2, xz or zstd), member by member.
 * With bundle.c the one place that includes libarchive. */
#ifndef RELEASE_INPUT_H
#define RELEASE_INPUT_H

#include "release/manifest.h"

struct input;

struct input_member {
	char path[4096]; /* safe: checked by file_path_is_safe */
	enum manifest_type type;
	bool executable;   /* any execute bit */
	char target[4096]; /* links */
	bool is_hard_link; /* another name for the content of `target`, a path as `path` is */
};

int input_open(const char *path, struct input **ret_input, struct error *error) MUST_CHECK;
void input_free(struct input **input);

/* *ret_more false at the end. Devices, sockets, pipes, set-id files and paths that leave the tree are ERROR_DATA. */
int input_next(struct input *input, struct input_member *ret_member, bool *ret_more, struct error *error) MUST_CHECK;
/* The content of the member that was just given, piece by piece; *ret_size 0 at its end. */
int input_read(struct input *input, void *bytes, size_t capacity, size_t *ret_size, struct error *error) MUST_CHECK;

#endif

/* What every unit test needs: an error to look at, a directory of its own. */
#ifndef UNIT_FIXTURE_H
#define UNIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"

/* Group set-up: a fresh directory as the working directory, its descriptor in *state as an int pointer. */
static inline int fixture_directory(void **state)
{
	static int directory;
	char path[] = "/tmp/nightshift-unit-XXXXXX";
	struct error error;

	if (secret_start(&error) < 0 || !mkdtemp(path) || chdir(path) < 0)
		return -1;
	directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &directory;
	return directory < 0;
}

static inline int fixture_remove(void **state)
{
	char path[4096];
	struct error error;
	char *whole = getcwd(path, sizeof path);

	close(*(int *)*state);
	if (!whole || chdir("/tmp") < 0)
		return -1;
	return file_remove_tree_at(AT_FDCWD, whole, &error);
}

#define assert_ok(call, error)                                                                                         \
	do {                                                                                                           \
		if ((call) != 0)                                                                                       \
			fail_msg("%s: %s (%s)", #call, (error).text, (error).name);                                    \
	} while (0)

#define assert_refused(call, error, wanted_code, wanted_name)                                                          \
	do {                                                                                                           \
		(error) = (struct error){0};                                                                           \
		if ((call) == 0)                                                                                       \
			fail_msg("%s was not refused", #call);                                                         \
		assert_int_equal((error).code, wanted_code);                                                           \
		assert_string_equal((error).name, wanted_name);                                                        \
		assert_true((error).text[0]);                                                                          \
	} while (0)

#endif

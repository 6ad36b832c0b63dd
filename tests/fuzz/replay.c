/* Feeds each file of a corpus to a fuzz target, where no fuzzer is linked: the corpora are part of the ordinary suite.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_INPUT_MOST (4 * 1024 * 1024)

int main(int argc, char **argv)
{
	struct error error;
	int files = 0;

	if (argc != 2 || secret_start(&error) < 0)
		return 64;
	DIR *corpus = opendir(argv[1]);
	if (!corpus) {
		fprintf(stderr, "there is no corpus %s\n", argv[1]);
		return 65;
	}
	for (struct dirent *entry; (entry = readdir(corpus));) {
		CLEANUP(buffer_free) struct buffer input = BUFFER_INIT(REPLAY_INPUT_MOST);
		if (entry->d_name[0] == '.')
			continue;
		if (file_read_at(dirfd(corpus), entry->d_name, &input, &error) < 0) {
			fprintf(stderr, "%s\n", error.text);
			return 65;
		}
		LLVMFuzzerTestOneInput(input.data ? input.data : (const uint8_t *)"", input.size);
		files++;
	}
	closedir(corpus);
	printf("%d files replayed\n", files);
	return files > 0 ? 0 : 65;
}

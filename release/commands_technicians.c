/* `repo technicians`: who may log in where a customer grants it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "keys/sshkey.h"
#include "release/commands.h"
#include "release/repository.h"

static int fail(const struct error *error)
{
	return (int)error->code;
}

static int read_list(const char *path, struct technicians *ret_technicians, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	int result = file_read_at(AT_FDCWD, path, &bytes, error);

	if (result == 0)
		result = technicians_parse(bytes.data, bytes.size, ret_technicians, error);
	return result < 0 ? error_prefix(error, "%s", path) : 0;
}

/* "NAME=KEY.pub", the file as ssh-keygen writes it. */
static int add_one(struct technicians *technicians, const char *word, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(SSHKEY_LINE_MOST);
	char name[TECHNICIAN_NAME_MOST + 1], line[SSHKEY_LINE_MOST + 1];
	const char *equals = strchr(word, '=');

	if (equals == NULL || (size_t)(equals - word) >= sizeof(name))
		return error_set(error, ERROR_USAGE, "usage",
				 "--add is NAME=KEY.pub, a name of %d bytes at most, not %.100s", TECHNICIAN_NAME_MOST,
				 word);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
	int result = file_read_at(AT_FDCWD, equals + 1, &bytes, error);
	if (result < 0)
		return result;
	if (bytes.size > 0 && bytes.data[bytes.size - 1] == '\n')
		bytes.size--;
	if (memchr(bytes.data, '\0', bytes.size) != NULL)
		return error_set(error, ERROR_DATA, "format", "%s is not an OpenSSH public key", equals + 1);
	snprintf(line, sizeof(line), "%.*s", (int)bytes.size, (const char *)bytes.data);
	return technicians_add(technicians, name, line, error);
}

/* Who leaves, leaves first: one command gives somebody another key. */
static int change(const struct command_line *line, struct technicians *technicians, struct error *error)
{
	const char *word = NULL;

	for (int i = 0; (word = command_option_at(line, "--remove", i)) != NULL; i++)
		if (!technicians_remove(technicians, word))
			return error_set(error, ERROR_USAGE, "technicians",
					 "%.80s is not listed; \"repo technicians REPO\" tells who is", word);
	for (int i = 0; (word = command_option_at(line, "--add", i)) != NULL; i++) {
		int result = add_one(technicians, word, error);
		if (result < 0)
			return result;
	}
	return 0;
}

static int print_list(const struct command_line *line, const struct technicians *technicians, struct error *error)
{
	CLEANUP(jsonio_free) json_t *report = json_array();

	for (size_t i = 0; i < technicians->count; i++) {
		char fingerprint[51];
		sshkey_fingerprint(technicians->list[i].key, fingerprint);
		if (!command_flag(line, "--json"))
			printf("%-24s %s\n", technicians->list[i].name, fingerprint);
		else if (json_array_append_new(report, json_pack("{s:s, s:s}", "name", technicians->list[i].name,
								 "fingerprint", fingerprint)) != 0)
			return -error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a listing");
	}
	return command_flag(line, "--json") ? commands_print(line, report, error) : 0;
}

int commands_technicians(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(technicians_free) struct technicians technicians = {0};
	const char *path = command_argument(line, 1);
	bool changes = command_option(line, "--add") != NULL || command_option(line, "--remove") != NULL;
	bool reads = path == NULL && !changes;

	(void)context;
	if (path != NULL && changes)
		return -error_set(error, ERROR_USAGE, "usage", "give the whole list as a file, or --add and --remove");
	if (repository_open(command_argument(line, 0), reads ? REPOSITORY_READ : REPOSITORY_WRITE, &repository, error) <
		    0 ||
	    (path != NULL ? read_list(path, &technicians, error)
			  : repository_technicians(repository, &technicians, error)) < 0)
		return fail(error);
	if (reads)
		return print_list(line, &technicians, error);
	if (change(line, &technicians, error) < 0 || repository_set_technicians(repository, &technicians, error) < 0)
		return fail(error);
	printf("%zu technicians\n", technicians.count);
	return commands_report_staged(repository, error);
}

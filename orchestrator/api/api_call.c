#include "orchestrator/api/api_call.h"

#include <ctype.h>
#include <string.h>

#define NAME_MOST 40

static const struct {
	const char *word;
	enum api_role role;
} roles[] = {
	{"admin", API_ADMIN},       {"accounts", API_ACCOUNTS}, {"technician", API_TECHNICIAN},
	{"approver", API_APPROVER}, {"auditor", API_AUDITOR},
};

enum api_role api_role_from_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (strcmp(roles[i].word, word) == 0)
			return roles[i].role;
	return 0;
}

const char *api_role_word(enum api_role role)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (roles[i].role == role)
			return roles[i].word;
	return "no role";
}

int api_name_check(const char *what, const char *name, struct error *error)
{
	bool good = isalnum((unsigned char)name[0]) && strlen(name) <= NAME_MOST;

	for (const char *c = name; good && *c; c++)
		good = isascii((unsigned char)*c) && (isalnum((unsigned char)*c) || strchr("._-", *c));
	if (!good)
		return error_set(error, ERROR_USAGE, "name",
				 "%s \"%.60s\" must be letters, digits, dots, dashes and underscores, at most %d", what,
				 name, NAME_MOST);
	return 0;
}

int api_line_check(const char *what, const char *text, size_t most, struct error *error)
{
	size_t length = strlen(text);
	bool good = length <= most;

	for (size_t i = 0; good && i < length; i++)
		good = (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
	if (!good)
		return error_set(error, ERROR_USAGE, "text", "%s must be one line of at most %zu bytes", what, most);
	return 0;
}

int api_number_parse(const char *what, const char *text, int64_t least, int64_t most, int64_t *ret_number,
		     struct error *error)
{
	int64_t number = 0;
	size_t length = strlen(text);
	bool good = length > 0 && length <= 18;

	for (size_t i = 0; good && i < length; i++) {
		good = text[i] >= '0' && text[i] <= '9';
		number = number * 10 + (text[i] - '0');
	}
	if (!good || number < least || number > most)
		return error_set(error, ERROR_USAGE, "number", "%s must be a number from %lld to %lld, not \"%.30s\"",
				 what, (long long)least, (long long)most, text);
	*ret_number = number;
	return 0;
}

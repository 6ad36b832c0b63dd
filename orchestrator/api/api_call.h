/* One call of the API: who asks, for what, and what the answer is. A handler whose method is not GET runs inside one
 * transaction of the store; the store's own functions put the audit rows into it. */
#ifndef API_CALL_H
#define API_CALL_H

#include "base/jsonio.h"
#include "orchestrator/settings.h"
#include "orchestrator/store/store.h"

#define API_PARAMETERS_MOST 2
#define API_NAME_MOST       64
#define API_BODY_MOST       (1024 * 1024)

/* Who may: a set of these, one bit a role. */
enum api_role {
	API_ADMIN = 1 << 0,
	API_ACCOUNTS = 1 << 1,
	API_TECHNICIAN = 1 << 2,
	API_APPROVER = 1 << 3,
	API_AUDITOR = 1 << 4,
	API_ANYONE = API_ADMIN | API_ACCOUNTS | API_TECHNICIAN | API_APPROVER | API_AUDITOR,
};

/* What the supervisor's `set` says. */
struct api_settings {
	char *store;
	char *exports; /* directory of the files that the engine makes */
	char *hub_public;
	char host_key[HASH_HEX_SIZE]; /* hex of SHA-256 of the hub's SSH public key blob; "" when not known */
	enum settings_lapsed lapsed;
	enum settings_approvals approvals;
};

struct api_caller {
	char name[API_NAME_MOST];       /* technician */
	char actor[API_NAME_MOST + 16]; /* "technician:NAME" */
	enum api_role role;
};

struct api_call {
	struct store *store;
	const struct api_settings *settings;
	const struct api_caller *caller;
	int64_t now;
	const char *parameters[API_PARAMETERS_MOST]; /* what the pattern's stars stood for */
	const json_t *body;                          /* checked against the route's fields; NULL where it has none */
	/* "" when not given. */
	const char *(*query)(const struct api_call *call, const char *name);
	void *connection;
	int file; /* -1, or the open file that a handler gives instead of its answer; taken by the server */
};

/* Fills *ret_answer (owned by the dispatcher) on success. */
typedef int api_handler(struct api_call *call, json_t **ret_answer, struct error *error);

/* A role's word in the store → its bit; 0 when unknown. */
enum api_role api_role_from_word(const char *word);
const char *api_role_word(enum api_role role);

/* A name that may stand in paths, INI sections and SSH user names: a letter or digit first, then letters, digits, dot,
 * underscore, dash; at most 40 bytes. ERROR_USAGE "name". */
int api_name_check(const char *what, const char *name, struct error *error) MUST_CHECK;
/* One line of readable text without control characters, at most `most` bytes. ERROR_USAGE "text". */
int api_line_check(const char *what, const char *text, size_t most, struct error *error) MUST_CHECK;
/* Digits within bounds. ERROR_USAGE "number". */
int api_number_parse(const char *what, const char *text, int64_t least, int64_t most, int64_t *ret_number,
		     struct error *error) MUST_CHECK;

#endif

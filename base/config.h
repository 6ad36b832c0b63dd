/* Configuration as a table: section, key, type, bounds, default and help in one row, which the parser, the sample file
 * and the manual read. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/error.h"

enum config_type {
	CONFIG_STRING,  /* char *, malloc'd */
	CONFIG_PATH,    /* char *, absolute; a relative one is taken from the configuration file's directory */
	CONFIG_INTEGER, /* int64_t, within least..most */
	CONFIG_SECONDS, /* int64_t; "90", "45m", "8h", "2d" */
	CONFIG_BYTES,   /* int64_t; "100", "64K", "10M", "2G" */
	CONFIG_BOOLEAN, /* bool; yes|no */
	CONFIG_CHOICE,  /* int, index into `choices` */
};

struct config_key {
	const char *section; /* "hub", or "probe *" for a family of named sections */
	const char *key;
	enum config_type type;
	size_t offset;              /* in the target struct */
	const char *fallback;       /* text of the default; NULL: required, "" for a string: empty */
	int64_t least, most;        /* INTEGER, SECONDS, BYTES; STRING: most bytes (0: 190) */
	const char *const *choices; /* NULL-terminated */
	const char *help;
};

/* For the family sections: gives the struct for section "probe NAME", made on first sight, or NULL with `error`. */
typedef void *config_family(void *target, const char *family, const char *name, struct error *error);

/* Reads `path`, then `path`.d/ *.conf in byte order, over the defaults. Unknown sections and keys are ERROR_CONFIG with
 * file and line. The table ends with a row whose section is NULL. Strings in the target are owned by the caller:
 * config_free frees those of the non-family rows; family rows by calling it with the family's struct and name. */
int config_load(const char *path, const struct config_key *keys, void *target, config_family *family,
		struct error *error) MUST_CHECK;
/* The defaults of a family's rows ("probe *"), for a config_family function to call on the struct that it makes. A
 * default that is a relative path is not possible there. */
int config_set_defaults(const struct config_key *keys, const char *family, void *target,
			struct error *error) MUST_CHECK;
/* `family` NULL: the plain sections. */
void config_free(const struct config_key *keys, const char *family, void *target);

/* "45m" → 2700. Units s, m, h, d, w; plain digits are seconds. Also for the command line. */
int config_parse_seconds(const char *text, int64_t *ret_seconds, struct error *error) MUST_CHECK;

#endif

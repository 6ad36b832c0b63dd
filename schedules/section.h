/* One INI section as a table of keys, read into a struct and written back: windows and freezes are both made of it. */
#ifndef SCHEDULES_SECTION_H
#define SCHEDULES_SECTION_H

#include "base/buffer.h"

#define SECTION_NAME_MOST 40
#define SECTION_TEXT_MOST 120

/* The first member of every struct that is read this way. */
struct section {
	char name[SECTION_NAME_MOST + 1];
	unsigned line;  /* of its first key */
	unsigned given; /* bit i: the table's row i stood in the text */
};

enum section_type {
	SECTION_TEXT,    /* char[SECTION_TEXT_MOST + 1], UTF-8 */
	SECTION_SECONDS, /* int64_t within least..most; "90", "45m", "2h", "3d" */
	SECTION_NUMBER,  /* int within least..most */
	SECTION_CHOICE,  /* int, index into `choices` */
};

struct section_key {
	const char *name;
	enum section_type type;
	size_t offset;
	const char *fallback; /* NULL: required */
	int64_t least, most;
	const char *const *choices; /* NULL-terminated */
};

struct section_kind {
	const char *word; /* "window": headers are "[window NAME]", errors have this name */
	size_t size;      /* of the struct */
	size_t most;      /* so many in one text */
	const struct section_key *keys;
	size_t key_count; /* at most 32 */
	/* All keys are there: checks them together and makes what is made of them. */
	int (*complete)(void *object, struct error *error);
	void (*release)(void *object); /* what `complete` made; the struct itself is freed by the caller */
};

struct section_list {
	void **objects; /* owned, as are the structs */
	size_t count;
};

/* The whole text or nothing; ERROR_DATA with the kind's word, file and line. */
int section_parse(const struct section_kind *kind, const char *text, size_t size, const char *name,
		  struct section_list *ret_list, struct error *error) MUST_CHECK;
void section_free(const struct section_kind *kind, void *object);
void section_list_free(const struct section_kind *kind, struct section_list *list);

/* The section that reads as the same object (appends). */
int section_write(const struct section_kind *kind, const void *object, struct buffer *ret_text,
		  struct error *error) MUST_CHECK;

/* Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most SECTION_NAME_MOST. */
bool section_name_is_safe(const char *name);

#endif

#include "release/manifest_entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "release/manifest_words.h"
#include "release/rules.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "manifest", __VA_ARGS__)
/* For "%.*s". */
#define SHOWN(word) (int)(word).size, (word).at

static const char *const type_names[] = {
	[MANIFEST_FILE] = "file",
	[MANIFEST_DIRECTORY] = "directory",
	[MANIFEST_LINK] = "link",
};

static const struct jsonio_field fields[] = {
	{"path", JSONIO_STRING, true, MANIFEST_PATH_MOST},
	{"root", JSONIO_STRING, false, 8}, /* "hooks"; absent: the tree */
	{"type", JSONIO_STRING, true, 16},
	{"mode", JSONIO_STRING, false, 4},   /* four octal digits; links have none */
	{"set_id", JSONIO_BOOLEAN, false},   /* declares the set-id bits of `mode` */
	{"owner", JSONIO_STRING, false, 32}, /* absent: root */
	{"size", JSONIO_INTEGER, false, (int64_t)MANIFEST_FILE_MOST},
	{"hash", JSONIO_STRING, false, 2 * HASH_SIZE},
	{"target", JSONIO_STRING, false, MANIFEST_PATH_MOST},
	{NULL},
};

static int judge_mode(struct manifest_word word, bool set_id, struct manifest_entry *entry)
{
	unsigned mode = 0;
	if (word.at == NULL || word.size != 4)
		return -1;
	for (size_t i = 0; i < word.size; i++) {
		if (word.at[i] < '0' || word.at[i] > '7')
			return -1;
		mode = 8 * mode + (unsigned)(word.at[i] - '0');
	}
	if ((mode > 0777) != set_id)
		return -1;
	entry->mode = mode & 07777;
	return 0;
}

static int judge_owner(const struct manifest_words *words, struct manifest_entry *entry, struct error *error)
{
	char name[32 + 1] = "root";
	if (words->owner.at != NULL && words->owner.size < sizeof(name)) {
		memcpy(name, words->owner.at, words->owner.size);
		name[words->owner.size] = '\0';
	}
	const struct rules_owner *known = rules_owner(name);
	if (known == NULL)
		return REFUSE(error, "entry %.*s has owner %s, who is not on the list", SHOWN(words->path), name);
	entry->owner = known->name;
	return 0;
}

static int judge(const struct manifest_words *words, struct manifest_entry *entry, struct error *error)
{
	size_t kind = 0;

	while (kind < ARRAY_SIZE(type_names) && !manifest_word_is(words->type, type_names[kind]))
		kind++;
	if (kind == ARRAY_SIZE(type_names) || (words->root.at != NULL && !manifest_word_is(words->root, "hooks")))
		return REFUSE(error, "entry %.*s has an unknown type or root", SHOWN(words->path));
	entry->type = (enum manifest_type)kind;
	entry->root = words->root.at != NULL ? MANIFEST_HOOKS : MANIFEST_TREE;
	bool file = entry->type == MANIFEST_FILE, link = entry->type == MANIFEST_LINK;
	if (file != (words->hash.at != NULL) || file != words->has_size || link != (words->target.at != NULL) ||
	    link == (words->mode.at != NULL))
		return REFUSE(error, "entry %.*s lacks a field of a %s, or has one too many", SHOWN(words->path),
			      type_names[kind]);
	int result = judge_owner(words, entry, error);
	if (result < 0)
		return result;
	entry->mode = 0777;
	if (!link && judge_mode(words->mode, words->set_id, entry) < 0)
		return REFUSE(error, "entry %.*s has a bad mode, or set-id bits that are not declared",
			      SHOWN(words->path));
	entry->size = words->size;
	if (file && manifest_word_hash(words->hash, entry->hash, error) < 0)
		return error_prefix(error, "entry %.*s", SHOWN(words->path));
	return 0;
}

static int take_words(struct manifest *manifest, const struct manifest_words *words, struct manifest_entry *ret_entry,
		      struct error *error)
{
	struct manifest_entry entry = {0};
	int result = judge(words, &entry, error);
	if (result == 0)
		result = arena_text(&manifest->texts, words->path.at, words->path.size, &entry.path, error);
	if (result == 0 && words->target.at != NULL)
		result = arena_text(&manifest->texts, words->target.at, words->target.size, &entry.target, error);
	if (result == 0)
		*ret_entry = entry;
	return result;
}

static struct manifest_word word_of(const json_t *object, const char *name)
{
	const json_t *value = jsonio_member(object, name);
	return (struct manifest_word){json_string_value(value), json_string_length(value)};
}

int manifest_entry_read(struct manifest *manifest, const char *text, size_t size, struct manifest_entry *ret_entry,
			struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	struct manifest_words words;

	if (manifest_words_read(text, size, &words))
		return take_words(manifest, &words, ret_entry, error);
	int result = jsonio_parse(text, size, "a member of the manifest", &object, error);
	if (result == 0)
		result = jsonio_check(object, fields, "manifest entry", error);
	if (result < 0)
		return result;
	words = (struct manifest_words){
		.path = word_of(object, "path"),
		.root = word_of(object, "root"),
		.type = word_of(object, "type"),
		.mode = word_of(object, "mode"),
		.owner = word_of(object, "owner"),
		.hash = word_of(object, "hash"),
		.target = word_of(object, "target"),
		.set_id = jsonio_boolean(object, "set_id"),
		.has_size = jsonio_member(object, "size") != NULL,
		.size = (uint64_t)jsonio_integer(object, "size"),
	};
	return take_words(manifest, &words, ret_entry, error);
}

json_t *manifest_entry_value(const struct manifest_entry *entry)
{
	json_t *object = json_object();
	char mode[16], hash[HASH_HEX_SIZE];
	int failed = object == NULL;

	failed |= json_object_set_new(object, "path", json_string(entry->path));
	failed |= json_object_set_new(object, "type", json_string(type_names[entry->type]));
	if (entry->root == MANIFEST_HOOKS)
		failed |= json_object_set_new(object, "root", json_string("hooks"));
	if (strcmp(entry->owner, "root") != 0)
		failed |= json_object_set_new(object, "owner", json_string(entry->owner));
	if (entry->type == MANIFEST_LINK) {
		failed |= json_object_set_new(object, "target", json_string(entry->target));
	} else {
		snprintf(mode, sizeof(mode), "%04o", entry->mode);
		failed |= json_object_set_new(object, "mode", json_string(mode));
		if (entry->mode > 0777)
			failed |= json_object_set_new(object, "set_id", json_true());
	}
	if (entry->type == MANIFEST_FILE) {
		hash_to_hex(entry->hash, HASH_SIZE, hash);
		failed |= json_object_set_new(object, "size", json_integer((json_int_t)entry->size));
		failed |= json_object_set_new(object, "hash", json_string(hash));
	}
	if (failed)
		jsonio_free(&object);
	return object;
}

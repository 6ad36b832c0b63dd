#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "keys/role.h"

#define ROLE_KEYS_MOST  1024
#define ROLE_LINES_MOST 65536
#define ROLE_PATH_MOST  4095

const char *const role_names[ROLE_KINDS] = {"root", "timestamp", "snapshot", "targets"};

static const struct jsonio_field head_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"spec_version", JSONIO_STRING, true, 32},
	{"version", JSONIO_INTEGER, true, INT64_MAX},
	{"expires", JSONIO_STRING, true, 64},
	{NULL},
};

static const struct jsonio_field root_fields[] = {
	{"consistent_snapshot", JSONIO_BOOLEAN, false},
	{"keys", JSONIO_OBJECT, true, ROLE_KEYS_MOST},
	{"roles", JSONIO_OBJECT, true, 16},
	{NULL},
};

static const struct jsonio_field keys_fields[] = {
	{"keyids", JSONIO_ARRAY, true, ROLE_KEYS_MOST},
	{"threshold", JSONIO_INTEGER, true, ROLE_KEYS_MOST},
	{NULL},
};

static const struct jsonio_field list_fields[ROLE_KINDS][2] = {
	[ROLE_TIMESTAMP] = {{"meta", JSONIO_OBJECT, true, ROLE_LINES_MOST}},
	[ROLE_SNAPSHOT] = {{"meta", JSONIO_OBJECT, true, ROLE_LINES_MOST}},
	[ROLE_TARGETS] = {{"targets", JSONIO_OBJECT, true, ROLE_LINES_MOST}},
};

static const struct jsonio_field meta_fields[] = {
	{"version", JSONIO_INTEGER, true, INT64_MAX},
	{"length", JSONIO_INTEGER, false, INT64_MAX},
	{"hashes", JSONIO_OBJECT, false, 16},
	{NULL},
};

static const struct jsonio_field target_fields[] = {
	{"length", JSONIO_INTEGER, true, INT64_MAX},
	{"hashes", JSONIO_OBJECT, true, 16},
	{"custom", JSONIO_OBJECT, false, 4096},
	{NULL},
};

static const struct jsonio_field hash_fields[] = {
	{"sha256", JSONIO_STRING, false, 2 * HASH_SIZE},
	{"sha512", JSONIO_STRING, false, 2 * HASH_SHA512_SIZE},
	{NULL},
};

/* "1.N" or "1.N.N": the major version is what must match (TUF §4.3). */
static bool spec_is_known(const char *text)
{
	unsigned parts = 1, digits = 0;

	if (strncmp(text, "1.", 2) != 0)
		return false;
	for (const char *c = text; *c; c++) {
		if (*c == '.' && digits) {
			parts++;
			digits = 0;
		} else if (*c >= '0' && *c <= '9') {
			digits++;
		} else {
			return false;
		}
	}
	return digits && parts <= 3;
}

int role_head(const json_t *signed_part, enum role_kind kind, const char *what, struct role_head *ret_head,
	      struct error *error)
{
	struct role_head head;
	int r = jsonio_check_open(signed_part, head_fields, what, error);

	if (r)
		return r;
	if (strcmp(jsonio_string(signed_part, "_type"), role_names[kind]) != 0)
		return error_set(error, ERROR_DATA, "format", "%s: its _type is %s where %s is needed", what,
				 jsonio_string(signed_part, "_type"), role_names[kind]);
	if (!spec_is_known(jsonio_string(signed_part, "spec_version")))
		return error_set(error, ERROR_DATA, "format", "%s: written for specification %s; known is 1", what,
				 jsonio_string(signed_part, "spec_version"));
	head.version = jsonio_integer(signed_part, "version");
	if (head.version < 1)
		return error_set(error, ERROR_DATA, "format", "%s: versions begin at 1", what);
	r = clock_parse_utc(jsonio_string(signed_part, "expires"), &head.expires, error);
	if (r)
		return error_set(error, ERROR_DATA, "format", "%s: expires must be YYYY-MM-DDTHH:MM:SSZ", what);
	*ret_head = head;
	return 0;
}

static int add_key(const json_t *keys, const char *id, struct key_set *set, struct error *error)
{
	const json_t *object = json_object_get(keys, id);

	if (!object)
		return 0;
	for (size_t i = 0; i < set->count; i++)
		if (!strcmp(key_id(set->keys[i]), id))
			return 0;
	return key_parse(object, id, &set->keys[set->count], error) ? -(int)error->code : (set->count++, 0);
}

int role_keys(const json_t *keys, const json_t *role, const char *what, struct key_set *ret_set, struct error *error)
{
	CLEANUP(key_set_free) struct key_set set = {0};
	const json_t *ids;
	int r = jsonio_check_open(role, keys_fields, what, error);

	if (r)
		return r;
	ids = jsonio_member(role, "keyids");
	if (jsonio_integer(role, "threshold") < 1)
		return error_set(error, ERROR_DATA, "format", "%s: a threshold must be at least 1", what);
	set.threshold = (unsigned)jsonio_integer(role, "threshold");
	set.keys = calloc(json_array_size(ids) + 1, sizeof(struct key *));
	if (!set.keys)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory for its keys", what);
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (!id)
			return error_set(error, ERROR_DATA, "format", "%s: key ids must be strings", what);
		r = add_key(keys, id, &set, error);
		if (r)
			return error_prefix(error, "%s", what);
	}
	*ret_set = set;
	set = (struct key_set){0};
	return 0;
}

int role_root_read(const json_t *signed_part, struct role_root **ret_root, struct error *error)
{
	CLEANUP(role_root_free) struct role_root *root = calloc(1, sizeof *root);
	const json_t *roles;
	int r;

	if (!root)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for root");
	r = role_head(signed_part, ROLE_ROOT, "root", &root->head, error);
	if (!r)
		r = jsonio_check_open(signed_part, root_fields, "root", error);
	if (r)
		return r;
	root->consistent_snapshot = jsonio_boolean(signed_part, "consistent_snapshot");
	roles = jsonio_member(signed_part, "roles");
	for (int kind = 0; kind < ROLE_KINDS; kind++) {
		const json_t *role = json_object_get(roles, role_names[kind]);

		if (!json_is_object(role))
			return error_set(error, ERROR_DATA, "format", "root names no keys for %s", role_names[kind]);
		r = role_keys(jsonio_member(signed_part, "keys"), role, role_names[kind], &root->roles[kind], error);
		if (r)
			return error_prefix(error, "root");
	}
	*ret_root = TAKE(root);
	return 0;
}

void role_root_free(struct role_root **root)
{
	if (!*root)
		return;
	for (int kind = 0; kind < ROLE_KINDS; kind++)
		key_set_free(&(*root)->roles[kind]);
	free(*root);
	*root = NULL;
}

static int read_hash(const json_t *hashes, const char *kind, uint8_t *ret_hash, size_t size, bool *ret_stated,
		     struct error *error)
{
	const char *text = jsonio_string(hashes, kind);

	*ret_stated = text != NULL;
	return text ? hash_from_hex(text, ret_hash, size, error) : 0;
}

/* Hashes of other kinds add nothing and are passed over. */
static int read_hashes(const json_t *hashes, const char *name, struct role_meta *meta, struct error *error)
{
	int r = jsonio_check_open(hashes, hash_fields, "hashes", error);

	if (!r)
		r = read_hash(hashes, "sha256", meta->sha256, HASH_SIZE, &meta->has_sha256, error);
	if (!r)
		r = read_hash(hashes, "sha512", meta->sha512, HASH_SHA512_SIZE, &meta->has_sha512, error);
	return r ? error_prefix(error, "%s", name) : 0;
}

static int check_hashes(const struct role_meta *meta, const char *what, const void *bytes, size_t size,
			struct error *error)
{
	uint8_t hash[HASH_SIZE];
	bool same = true;

	if (meta->has_sha256) {
		hash_bytes(HASH_SHA256, bytes, size, hash);
		same = hash_equal(hash, meta->sha256);
	}
	if (same && meta->has_sha512)
		same = hash_sha512_is(bytes, size, meta->sha512);
	return same ? 0 : error_set(error, ERROR_DATA, "hash", "%.200s is not the file whose hash is stated", what);
}

int role_meta_check(const struct role_meta *meta, const char *what, const void *bytes, size_t size, struct error *error)
{
	if (meta->has_length && (size_t)meta->length != size)
		return error_set(error, ERROR_DATA, "length", "%s has %zu bytes where %lld are stated", what, size,
				 (long long)meta->length);
	return check_hashes(meta, what, bytes, size, error);
}

int role_target_check(const struct role_target *target, const char *path, const void *bytes, size_t size,
		      struct error *error)
{
	struct role_meta stated = {.has_sha256 = !target->lacks_sha256, .has_sha512 = target->has_sha512};

	if (!stated.has_sha256 && !stated.has_sha512)
		return error_set(error, ERROR_DATA, "hash", "target %.200s has no hash of a kind that is known", path);
	if (size != (size_t)target->length)
		return error_set(error, ERROR_DATA, "length",
				 "target %.200s has %zu bytes, not the %lld that are stated", path, size,
				 (long long)target->length);
	memcpy(stated.sha256, target->sha256, sizeof stated.sha256);
	memcpy(stated.sha512, target->sha512, sizeof stated.sha512);
	return check_hashes(&stated, path, bytes, size, error);
}

static int read_meta(const json_t *line, const char *name, struct role_meta *ret_meta, struct error *error)
{
	struct role_meta meta = {0};
	int r = jsonio_check_open(line, meta_fields, name, error);

	if (r)
		return r;
	meta.version = jsonio_integer(line, "version");
	meta.has_length = jsonio_member(line, "length") != NULL;
	meta.length = jsonio_integer(line, "length");
	if (meta.version < 1 || (meta.has_length && meta.length < 1))
		return error_set(error, ERROR_DATA, "format", "%s: version and length begin at 1", name);
	if (jsonio_member(line, "hashes")) {
		r = read_hashes(jsonio_member(line, "hashes"), name, &meta, error);
		if (!r && !meta.has_sha256 && !meta.has_sha512)
			r = error_set(error, ERROR_DATA, "format", "%s: no hash is of a kind that is known", name);
		if (r)
			return r;
	}
	*ret_meta = meta;
	return 0;
}

static int read_target(const json_t *line, const char *path, struct role_target *ret_target, struct error *error)
{
	struct role_target target = {0};
	struct role_meta stated = {0};
	int r = jsonio_check_open(line, target_fields, path, error);

	if (!r)
		r = read_hashes(jsonio_member(line, "hashes"), path, &stated, error);
	if (r)
		return r;
	memcpy(target.sha256, stated.sha256, sizeof target.sha256);
	memcpy(target.sha512, stated.sha512, sizeof target.sha512);
	target.lacks_sha256 = !stated.has_sha256;
	target.has_sha512 = stated.has_sha512;
	target.length = jsonio_integer(line, "length");
	target.custom = jsonio_member(line, "custom");
	*ret_target = target;
	return 0;
}

int role_meta_read(const json_t *signed_part, const char *name, struct role_meta *ret_meta, bool *ret_named,
		   struct error *error)
{
	const json_t *line = json_object_get(json_object_get(signed_part, "meta"), name);

	if (line) {
		int r = read_meta(line, name, ret_meta, error);

		if (r)
			return r;
	}
	*ret_named = line != NULL;
	return 0;
}

int role_target_read(const json_t *signed_part, const char *path, struct role_target *ret_target, bool *ret_named,
		     struct error *error)
{
	const json_t *line = json_object_get(json_object_get(signed_part, "targets"), path);

	if (line) {
		int r = read_target(line, path, ret_target, error);

		if (r)
			return r;
	}
	*ret_named = line != NULL;
	return 0;
}

static bool ends_with_json(const char *name)
{
	size_t size = strlen(name);

	return size > 5 && size <= ROLE_PATH_MOST && !strcmp(name + size - 5, ".json");
}

static int check_line(enum role_kind kind, const char *name, const json_t *line, struct error *error)
{
	struct role_target target;
	struct role_meta meta;

	if (kind == ROLE_TARGETS) {
		if (!*name || strlen(name) > ROLE_PATH_MOST)
			return error_set(error, ERROR_DATA, "format", "a target's path must have 1 to %d bytes",
					 ROLE_PATH_MOST);
		return read_target(line, name, &target, error);
	}
	if (!ends_with_json(name))
		return error_set(error, ERROR_DATA, "format", "meta names %.200s, which is no metadata file", name);
	return read_meta(line, name, &meta, error);
}

int role_check(const json_t *signed_part, enum role_kind kind, const char *what, struct role_head *ret_head,
	       struct error *error)
{
	/* What each file must name to be of any use. */
	static const char *const must_name[ROLE_KINDS] = {
		[ROLE_TIMESTAMP] = "snapshot.json", [ROLE_SNAPSHOT] = "targets.json"};
	const char *name;
	struct role_head head;
	json_t *list, *line;
	int r = role_head(signed_part, kind, what, &head, error);

	if (!r && kind != ROLE_ROOT)
		r = jsonio_check_open(signed_part, list_fields[kind], what, error);
	if (r)
		return r;
	list = kind == ROLE_ROOT ? NULL : json_object_get(signed_part, list_fields[kind][0].name);
	json_object_foreach(list, name, line)
	{
		r = check_line(kind, name, line, error);
		if (r)
			return error_prefix(error, "%s", what);
	}
	if (must_name[kind] && !json_object_get(list, must_name[kind]))
		return error_set(error, ERROR_DATA, "format", "%s does not name %s", what, must_name[kind]);
	*ret_head = head;
	return 0;
}

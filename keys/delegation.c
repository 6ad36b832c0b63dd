#include <stdio.h>
#include <string.h>

#include "keys/delegation.h"
#include "keys/pattern.h"

#define DELEGATION_PATHS_MOST 65536

static const struct jsonio_field holder_fields[] = {
	{"delegations", JSONIO_OBJECT, false, 16},
	{NULL},
};

static const struct jsonio_field list_fields[] = {
	{"keys", JSONIO_OBJECT, true, DELEGATION_ROLES_MOST},
	{"roles", JSONIO_ARRAY, false, DELEGATION_ROLES_MOST},
	{NULL},
};

static const struct jsonio_field delegation_fields[] = {
	{"name", JSONIO_STRING, true, DELEGATION_FILE_MOST},
	{"terminating", JSONIO_BOOLEAN, false},
	{"paths", JSONIO_ARRAY, false, DELEGATION_PATHS_MOST},
	{"path_hash_prefixes", JSONIO_ARRAY, false, DELEGATION_PATHS_MOST},
	{NULL},
};

static const json_t *roles_of(const json_t *signed_part)
{
	return json_object_get(json_object_get(signed_part, "delegations"), "roles");
}

static int check_name(const char *name, const char *what, struct error *error)
{
	char file[DELEGATION_FILE_MOST];

	if (!*name)
		return error_set(error, ERROR_DATA, "format", "%s: a delegated role without a name", what);
	for (int kind = 0; kind < ROLE_KINDS; kind++)
		if (!strcmp(name, role_names[kind]))
			return error_set(error, ERROR_DATA, "format", "%s: %s cannot be delegated", what, name);
	return delegation_file(name, file, error);
}

static int check_strings(const json_t *list, const char *what, struct error *error)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_is_string(json_array_get(list, i)))
			return error_set(error, ERROR_DATA, "format", "%s: paths of a delegation must be strings",
					 what);
	return 0;
}

static int check_one(const json_t *signed_part, const json_t *delegation, const char *what, struct error *error)
{
	CLEANUP(key_set_free) struct key_set keys = {0};
	const json_t *paths, *prefixes;
	int r = jsonio_check_open(delegation, delegation_fields, what, error);

	if (!r)
		r = check_name(delegation_name(delegation), what, error);
	if (r)
		return r;
	paths = jsonio_member(delegation, "paths");
	prefixes = jsonio_member(delegation, "path_hash_prefixes");
	if (paths && prefixes)
		return error_set(error, ERROR_DATA, "format", "%s: delegation %s has paths and path_hash_prefixes",
				 what, delegation_name(delegation));
	r = check_strings(paths ? paths : prefixes, what, error);
	return r ? r : delegation_keys(signed_part, delegation, &keys, error);
}

int delegation_check(const json_t *signed_part, const char *what, struct error *error)
{
	CLEANUP(jsonio_free) json_t *seen = json_object();
	const json_t *delegations, *roles;
	int r = jsonio_check_open(signed_part, holder_fields, what, error);

	if (r)
		return r;
	delegations = jsonio_member(signed_part, "delegations");
	if (!delegations)
		return 0;
	r = jsonio_check_open(delegations, list_fields, what, error);
	roles = roles_of(signed_part);
	for (size_t i = 0; !r && i < json_array_size(roles); i++) {
		const json_t *delegation = json_array_get(roles, i);

		r = check_one(signed_part, delegation, what, error);
		if (!r && json_object_get(seen, delegation_name(delegation)))
			r = error_set(error, ERROR_DATA, "format", "%s: %s is delegated twice", what,
				      delegation_name(delegation));
		if (!r && json_object_set_new(seen, delegation_name(delegation), json_true()))
			r = error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", what);
	}
	return r;
}

const json_t *delegation_at(const json_t *signed_part, size_t index)
{
	return json_array_get(roles_of(signed_part), index);
}

const char *delegation_name(const json_t *delegation)
{
	return jsonio_string(delegation, "name");
}

bool delegation_is_terminating(const json_t *delegation)
{
	return jsonio_boolean(delegation, "terminating");
}

bool delegation_covers(const json_t *delegation, const char *path)
{
	const json_t *paths = jsonio_member(delegation, "paths"),
		     *prefixes = jsonio_member(delegation, "path_hash_prefixes");
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE];

	for (size_t i = 0; i < json_array_size(paths); i++)
		if (pattern_matches(json_string_value(json_array_get(paths, i)), path))
			return true;
	if (!prefixes)
		return false;
	hash_bytes(HASH_SHA256, path, strlen(path), hash);
	hash_to_hex(hash, sizeof hash, hex);
	for (size_t i = 0; i < json_array_size(prefixes); i++) {
		const char *prefix = json_string_value(json_array_get(prefixes, i));

		if (!strncmp(hex, prefix, strlen(prefix)))
			return true;
	}
	return false;
}

int delegation_keys(const json_t *signed_part, const json_t *delegation, struct key_set *ret_set, struct error *error)
{
	return role_keys(json_object_get(json_object_get(signed_part, "delegations"), "keys"), delegation,
			 delegation_name(delegation), ret_set, error);
}

int delegation_file(const char *name, char ret_file[static DELEGATION_FILE_MOST], struct error *error)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	char file[DELEGATION_FILE_MOST];
	size_t at = 0;

	for (const char *c = name; *c; c++) {
		/* Room for one quoted byte, ".json" and the NUL. */
		if (at + 3 + sizeof ".json" > sizeof file)
			return error_set(error, ERROR_DATA, "format",
					 "the role name %.100s… is too long for a file name", name);
		if (strchr(plain, *c))
			file[at++] = *c;
		else
			at += (size_t)snprintf(file + at, 4, "%%%02X", (unsigned)(unsigned char)*c);
	}
	memcpy(file + at, ".json", sizeof ".json");
	memcpy(ret_file, file, at + sizeof ".json");
	return 0;
}

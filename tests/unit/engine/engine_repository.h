/* A releases directory as an import leaves it: four roles with one key each, releases 1.0 and 1.1 of "vpn" with empty
 * trees.
 */
#ifndef TESTS_ENGINE_REPOSITORY_H
#define TESTS_ENGINE_REPOSITORY_H

#include "keys/role.h"
#include "release/manifest.h"
#include "tests/unit/engine/engine_world.h"

#define REPOSITORY_EXPIRES "2999-01-01T00:00:00Z"
#define REPOSITORY_BLOB    "blobs/0000000000000000000000000000000000000000000000000000000000000000"

static inline void repository_write(struct world *world, const char *name, const void *bytes, size_t size)
{
	struct error error;
	CLEANUP(file_close) int directory = -1;
	CLEANUP(file_close) int parent = -1;
	const char *last = NULL;
	MUST(file_open_directory(world->releases, &directory, &error));
	MUST(file_open_parent_beneath(directory, name, true, &parent, &last, &error));
	MUST(file_replace_at(parent, last, bytes, size, 0644, &error));
}

static inline void role_key(enum role_kind kind, struct key_secret **ret_key)
{
	struct error error;
	uint8_t seed[32];
	memset(seed, 100 + (int)kind, sizeof seed);
	MUST(key_secret_from_seed(seed, ret_key, &error));
}

/* Signs with the role's key; caller owns the bytes. Takes the document. */
static inline struct buffer role_sign_take(enum role_kind kind, json_t *document)
{
	struct error error;
	struct key_secret *key = NULL;
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct buffer bytes = BUFFER_INIT(1024 * 1024);
	assert_non_null(document);
	role_key(kind, &key);
	MUST(envelope_new(document, &envelope, &error));
	MUST(envelope_sign(envelope, key, &error));
	MUST(envelope_write(envelope, &bytes, &error));
	key_secret_free(&key);
	json_decref(document);
	return bytes;
}

static inline void repository_put_role(struct world *world, enum role_kind kind, const char *name, json_t *document)
{
	CLEANUP(buffer_free) struct buffer bytes = role_sign_take(kind, document);
	repository_write(world, name, bytes.data, bytes.size);
}

static inline json_t *repository_root(void)
{
	json_t *keys = json_object(), *roles = json_object();
	for (enum role_kind kind = 0; kind < ROLE_KINDS; kind++) {
		struct key_secret *secret = NULL;
		role_key(kind, &secret);
		const struct key *key = key_secret_public(secret);
		json_object_set(keys, key_id(key), (json_t *)key_object(key));
		json_object_set_new(roles, role_names[kind],
				    json_pack("{s:[s], s:i}", "keyids", key_id(key), "threshold", 1));
		key_secret_free(&secret);
	}
	return json_pack("{s:s, s:s, s:i, s:s, s:b, s:o, s:o}", "_type", "root", "spec_version", "1.0.31", "version", 1,
			 "expires", REPOSITORY_EXPIRES, "consistent_snapshot", 1, "keys", keys, "roles", roles);
}

/* Its manifest beneath targets/, and its line for the targets metadata. */
static inline json_t *repository_release(struct world *world, const char *version, int sequence)
{
	struct error error;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(65536);
	struct manifest manifest = {.hook_api = 1, .apply_seconds = 30, .rollback_seconds = 12};
	uint8_t sha256[HASH_SIZE];
	char hex[HASH_HEX_SIZE], path[256];
	strcpy(manifest.product, "vpn");
	snprintf(manifest.version, sizeof manifest.version, "%s", version);
	MUST(manifest_write(&manifest, &bytes, &error));
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, sha256);
	hash_to_hex(sha256, sizeof sha256, hex);
	snprintf(path, sizeof path, "targets/vpn/%s/%s.manifest.json", version, hex);
	repository_write(world, path, bytes.data, bytes.size);
	return json_pack("{s:I, s:{s:s}, s:{s:s, s:s, s:i, s:s, s:[s], s:s}}", "length", (json_int_t)bytes.size,
			 "hashes", "sha256", hex, "custom", "product", "vpn", "version", version, "sequence", sequence,
			 "published", "2026-01-01", "channels", "stable", "class", "feature");
}

static inline void repository_make(struct world *world)
{
	repository_write(world, REPOSITORY_BLOB, "stored bytes", 12);
	repository_put_role(world, ROLE_ROOT, "metadata/1.root.json", repository_root());
	repository_put_role(world, ROLE_TARGETS, "metadata/1.targets.json",
			    json_pack("{s:s, s:s, s:i, s:s, s:{s:o, s:o}}", "_type", "targets", "spec_version",
				      "1.0.31", "version", 1, "expires", REPOSITORY_EXPIRES, "targets",
				      "vpn/1.0/manifest.json", repository_release(world, "1.0", 1),
				      "vpn/1.1/manifest.json", repository_release(world, "1.1", 2)));
	repository_put_role(world, ROLE_SNAPSHOT, "metadata/1.snapshot.json",
			    json_pack("{s:s, s:s, s:i, s:s, s:{s:{s:i}}}", "_type", "snapshot", "spec_version",
				      "1.0.31", "version", 1, "expires", REPOSITORY_EXPIRES, "meta", "targets.json",
				      "version", 1));
}

#endif

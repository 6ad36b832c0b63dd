#include "release/inspect.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/authority.h"
#include "keys/envelope.h"
#include "keys/sshkey.h"
#include "keys/technicians.h"
#include "keys/trust.h"
#include "release/bundle.h"

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to inspect");
}

static int manifest_report(const void *bytes, size_t size, json_t **ret_report, struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	size_t counts[3] = {0}, hooks = 0;
	uint64_t stored = 0, plain = 0;
	uint8_t hash[HASH_SIZE];
	char sha256[HASH_HEX_SIZE], sbom[HASH_HEX_SIZE];

	int result = manifest_parse(bytes, size, &manifest, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < manifest->entry_count; i++) {
		counts[manifest->entries[i].type]++;
		hooks += manifest->entries[i].root == MANIFEST_HOOKS;
	}
	for (size_t i = 0; i < manifest->blob_count; i++) {
		stored += manifest->blobs[i].stored;
		plain += manifest->blobs[i].plain;
	}
	hash_bytes(HASH_SHA256, bytes, size, hash);
	hash_to_hex(hash, HASH_SIZE, sha256);
	hash_to_hex(manifest->sbom, HASH_SIZE, sbom);
	json_t *report = json_pack(
		"{s:s, s:s, s:s, s:s, s:s*, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
		"s:s*, s:s*, s:s}",
		"kind", "manifest", "product", manifest->product, "version", manifest->version, "class",
		manifest->security ? "security" : "feature", "min_from",
		manifest->min_from[0] != '\0' ? manifest->min_from : NULL, "stop", manifest->stop, "data_migration",
		manifest->data_migration, "reboot", manifest->reboot, "network", manifest->network, "tree_bytes",
		(json_int_t)manifest->tree_bytes, "apply_seconds", (json_int_t)manifest->apply_seconds,
		"rollback_seconds", (json_int_t)manifest->rollback_seconds, "files",
		(json_int_t)(counts[MANIFEST_FILE] - hooks), "directories", (json_int_t)counts[MANIFEST_DIRECTORY],
		"links", (json_int_t)counts[MANIFEST_LINK], "hooks", (json_int_t)hooks, "blobs",
		(json_int_t)manifest->blob_count, "stored_bytes", (json_int_t)stored, "plain_bytes", (json_int_t)plain,
		"sbom", manifest->has_sbom, "sbom_blake2b", manifest->has_sbom ? sbom : NULL, "notes", manifest->notes,
		"manifest_sha256", sha256);
	if (report == NULL)
		return no_memory(error);
	*ret_report = report;
	return 0;
}

static int bundle_report(const char *path, json_t **ret_report, struct error *error)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(jsonio_free) json_t *report = NULL;

	int result = bundle_open(path, &bundle, error);
	if (result == 0)
		result = manifest_report(bundle_manifest(bundle)->data, bundle_manifest(bundle)->size, &report, error);
	if (result < 0)
		return result;
	if (json_object_set_new(report, "kind", json_string("bundle")) != 0 ||
	    json_object_set_new(report, "chain", json_boolean(bundle_has(bundle, "metadata/1.root.json"))) != 0)
		return no_memory(error);
	*ret_report = TAKE(report);
	return 0;
}

static int envelope_report(const struct buffer *bytes, const char *path, const json_t *document, json_t **ret_report,
			   struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(jsonio_free) json_t *ids = json_array();
	const json_t *signatures = json_object_get(document, "signatures");

	int result = envelope_parse(bytes->data, bytes->size, path, &envelope, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < json_array_size(signatures); i++)
		if (json_array_append(ids, json_object_get(json_array_get(signatures, i), "keyid")) != 0)
			return no_memory(error);
	const json_t *signed_part = envelope_signed(envelope);
	const char *type = json_string_value(json_object_get(signed_part, "_type"));
	json_t *report = json_pack("{s:s, s:O, s:O}", "kind", type != NULL ? type : "envelope", "signed_by", ids,
				   "signed", signed_part);
	if (report == NULL)
		return no_memory(error);
	if (type != NULL && strcmp(type, "root") == 0) {
		uint8_t hash[HASH_SIZE];
		char hex[HASH_HEX_SIZE];
		trust_root_hash(bytes->data, bytes->size, hash);
		hash_to_hex(hash, HASH_SIZE, hex);
		(void)json_object_set_new(report, "root_hash", json_string(hex));
	}
	*ret_report = report;
	return 0;
}

static json_t *key_report(const char *kind, const struct key *key)
{
	static const char *const schemes[] = {"ed25519", "ecdsa-p256", "rsa-pss-sha256", "unknown"};
	return json_pack("{s:s, s:s, s:s}", "kind", kind, "id", key_id(key), "scheme", schemes[key_scheme(key)]);
}

/* Of a secret key only its public half and whether it is sealed. */
static int key_file_report(const json_t *document, json_t **ret_report, struct error *error)
{
	CLEANUP(key_free) struct key *key = NULL;
	const json_t *public_half = json_object_get(document, "public");
	const char *seal = json_string_value(json_object_get(document, "seal"));

	int result = key_parse(public_half != NULL ? public_half : document, NULL, &key, error);
	if (result < 0)
		return result;
	json_t *report = key_report(public_half != NULL ? "secret key" : "public key", key);
	if (report == NULL ||
	    (public_half != NULL &&
	     json_object_set_new(report, "sealed", json_boolean(seal != NULL && strcmp(seal, "none") != 0)) != 0))
		return no_memory(error);
	*ret_report = report;
	return 0;
}

static int authority_report(const struct buffer *bytes, json_t **ret_report, struct error *error)
{
	struct authority authority = {0};
	const struct {
		const char *name;
		const struct key_set *set;
	} sets[] = {{"order", &authority.order}, {"entitlement", &authority.entitlement}};

	int result = authority_parse(bytes->data, bytes->size, &authority, error);
	if (result < 0)
		return result;
	json_t *report = json_pack("{s:s}", "kind", "authority");
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		json_t *keys = json_array();
		for (size_t j = 0; j < sets[i].set->count; j++)
			(void)json_array_append_new(keys, key_report("public key", sets[i].set->keys[j]));
		(void)json_object_set_new(report, sets[i].name, keys);
	}
	authority_free(&authority);
	if (report == NULL)
		return no_memory(error);
	*ret_report = report;
	return 0;
}

static int technicians_report(const struct buffer *bytes, json_t **ret_report, struct error *error)
{
	CLEANUP(technicians_free) struct technicians technicians = {0};
	CLEANUP(jsonio_free) json_t *report = json_pack("{s:s, s:[]}", "kind", "technicians", "technicians");

	int result = technicians_parse(bytes->data, bytes->size, &technicians, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < technicians.count; i++) {
		char fingerprint[51];
		sshkey_fingerprint(technicians.list[i].key, fingerprint);
		if (json_array_append_new(
			    json_object_get(report, "technicians"),
			    json_pack("{s:s, s:s}", "name", technicians.list[i].name, "fingerprint", fingerprint)) != 0)
			return no_memory(error);
	}
	*ret_report = TAKE(report);
	return *ret_report != NULL ? 0 : no_memory(error);
}

int inspect_file(const char *path, json_t **ret_report, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);
	CLEANUP(jsonio_free) json_t *document = NULL;
	CLEANUP(file_close) int fd = -1;
	char first = 0;

	fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, "missing", "%s cannot be opened", path);
	if (read(fd, &first, 1) == 1 && first != '{')
		return bundle_report(path, ret_report, error);
	int result = file_read_at(AT_FDCWD, path, &bytes, error);
	if (result == 0)
		result = jsonio_parse(bytes.data, bytes.size, path, &document, error);
	if (result < 0)
		return result;
	const char *type = json_string_value(json_object_get(document, "_type"));
	if (json_object_get(document, "signed") != NULL)
		result = envelope_report(&bytes, path, document, ret_report, error);
	else if (type != NULL && strcmp(type, "manifest") == 0)
		result = manifest_report(bytes.data, bytes.size, ret_report, error);
	else if (type != NULL && strcmp(type, "authority") == 0)
		result = authority_report(&bytes, ret_report, error);
	else if (type != NULL && strcmp(type, "technicians") == 0)
		result = technicians_report(&bytes, ret_report, error);
	else if (json_object_get(document, "public") != NULL || json_object_get(document, "keytype") != NULL)
		result = key_file_report(document, ret_report, error);
	else
		result = error_set(error, ERROR_DATA, "format", "%s is neither bundle, manifest, signed file nor key",
				   path);
	return result;
}

#include <string.h>

#include "release/manifest_entry.h"

static const char *class_name(const struct manifest *manifest)
{
	return manifest->security ? "security" : "feature";
}

static json_t *hash_value(const uint8_t hash[static HASH_SIZE])
{
	char text[HASH_HEX_SIZE];
	hash_to_hex(hash, HASH_SIZE, text);
	return json_string(text);
}

static int write_lists(const struct manifest *manifest, json_t *root)
{
	json_t *entries = json_array(), *contents = json_array(), *blobs = json_array();
	int failed = json_object_set_new(root, "entries", entries);
	failed |= json_object_set_new(root, "contents", contents);
	failed |= json_object_set_new(root, "blobs", blobs);

	for (size_t i = 0; failed == 0 && i < manifest->entry_count; i++)
		failed |= json_array_append_new(entries, manifest_entry_value(&manifest->entries[i]));
	for (size_t i = 0; failed == 0 && i < manifest->content_count; i++)
		failed |= json_array_append_new(contents, hash_value(manifest->contents[i].hash));
	for (size_t i = 0; failed == 0 && i < manifest->blob_count; i++) {
		const struct manifest_blob *blob = &manifest->blobs[i];
		json_t *object = json_object();
		failed |= json_array_append_new(blobs, object);
		failed |= json_object_set_new(object, "hash", hash_value(blob->hash));
		failed |= json_object_set_new(object, "stored", json_integer((json_int_t)blob->stored));
		failed |= json_object_set_new(object, "plain", json_integer((json_int_t)blob->plain));
	}
	return failed;
}

int manifest_write(const struct manifest *manifest, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(jsonio_free) json_t *root = json_object();
	int failed = 0;
	const struct {
		const char *name;
		json_t *value;
		bool absent;
	} members[] = {
		{"_type", json_string("manifest")},
		{"format", json_integer(1)},
		{"product", json_string(manifest->product)},
		{"version", json_string(manifest->version)},
		{"class", json_string(class_name(manifest))},
		{"min_from", json_string(manifest->min_from), manifest->min_from[0] == '\0'},
		{"stop", json_boolean(manifest->stop)},
		{"data_migration", json_boolean(manifest->data_migration)},
		{"reboot", json_boolean(manifest->reboot)},
		{"network", json_boolean(manifest->network)},
		{"hook_api", json_integer(manifest->hook_api)},
		{"tree_bytes", json_integer((json_int_t)manifest->tree_bytes)},
		{"apply_seconds", json_integer(manifest->apply_seconds)},
		{"rollback_seconds", json_integer(manifest->rollback_seconds)},
		{"notes", json_string(manifest->notes != NULL ? manifest->notes : ""), manifest->notes == NULL},
		{"sbom", hash_value(manifest->sbom), !manifest->has_sbom},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (members[i].absent)
			json_decref(members[i].value);
		else
			failed |= json_object_set_new(root, members[i].name, members[i].value);
	}
	if (failed == 0)
		failed = write_lists(manifest, root);
	/* Strings that are no UTF-8 end here too: jansson makes no value of them. */
	if (failed != 0)
		return error_set(error, ERROR_DATA, "manifest", "release %s: a name is no UTF-8, or memory ended",
				 manifest->version);
	return jsonio_write(root, false, ret_bytes, error);
}

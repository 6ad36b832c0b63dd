#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "release/blob.h"
#include "release/bundle.h"
#include "release/library.h"
#include "release/pack.h"
#include "release/repository_state.h"

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the release");
}

/* The content stream in order, cut into contents again and hashed: what the blobs hold is what the manifest says. */
struct stream {
	const struct manifest *manifest;
	size_t content;
	uint64_t left; /* of that content */
	struct hash_state state;
};

static void stream_begin(struct stream *stream)
{
	if (stream->content < stream->manifest->content_count)
		stream->left = stream->manifest->contents[stream->content].size;
	hash_begin(&stream->state, HASH_BLAKE2B);
}

static int stream_take(struct stream *stream, const uint8_t *bytes, size_t size, struct error *error)
{
	const struct manifest *manifest = stream->manifest;
	uint8_t hash[HASH_SIZE];

	while (stream->content < manifest->content_count && (size > 0 || stream->left == 0)) {
		size_t part = size < stream->left ? size : (size_t)stream->left;
		hash_update(&stream->state, bytes, part);
		bytes += part;
		size -= part;
		stream->left -= part;
		if (stream->left > 0)
			break;
		hash_end(&stream->state, hash);
		const struct manifest_content *content = &manifest->contents[stream->content];
		if (!hash_equal(hash, content->hash))
			return error_set(error, ERROR_DATA, "hash", "%s in the bundle is not what its manifest says",
					 manifest_file(manifest, content, 0)->path);
		stream->content++;
		stream_begin(stream);
	}
	return 0;
}

static int put_blob(int directory, const char *name, const struct buffer *stored, const struct manifest_blob *blob,
		    struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	struct error ignored;
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;

	if (file_open_beneath(directory, name, O_RDONLY, 0, &fd, &ignored) < 0)
		return file_create_at(directory, name, stored->data, stored->size, 0644, error);
	int result = hash_file(HASH_BLAKE2B, fd, name, hash, &size, error);
	if (result == 0 && (size != blob->stored || !hash_equal(hash, blob->hash)))
		return error_set(error, ERROR_DATA, "hash", "%s in the repository is damaged; remove it and add again",
				 name);
	return result;
}

static int copy_blobs(struct repository *repository, struct bundle *bundle, const struct manifest *manifest,
		      struct error *error)
{
	struct stream stream = {.manifest = manifest};
	int result = 0;

	stream_begin(&stream);
	for (size_t i = 0; result == 0 && i < manifest->blob_count; i++) {
		const struct manifest_blob *blob = &manifest->blobs[i];
		CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
		CLEANUP(buffer_free) struct buffer plain = BUFFER_INIT(MANIFEST_BLOB_PLAIN_MOST);
		char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
		uint8_t hash[HASH_SIZE];

		hash_to_hex(blob->hash, HASH_SIZE, name + strlen(name));
		result = bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, &stored, error);
		if (result < 0)
			return result;
		hash_bytes(HASH_BLAKE2B, stored.data, stored.size, hash);
		if (stored.size != blob->stored || !hash_equal(hash, blob->hash))
			return error_set(error, ERROR_DATA, "hash", "%s of the bundle is not what its name says", name);
		result = blob_decompress(stored.data, stored.size, (size_t)blob->plain, &plain, error);
		if (result == 0)
			result = stream_take(&stream, plain.data, plain.size, error);
		if (result == 0)
			result = put_blob(repository->directory, name, &stored, blob, error);
	}
	/* Empty contents at the end, and releases of nothing else. */
	return result < 0 ? result : stream_take(&stream, (const uint8_t *)"", 0, error);
}

/* A target beside its file: targets/P/V/SHA256.NAME. */
static int put_target(struct repository *repository, const struct manifest *manifest, const char *name,
		      const struct buffer *bytes, json_t *targets, json_t *custom, struct error *error)
{
	char path[512], target[256], hex[HASH_HEX_SIZE];
	uint8_t hash[HASH_SIZE];

	hash_bytes(HASH_SHA256, bytes->data, bytes->size, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	snprintf(target, sizeof(target), "%s/%s/%s", manifest->product, manifest->version, name);
	snprintf(path, sizeof(path), "targets/%s/%s/%s.%s", manifest->product, manifest->version, hex, name);
	json_t *line = json_pack("{s:I, s:{s:s}}", "length", (json_int_t)bytes->size, "hashes", "sha256", hex);
	if (custom != NULL && json_object_set(line, "custom", custom) != 0)
		jsonio_free(&line);
	if (line == NULL || json_object_set_new(json_object_get(targets, "targets"), target, line) != 0)
		return no_memory(error);
	return repository_put(repository->directory, path, bytes->data, bytes->size, error);
}

/* Today in UTC, or the date that was given: not one to come, for appliances take the newest accepted date as the floor
 * of their time and would refuse everything after it. */
static int published_date(const char *given, char ret_date[static 11], struct error *error)
{
	char text[CLOCK_UTC_SIZE];
	int64_t date = 0;

	if (given == NULL) {
		clock_format_utc(clock_now(), text);
		memcpy(ret_date, text, 10);
		ret_date[10] = '\0';
		return 0;
	}
	snprintf(text, sizeof(text), "%.10sT00:00:00Z", given);
	if (strlen(given) != 10 || clock_parse_utc(text, &date, error) < 0)
		return error_set(error, ERROR_USAGE, "published", "--published takes YYYY-MM-DD, not \"%.40s\"", given);
	if (date > clock_now() + REPOSITORY_DAY)
		return error_set(error, ERROR_USAGE, "published",
				 "%s lies in the future; a release is published today or was before", given);
	snprintf(ret_date, 11, "%s", given);
	return 0;
}

/* What "older" means: one more than any release has, whatever the version strings look like. */
static int next_sequence(const json_t *targets, const struct manifest *manifest, int64_t *ret_sequence,
			 struct error *error)
{
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	size_t count = 0;
	bool min_from = manifest->min_from[0] == '\0';

	int result = library_list(targets, manifest->product, &releases, &count, error);
	if (result < 0)
		return result;
	*ret_sequence = 1;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(releases[i].version, manifest->version) == 0)
			return error_set(error, ERROR_CANNOT_CREATE, "exists",
					 "%s %s is in the repository; a version is never "
					 "overwritten, pack another",
					 manifest->product, manifest->version);
		min_from |= strcmp(releases[i].version, manifest->min_from) == 0;
		if (releases[i].sequence >= *ret_sequence)
			*ret_sequence = releases[i].sequence + 1;
	}
	if (!min_from)
		return error_set(error, ERROR_DATA, "min-from",
				 "%s %s installs over %s or newer, but the repository has no %s", manifest->product,
				 manifest->version, manifest->min_from, manifest->min_from);
	return 0;
}

static int make_custom(const struct manifest *manifest, const struct repository_addition *addition, int64_t sequence,
		       json_t **ret_custom, struct error *error)
{
	CLEANUP(jsonio_free) json_t *custom = NULL;
	json_t *channels = json_array();
	char date[11];

	int result = published_date(addition->published, date, error);
	for (size_t i = 0; result == 0 && i < addition->channel_count; i++) {
		if (!manifest_name_is_safe(addition->channels[i]))
			result = error_set(error, ERROR_USAGE, "name", "channel \"%.80s\" is no name",
					   addition->channels[i]);
		else if (json_array_append_new(channels, json_string(addition->channels[i])) != 0)
			result = no_memory(error);
	}
	if (result < 0) {
		jsonio_free(&channels);
		return result;
	}
	custom = json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:b}", "product", manifest->product, "version",
			   manifest->version, "sequence", (json_int_t)sequence, "published", date, "channels", channels,
			   "class", manifest->security ? "security" : "feature", "stop", manifest->stop);
	if (custom == NULL || (manifest->min_from[0] != '\0' &&
			       json_object_set_new(custom, "min_from", json_string(manifest->min_from)) != 0))
		return no_memory(error);
	*ret_custom = TAKE(custom);
	return 0;
}

static int add_sbom(struct repository *repository, struct bundle *bundle, const struct manifest *manifest,
		    json_t *targets, struct error *error)
{
	CLEANUP(buffer_free) struct buffer sbom = BUFFER_INIT(PACK_SBOM_MOST);
	uint8_t hash[HASH_SIZE];

	if (!manifest->has_sbom)
		return 0;
	int result = bundle_read(bundle, PACK_SBOM_MEMBER, PACK_SBOM_MOST, &sbom, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_BLAKE2B, sbom.data, sbom.size, hash);
	if (!hash_equal(hash, manifest->sbom))
		return error_set(error, ERROR_DATA, "hash",
				 "the bundle's " PACK_SBOM_MEMBER " is not what its manifest says");
	return put_target(repository, manifest, PACK_SBOM_MEMBER, &sbom, targets, NULL, error);
}

int repository_add(struct repository *repository, const struct repository_addition *addition,
		   char ret_version[static MANIFEST_NAME_MOST + 1], struct error *error)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(jsonio_free) json_t *targets = NULL;
	CLEANUP(jsonio_free) json_t *custom = NULL;
	int64_t sequence = 0;

	int result = bundle_open(addition->bundle, &bundle, error);
	if (result == 0)
		result = manifest_parse(bundle_manifest(bundle)->data, bundle_manifest(bundle)->size, &manifest, error);
	if (result < 0)
		return error_prefix(error, "%s", addition->bundle);
	result = bundle_check_closed(bundle, manifest, error);
	if (result < 0)
		return result;
	if (strcmp(manifest->product, repository->product) != 0)
		return error_set(error, ERROR_DATA, "product", "%s is of product %s, the repository of %s",
				 addition->bundle, manifest->product, repository->product);
	result = repository_next_targets(repository, &targets, error);
	if (result == 0)
		result = next_sequence(targets, manifest, &sequence, error);
	if (result == 0)
		result = make_custom(manifest, addition, sequence, &custom, error);
	if (result == 0)
		result = copy_blobs(repository, bundle, manifest, error);
	if (result == 0)
		result = add_sbom(repository, bundle, manifest, targets, error);
	if (result == 0)
		result = put_target(repository, manifest, "manifest.json", bundle_manifest(bundle), targets, custom,
				    error);
	if (result == 0)
		result = repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
	if (result == 0)
		snprintf(ret_version, MANIFEST_NAME_MOST + 1, "%s", manifest->version);
	return result;
}

/* The `custom` of a release in a copy of the targets, to be changed. */
static int find_custom(struct repository *repository, const char *version, json_t **ret_targets, json_t **ret_custom,
		       struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = NULL;
	struct library_release release;

	int result = repository_next_targets(repository, &targets, error);
	if (result == 0)
		result = library_find(targets, repository->product, version, &release, error);
	if (result < 0)
		return result;
	*ret_custom = json_object_get(json_object_get(json_object_get(targets, "targets"), release.target), "custom");
	*ret_targets = TAKE(targets);
	return 0;
}

int repository_promote(struct repository *repository, const char *version, const char *channel, struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = NULL;
	json_t *custom = NULL;

	if (!manifest_name_is_safe(channel))
		return error_set(error, ERROR_USAGE, "name", "channel \"%.80s\" is no name", channel);
	int result = find_custom(repository, version, &targets, &custom, error);
	if (result < 0)
		return result;
	json_t *channels = json_object_get(custom, "channels");
	for (size_t i = 0; i < json_array_size(channels); i++)
		if (strcmp(json_string_value(json_array_get(channels, i)), channel) == 0)
			return error_set(error, ERROR_USAGE, "channel", "%s is in channel %s already", version,
					 channel);
	if (json_array_size(channels) >= LIBRARY_CHANNELS_MOST)
		return error_set(error, ERROR_USAGE, "channel", "%s is in %d channels, more there are not", version,
				 LIBRARY_CHANNELS_MOST);
	if (json_array_append_new(channels, json_string(channel)) != 0)
		return no_memory(error);
	return repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
}

int repository_leave(struct repository *repository, const char *version, const char *channel, struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = NULL;
	json_t *custom = NULL;

	int result = find_custom(repository, version, &targets, &custom, error);
	if (result < 0)
		return result;
	json_t *channels = json_object_get(custom, "channels");
	for (size_t i = 0; i < json_array_size(channels); i++) {
		if (strcmp(json_string_value(json_array_get(channels, i)), channel) != 0)
			continue;
		if (json_array_remove(channels, i) != 0)
			return no_memory(error);
		return repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
	}
	return error_set(error, ERROR_USAGE, "channel", "%s is not in channel %.80s", version, channel);
}

int repository_yank(struct repository *repository, const char *version, const char *reason, struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = NULL;
	json_t *custom = NULL;
	char date[11];

	if (strlen(reason) == 0 || strlen(reason) > 127)
		return error_set(error, ERROR_USAGE, "reason", "--reason takes 1 to 127 bytes");
	for (const char *c = reason; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return error_set(error, ERROR_USAGE, "reason", "--reason takes one line of text");
	int result = find_custom(repository, version, &targets, &custom, error);
	if (result == 0)
		result = published_date(NULL, date, error);
	if (result < 0)
		return result;
	if (json_object_get(custom, "yanked") != NULL)
		return error_set(error, ERROR_USAGE, "yanked", "%s was withdrawn already", version);
	if (json_object_set_new(custom, "yanked", json_pack("{s:s, s:s}", "reason", reason, "date", date)) != 0)
		return error_set(error, ERROR_USAGE, "reason", "--reason is no UTF-8");
	return repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
}

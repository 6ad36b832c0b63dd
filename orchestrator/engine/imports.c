/* Imports: asked for in the store, run by the supervisor's import process, and read back here from what then stands in
 * the releases directory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/packet.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_fact.h"
#include "orchestrator/store/store_import.h"

static void join_channels(const json_t *channels, char *ret_text, size_t size)
{
	size_t i, length = 0;
	json_t *name;
	ret_text[0] = '\0';
	json_array_foreach((json_t *)channels, i, name)
	{
		if (length < size)
			length += (size_t)snprintf(ret_text + length, size - length, "%s%s", i ? "," : "",
						   json_string_value(name));
	}
}

/* What only the manifest tells; read once, since a release's manifest never changes. */
static int read_manifest(struct engine *engine, const struct library_release *from, struct store_release *release,
			 struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct store_release standing;
	struct error missing = {0};
	if (store_release_get(engine->store, from->product, from->version, &standing, &missing) == 0 &&
	    hash_equal(standing.sha256, from->sha256)) {
		release->need = standing.need;
		release->bytes = standing.bytes;
		return 0;
	}
	if (catalogue_manifest(engine->releases, from, &manifest, error))
		return -(int)error->code;
	release->need = manifest->apply_seconds + manifest->rollback_seconds;
	for (size_t i = 0; i < manifest->blob_count; i++)
		release->bytes += (int64_t)manifest->blobs[i].stored;
	return 0;
}

static int put_release(struct engine *engine, const struct library_release *from, struct error *error)
{
	struct store_release release = {
		.length = from->length,
		.sequence = from->sequence,
		.published = from->published,
		.security = from->security,
		.stop = from->stop,
		.yanked = from->yanked,
		.imported = clock_now(),
	};
	snprintf(release.product, sizeof release.product, "%s", from->product);
	snprintf(release.version, sizeof release.version, "%s", from->version);
	snprintf(release.target, sizeof release.target, "%s", from->target);
	snprintf(release.min_from, sizeof release.min_from, "%s", from->min_from);
	snprintf(release.yank_reason, sizeof release.yank_reason, "%s", from->yank_reason);
	memcpy(release.sha256, from->sha256, HASH_SIZE);
	join_channels(from->channels, release.channels, sizeof release.channels);
	if (read_manifest(engine, from, &release, error))
		return -(int)error->code;
	return store_release_put(engine->store, &release, error);
}

/* What the newest signed list names no more was withdrawn with the key that brought it. */
static int unlist_missing(struct engine *engine, const json_t *targets, struct error *error)
{
	CLEANUP(jsonio_free) json_t *rows = NULL;
	size_t i;
	json_t *row;
	if (store_release_list(engine->store, NULL, &rows, error))
		return -(int)error->code;
	json_array_foreach(rows, i, row)
	{
		const char *product = jsonio_string(row, "product"), *version = jsonio_string(row, "version");
		struct library_release release;
		struct error missing = {0};
		if (library_find(targets, product, version, &release, &missing) == 0)
			continue;
		log_write(LOG_LEVEL_WARNING, "release %s of %s is in the signed list no more", version, product);
		if (store_release_unlist(engine->store, product, version, error))
			return -(int)error->code;
	}
	return 0;
}

int imports_load(struct engine *engine, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	CLEANUP(catalogue_free) struct catalogue *catalogue = NULL;
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	char root[HASH_HEX_SIZE];
	size_t count = 0;
	if (catalogue_load(engine->releases, &catalogue, error) ||
	    library_list(catalogue_targets(catalogue), NULL, &releases, &count, error) ||
	    store_begin(engine->store, &transaction, error))
		return -(int)error->code;
	hash_to_hex(catalogue_root_hash(catalogue), HASH_SIZE, root);
	if (store_fact_set(engine->store, STORE_FACT_ROOT, root, error))
		return -(int)error->code;
	for (size_t i = 0; i < count; i++)
		if (put_release(engine, &releases[i], error))
			return -(int)error->code;
	if (unlist_missing(engine, catalogue_targets(catalogue), error) || store_commit(&transaction, error))
		return -(int)error->code;
	catalogue_free(&engine->catalogue);
	jsonio_free(&engine->entitlements); /* authority.json may name other keys now */
	engine->catalogue = TAKE(catalogue);
	return 0;
}

static void refuse(struct engine *engine, const struct error *why)
{
	struct error error = {0};
	log_failure("import", why);
	if (store_import_refused(engine->store, engine->import, why, &error))
		log_failure("import", &error);
}

static void accept_result(struct engine *engine, const json_t *releases)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(1024 * 1024);
	struct error error = {0};
	if (imports_load(engine, &error) || jsonio_write(releases, false, &text, &error)) {
		refuse(engine, &error);
		return;
	}
	/* A timestamp that is late does not undo the import: it is tried again every minute. */
	if (sign_timestamp_if_due(engine, &error))
		log_failure("the timestamp", &error);
	lifetimes_store(engine);
	if (store_import_done(engine->store, engine->import, (const char *)text.data, &error))
		log_failure("import", &error);
	log_write(LOG_LEVEL_NOTICE, "import %lld is done", (long long)engine->import);
}

static void finish(struct engine *engine)
{
	if (engine->import_fd >= 0)
		loop_forget(engine->loop, engine->import_fd);
	file_close(&engine->import_fd);
	engine->import = 0;
	engine_wake(engine);
}

static void take_refusal(struct engine *engine, const json_t *refusal)
{
	struct error why = {0};
	if (packet_to_error(refusal, &why) == 0)
		error_set(&why, ERROR_BUG, "import", "the import was refused without a reason");
	refuse(engine, &why);
}

static void result_ready(void *context, int fd, uint32_t events UNUSED)
{
	struct engine *engine = context;
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int extra = -1;
	struct error error = {0};
	if (packet_receive(fd, &message, &extra, &error)) {
		error_set(&error, ERROR_BUG, "import", "the import process ended without an answer");
		refuse(engine, &error);
	} else if (json_is_array(json_object_get(message, "releases"))) {
		accept_result(engine, json_object_get(message, "releases"));
	} else {
		take_refusal(engine, jsonio_member(message, "error"));
	}
	finish(engine);
}

void imports_answer_take(struct engine *engine, const json_t *message, int fd)
{
	struct error error = {0};
	if (jsonio_integer(message, "import") != engine->import || !engine->import || engine->import_fd >= 0) {
		file_close(&fd);
		return;
	}
	engine->import_fd = fd;
	if (fd < 0) {
		take_refusal(engine, jsonio_member(message, "error"));
		finish(engine);
	} else if (loop_watch(engine->loop, fd, EPOLLIN, result_ready, engine, &error)) {
		file_close(&engine->import_fd);
		refuse(engine, &error);
		finish(engine);
	}
}

void imports_run(struct engine *engine)
{
	struct store_import import;
	struct error error = {0};
	bool found = false;
	if (engine->import)
		return;
	if (store_import_take(engine->store, &import, &found, &error)) {
		log_failure("imports", &error);
		return;
	}
	if (!found)
		return;
	engine->import = import.id;
	peer_send_take(engine->supervisor,
		       json_pack("{s:I, s:s}", "import", (json_int_t)import.id, "directory", import.directory));
}

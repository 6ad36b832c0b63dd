#include "appliance-hook/check/verify.h"

#include <string.h>

#include "appliance-hook/check/floor.h"
#include "appliance-hook/check/shortcut.h"
#include "appliance-hook/check/technicians.h"
#include "base/file.h"
#include "release/unpack.h"

#define AUTHORITY_STORED   "authority.json"
#define ENTITLEMENT_STORED "entitlement.json"

static int need(const struct verify *verify, unsigned passed, struct error *error)
{
	if ((verify->passed & passed) == passed)
		return 0;
	return error_set(error, ERROR_BUG, "order", "a check was asked for before the one that it rests on");
}

void verify_start(struct verify *verify, struct session *session, stream_other *other, void *context)
{
	*verify = (struct verify){
		.session = session,
		.source = {.stream = session->stream, .other = other, .context = context},
		.now = clock_now(),
		.manifest_bytes = BUFFER_INIT(MANIFEST_BYTES_MOST),
		.delta_head = BUFFER_INIT(MANIFEST_BYTES_MOST),
	};
}

void verify_end(struct verify *verify)
{
	manifest_free(&verify->manifest);
	buffer_free(&verify->manifest_bytes);
	buffer_free(&verify->delta_head);
	authority_free(&verify->authority);
	trust_free(&verify->trust);
	jsonio_free(&verify->standing);
}

int verify_standing(struct verify *verify, struct error *error)
{
	CLEANUP(jsonio_free) json_t *standing = NULL;
	if (actor_ask(&verify->session->actor, "status", NULL, NULL, NULL, &standing, error) < 0)
		return -(int)error->code;
	const char *running = json_string_value(json_object_get(standing, "version"));
	jsonio_free(&verify->standing);
	verify->running = running ? running : "";
	verify->standing = TAKE(standing);
	verify->passed |= VERIFY_STANDING;
	return 0;
}

/* authority.json as a target of the set that was just accepted. */
static int fetch_authority(struct verify *verify, const struct role_target *target, struct buffer *ret_bytes,
			   struct error *error)
{
	if (trust_fetch_target(verify->trust, source_trust(&verify->source), AUTHORITY_TARGET, target, ret_bytes,
			       error) < 0)
		return -(int)error->code;
	return authority_parse(ret_bytes->data, ret_bytes->size, &verify->authority, error);
}

/* So that a rollback needs nobody. */
static int keep_authority(const struct verify *verify, const struct buffer *bytes, struct error *error)
{
	return file_replace_at(verify->session->places->trust, AUTHORITY_STORED, bytes->data, bytes->size, 0644, error);
}

static int stored_authority(struct verify *verify, const struct role_target *target, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(AUTHORITY_MOST);
	uint8_t hash[HASH_SIZE];
	if (file_read_at(verify->session->places->trust, AUTHORITY_STORED, &bytes, error) < 0)
		return -(int)error->code;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	if ((int64_t)bytes.size != target->length || !hash_equal(hash, target->sha256))
		return error_set(error, ERROR_DATA, "hash", "the stored " AUTHORITY_TARGET " is not the signed one");
	return authority_parse(bytes.data, bytes.size, &verify->authority, error);
}

static int find_authority(struct verify *verify, int64_t now, struct role_target *ret_target, struct error *error)
{
	bool named = false;
	if (trust_target(verify->trust, source_trust(&verify->source), AUTHORITY_TARGET, now, ret_target, &named,
			 error) < 0)
		return -(int)error->code;
	if (!named || ret_target->length > AUTHORITY_MOST)
		return error_set(error, ERROR_DATA, "authority",
				 "the signed metadata names no " AUTHORITY_TARGET
				 ": nobody may sign orders or entitlements");
	return 0;
}

static int open_trust(struct verify *verify, struct error *error)
{
	const struct check_places *places = verify->session->places;
	trust_free(&verify->trust);
	authority_free(&verify->authority);
	verify->authority = (struct authority){0};
	return trust_open(places->metadata, places->root->data, places->root->size, &verify->trust, error);
}

/* Two sessions may refresh at once; the stored chain has one writer at a time. */
static int lock_trust(const struct verify *verify, int *ret_lock, struct error *error)
{
	return file_lock_at(verify->session->places->trust, "lock", 30000, ret_lock, error);
}

static int follow_technicians(struct verify *verify, struct error *error)
{
	return technicians_follow(verify->trust, source_trust(&verify->source), verify->session->places->trust, error);
}

int verify_metadata(struct verify *verify, struct error *error)
{
	CLEANUP(buffer_free) struct buffer authority = BUFFER_INIT(AUTHORITY_MOST);
	struct role_target target = {0};
	CLEANUP(file_close) int lock = -1;
	if (need(verify, VERIFY_STANDING, error) < 0 ||
	    floor_check(verify->session->places->trust, verify->now, error) < 0 ||
	    lock_trust(verify, &lock, error) < 0 || open_trust(verify, error) < 0 ||
	    trust_refresh(verify->trust, source_trust(&verify->source), TRUST_ALL, verify->now, error) < 0 ||
	    follow_technicians(verify, error) < 0 || find_authority(verify, verify->now, &target, error) < 0 ||
	    fetch_authority(verify, &target, &authority, error) < 0 || keep_authority(verify, &authority, error) < 0)
		return -(int)error->code;
	verify->passed |= VERIFY_METADATA;
	return 0;
}

int verify_metadata_offline(struct verify *verify, const struct buffer *grant, struct offline *ret_offline,
			    struct error *error)
{
	CLEANUP(buffer_free) struct buffer authority = BUFFER_INIT(AUTHORITY_MOST);
	const struct session *session = verify->session;
	struct role_target target = {0};
	struct role_meta snapshot;
	struct offline offline;
	CLEANUP(file_close) int lock = -1;
	if (need(verify, VERIFY_STANDING, error) < 0 || floor_check(session->places->trust, verify->now, error) < 0 ||
	    offline_peek(grant->data, grant->size, &snapshot, error) < 0 || lock_trust(verify, &lock, error) < 0 ||
	    open_trust(verify, error) < 0 ||
	    trust_refresh_at(verify->trust, source_trust(&verify->source), &snapshot, verify->now, error) < 0 ||
	    find_authority(verify, verify->now, &target, error) < 0 ||
	    fetch_authority(verify, &target, &authority, error) < 0 ||
	    offline_parse(grant->data, grant->size, &verify->authority, verify->now, &offline, error) < 0 ||
	    offline_check(&offline, session->appliance, session->places->product_name, verify->now, error) < 0 ||
	    trust_keep(verify->trust, error) < 0 || follow_technicians(verify, error) < 0 ||
	    keep_authority(verify, &authority, error) < 0)
		return -(int)error->code;
	verify->passed |= VERIFY_METADATA;
	*ret_offline = offline;
	return 0;
}

int verify_metadata_stored(struct verify *verify, struct error *error)
{
	struct role_target target = {0};
	/* The beginning of time: nothing had expired then. Signatures, versions and hashes are checked as ever. */
	const int64_t ageless = 0;
	CLEANUP(file_close) int lock = -1;
	if (need(verify, VERIFY_STANDING, error) < 0 || lock_trust(verify, &lock, error) < 0 ||
	    open_trust(verify, error) < 0 || trust_load(verify->trust, ageless, error) < 0 ||
	    find_authority(verify, ageless, &target, error) < 0 || stored_authority(verify, &target, error) < 0)
		return -(int)error->code;
	verify->passed |= VERIFY_METADATA;
	return 0;
}

int verify_manifest(struct verify *verify, const char *version, struct error *error)
{
	const char *product = verify->session->places->product_name;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct library_release release;
	bool made = false;
	if (need(verify, VERIFY_METADATA, error) < 0 ||
	    library_find(trust_targets(verify->trust), product, version, &release, error) < 0)
		return -(int)error->code;
	struct role_target target = {.length = release.length};
	memcpy(target.sha256, release.sha256, HASH_SIZE);
	if (release.length > MANIFEST_BYTES_MOST)
		return error_set(error, ERROR_DATA, "length", "the manifest of %s %s is signed as too long", product,
				 version);
	buffer_clear(&verify->manifest_bytes);
	if (shortcut_manifest(verify, &release, &verify->manifest_bytes, &verify->delta_head, &made, error) < 0 ||
	    (!made && trust_fetch_target(verify->trust, source_trust(&verify->source), release.target, &target,
					 &verify->manifest_bytes, error) < 0) ||
	    manifest_parse(verify->manifest_bytes.data, verify->manifest_bytes.size, &manifest, error) < 0)
		return -(int)error->code;
	if (strcmp(manifest->product, product) != 0 || strcmp(manifest->version, version) != 0)
		return error_set(error, ERROR_DATA, "wrong-target", "the manifest signed as %s %s says it is %s %s",
				 product, version, manifest->product, manifest->version);
	manifest_free(&verify->manifest);
	verify->manifest = TAKE(manifest);
	verify->release = release;
	verify->passed |= VERIFY_MANIFEST;
	return 0;
}

static bool is_quarantined(const struct verify *verify)
{
	char hex[HASH_HEX_SIZE];
	size_t index;
	const json_t *one;
	hash_to_hex(verify->release.sha256, HASH_SIZE, hex);
	json_array_foreach(json_object_get(verify->standing, "quarantine"), index,
			   one) if (json_is_string(one) && strcmp(json_string_value(one), hex) == 0) return true;
	return false;
}

int verify_path(struct verify *verify, struct error *error)
{
	const struct library_release *release = &verify->release;
	if (need(verify, VERIFY_MANIFEST, error) < 0)
		return -(int)error->code;
	if (release->yanked)
		return error_set(error, ERROR_DATA, "yanked", "%s %s was withdrawn: %s", release->product,
				 release->version, release->yank_reason);
	if (is_quarantined(verify))
		return error_set(error, ERROR_DATA, "quarantined",
				 "%s %s was rolled back on this appliance and is quarantined here: see `appliance-hook "
				 "quarantine list`",
				 release->product, release->version);
	if (verify->running[0] == '\0')
		return error_set(error, ERROR_CONFIG, "adopted",
				 "no release runs here yet: `appliance-hook adopt` first");
	if (library_path_allows(trust_targets(verify->trust), release->product, verify->running, release->version,
				error) < 0)
		return -(int)error->code;
	if (strcmp(verify->running, release->version) == 0)
		return error_set(error, ERROR_DATA, "running", "%s %s is what runs already", release->product,
				 release->version);
	if (release->published > verify->now)
		return error_set(error, ERROR_DATA, "clock",
				 "%s %s was published after this appliance's clock says it is: set the clock",
				 release->product, release->version);
	if (floor_raise(verify->session->places->trust, release->published, error) < 0)
		return -(int)error->code;
	verify->passed |= VERIFY_PATH;
	return 0;
}

/* For a mirror, which has none. One that was issued before the one that is kept does not replace it. */
static int keep_entitlement(const struct verify *verify, const struct buffer *bytes, struct error *error)
{
	CLEANUP(buffer_free) struct buffer kept = BUFFER_INIT(ENTITLEMENT_MOST);
	int trust = verify->session->places->trust;
	struct entitlement before;
	struct error ignored = {0};
	if (strcmp(verify->entitlement.appliance, verify->session->appliance) != 0)
		return 0;
	if (file_read_at(trust, ENTITLEMENT_STORED, &kept, &ignored) == 0 &&
	    entitlement_parse(kept.data, kept.size, &verify->authority, verify->now, &before, &ignored) == 0 &&
	    before.issued >= verify->entitlement.issued)
		return 0;
	return file_replace_at(trust, ENTITLEMENT_STORED, bytes->data, bytes->size, 0644, error);
}

int verify_entitlement_stored(struct verify *verify, json_t **ret_envelope, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ENTITLEMENT_MOST);
	struct error reading = {0};
	if (file_read_at(verify->session->places->trust, ENTITLEMENT_STORED, &bytes, &reading) == 0)
		return jsonio_parse(bytes.data, bytes.size, ENTITLEMENT_STORED, ret_envelope, error);
	if (strcmp(reading.name, "missing") == 0)
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "this appliance has received no entitlement yet: `appliance-hook check` asks the "
				 "support centre for one");
	*error = reading;
	return -(int)error->code;
}

int verify_entitlement(struct verify *verify, const json_t *envelope, bool managed, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ENTITLEMENT_MOST);
	if (need(verify, VERIFY_MANIFEST, error) < 0)
		return -(int)error->code;
	if (!json_is_object(envelope))
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "no entitlement came with the request: ask your support centre");
	if (jsonio_write(envelope, false, &bytes, error) < 0 ||
	    entitlement_parse(bytes.data, bytes.size, &verify->authority, verify->now, &verify->entitlement, error) <
		    0 ||
	    keep_entitlement(verify, &bytes, error) < 0)
		return -(int)error->code;
	struct entitlement_question question = {
		.appliance = verify->session->appliance,
		.product = verify->release.product,
		.published = verify->release.published,
		.security = verify->release.security,
		.managed = managed,
		.now = verify->now,
	};
	if (entitlement_allows(&verify->entitlement, &question, error) < 0)
		return -(int)error->code;
	verify->passed |= VERIFY_ENTITLEMENT;
	return 0;
}

int verify_all(struct verify *verify, const struct verify_wish *wish, struct error *error)
{
	if (verify_standing(verify, error) < 0 || verify_metadata(verify, error) < 0 ||
	    verify_manifest(verify, wish->version, error) < 0 || verify_path(verify, error) < 0)
		return -(int)error->code;
	return verify_entitlement(verify, wish->entitlement, wish->managed, error);
}

static int first_failure(const json_t *answer, struct error *error)
{
	size_t index;
	const json_t *check;
	if (json_is_true(json_object_get(answer, "ok")))
		return 0;
	json_array_foreach(json_object_get(answer, "checks"), index, check)
	{
		const char *name = json_string_value(json_object_get(check, "name"));
		const char *text = json_string_value(json_object_get(check, "text"));
		if (json_is_true(json_object_get(check, "ok")) || !name)
			continue;
		bool room = strcmp(name, "space") == 0 || strcmp(name, "disk") == 0;
		return error_set(error, room ? ERROR_CANNOT_CREATE : ERROR_NOT_NOW, name, "%s", text ? text : name);
	}
	return error_set(error, ERROR_NOT_NOW, "preflight", "this appliance is not ready for an upgrade");
}

int verify_preflight(struct verify *verify, json_t **ret_answer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	if (need(verify, VERIFY_MANIFEST, error) < 0)
		return -(int)error->code;
	json_t *arguments = json_pack("{s:s, s:I, s:b, s:b}", "version", verify->release.version, "bytes",
				      (json_int_t)unpack_space_needed(verify->manifest), "data_migration",
				      (int)verify->manifest->data_migration, "reboot", (int)verify->manifest->reboot);
	if (actor_ask(&verify->session->actor, "preflight", arguments, NULL, NULL, &answer, error) < 0)
		return -(int)error->code;
	if (!ret_answer)
		return first_failure(answer, error);
	*ret_answer = TAKE(answer);
	return 0;
}

#include "tests/unit/check/world.h"

void put_file(const char *path, const void *bytes, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	struct error error = {0};
	assert_true(fd >= 0);
	assert_ok(file_write_fd(fd, path, bytes, size, &error));
	close(fd);
}

void put_noise(const char *path, size_t size, uint64_t seed)
{
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(seed >> 56);
	}
	put_file(path, bytes, size, 0644);
	free(bytes);
}

void add_bytes(struct repository *repository, const char *path, struct buffer bytes, json_t *custom)
{
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE], name[256];
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	hash_to_hex(hash, sizeof(hash), hex);
	json_object_set_new(json_object_get(repository->targets, "targets"), path,
			    json_pack("{s:I, s:{s:s}, s:o*}", "length", (json_int_t)bytes.size, "hashes", "sha256", hex,
				      "custom", custom));
	snprintf(name, sizeof(name), "targets/%.*s%s.%s", (int)(base - path), path, hex, base);
	repository_put(repository, name, bytes);
}

json_t *target_custom(struct world *world, const char *version)
{
	char path[128];
	snprintf(path, sizeof(path), "probe/%s/manifest.json", version);
	json_t *target = json_object_get(json_object_get(world->repository.targets, "targets"), path);
	return json_object_get(target, "custom");
}

char packed_path[64];

static void put_trees(void)
{
	assert_int_equal(mkdir("old", 0755), 0);
	assert_int_equal(mkdir("new", 0755), 0);
	put_file("old/program", "one", 3, 0755);
	put_noise("old/same", 100000, 1);
	put_file("new/program", "two", 3, 0755);
	put_noise("new/same", 100000, 1);
	put_noise("new/large", 12 * 1024 * 1024, 2);
}

int pack_all(void **state UNUSED)
{
	struct error error = {0};
	close(make_directory(packed_path));
	umask(022);
	assert_ok(secret_start(&error));
	assert_int_equal(chdir(packed_path), 0);
	put_trees();
	struct pack_options options = {.product = "probe"};
	options.input = "old", options.output = "probe-1.0.bundle", options.version = "1.0";
	assert_ok(pack_run(&options, NULL, &error));
	options.input = "new", options.output = "probe-1.1.bundle", options.version = "1.1";
	assert_ok(pack_run(&options, NULL, &error));
	return 0;
}

int drop_packed(void **state UNUSED)
{
	struct error error = {0};
	return file_remove_tree_at(AT_FDCWD, packed_path, &error);
}

/* Publishes that version: its manifest as a target, its blobs by hash. */
static void add_release(struct world *world, const char *version, int sequence)
{
	char path[128];
	struct error error = {0};
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	struct buffer bytes = {0};
	snprintf(path, sizeof(path), "%s/probe-%s.bundle", packed_path, version);
	assert_ok(bundle_open(path, &bundle, &error));
	const struct buffer *packed = bundle_manifest(bundle);
	assert_ok(manifest_parse(packed->data, packed->size, &manifest, &error));
	assert_ok(buffer_append(&bytes, packed->data, packed->size, &error));
	snprintf(path, sizeof(path), "probe/%s/manifest.json", version);
	add_bytes(&world->repository, path, bytes,
		  json_pack("{s:s, s:s, s:i, s:s, s:[s], s:s}", "product", "probe", "version", version, "sequence",
			    sequence, "published", "2026-01-05", "channels", "stable", "class", "feature"));
	for (size_t i = 0; i < manifest->blob_count; i++) {
		char hex[HASH_HEX_SIZE], name[HASH_HEX_SIZE + 8];
		struct buffer blob = {0};
		hash_to_hex(manifest->blobs[i].hash, HASH_SIZE, hex);
		snprintf(name, sizeof(name), "blobs/%s", hex);
		assert_ok(bundle_read(bundle, name, (size_t)manifest->blobs[i].stored, &blob, &error));
		repository_put(&world->repository, name, blob);
	}
	/* act keeps the manifests of the trees that stand. */
	snprintf(path, sizeof(path), "product/manifests/%s.json", version);
	if (strcmp(version, "1.0") == 0)
		put_file(path, packed->data, packed->size, 0644);
}

static json_t *key_list(const char *number)
{
	char id[KEY_ID_MOST];
	return json_pack("{s:[o], s:i}", "keys", key_number(number[0], id), "threshold", 1);
}

int world_begin(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct error error = {0};
	CLEANUP(buffer_free) struct buffer pub = {0};
	assert_ok(secret_start(&error));
	log_start("test", LOG_LEVEL_ERROR);
	umask(022);
	world->directory = make_directory(world->path);
	assert_int_equal(chdir(world->path), 0);
	const char *const directories[] = {
		"trust",        "trust/metadata",       "product", "product/manifests", "releases",
		"releases/1.0", "releases/.staging-1.1"};
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdir(directories[i], 0755), 0);
	put_file("releases/1.0/program", "one", 3, 0755);
	put_noise("releases/1.0/same", 100000, 1);

	repository_init(&world->repository);
	add_release(world, "1.0", 1);
	add_release(world, "1.1", 2);
	CLEANUP(jsonio_free)
	json_t *authority = json_pack("{s:s, s:o, s:o}", "_type", "authority", "order", key_list(ORDER_KEY),
				      "entitlement", key_list(ENTITLEMENT_KEY));
	struct buffer authority_bytes = {0};
	assert_ok(jsonio_write_canonical(authority, &authority_bytes, &error));
	add_bytes(&world->repository, AUTHORITY_TARGET, authority_bytes, NULL);
	publish_all(&world->repository);
	world->root = sign_document(world->repository.root, "\1");

	json_t *key = key_number(APPLIANCE_KEY, world->appliance);
	assert_ok(jsonio_write(key, false, &pub, &error));
	json_decref(key);
	put_file("product/appliance.pub", pub.data, pub.size, 0644);
	world->places = (struct check_places){.product_name = "probe", .root = &world->root};
	const char *zones = getenv("TZDIR");
	world->places.zones = open(zones ? zones : "/usr/share/zoneinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(file_open_directory("trust", &world->places.trust, &error));
	assert_ok(file_open_directory("trust/metadata", &world->places.metadata, &error));
	assert_ok(file_open_directory("product", &world->places.product, &error));
	assert_ok(file_open_directory("releases", &world->places.releases, &error));
	world->standing = json_pack("{s:s, s:s, s:s, s:i, s:i, s:{s:s, s:s, s:s, s:s}, s:[]}", "product", "probe",
				    "version", "1.0", "state", "idle", "fence", 0, "generation", 1, "journal",
				    "upgrade", "", "from", "", "to", "1.0", "state", "idle", "quarantine");
	world->broker = -1;
	*state = world;
	return 0;
}

void end_session(struct world *world)
{
	stream_free(&world->stream);
	file_close(&world->broker);
	if (world->session > 0) {
		waitpid(world->session, NULL, 0);
		kill(world->act, SIGTERM);
		waitpid(world->act, NULL, 0);
	}
	world->session = 0;
}

int world_end(void **state)
{
	struct world *world = *state;
	end_session(world);
	repository_free(&world->repository);
	buffer_free(&world->root);
	jsonio_free(&world->standing);
	close(world->places.zones);
	close(world->places.trust);
	close(world->places.metadata);
	close(world->places.product);
	close(world->places.releases);
	assert_int_equal(chdir("/"), 0);
	drop_directory(world->path, world->directory);
	free(world);
	return 0;
}

/* --- act --- */

static void note_request(const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
	FILE *file = fopen("act.log", "a");
	if (file && text)
		fprintf(file, "%s\n", text);
	if (file)
		fclose(file);
	free(text);
}

static void answer(int socket, json_t *ok, int fd)
{
	struct error error = {0};
	if (packet_send_take(socket, json_pack("{s:o}", "ok", ok), fd, &error) < 0)
		_exit(1);
}

static void act_on(struct world *world, int socket, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "do"));
	struct error error = {0};
	if (strcmp(name, "status") == 0) {
		answer(socket, json_incref(world->standing), -1);
	} else if (strcmp(name, "preflight") == 0) {
		bool fails = world->no_room != NULL;
		answer(socket,
		       json_pack("{s:b, s:[{s:s, s:b, s:s, s:s, s:s}]}", "ok", (int)!fails, "checks", "name", "space",
				 "ok", (int)!fails, "value", "1", "limit", "2", "text", fails ? world->no_room : ""),
		       -1);
	} else if (strcmp(name, "stage-dir") == 0) {
		CLEANUP(file_close) int staging = open("releases/.staging-1.1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CLEANUP(file_close) int base = open("releases/1.0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		answer(socket, json_pack("{s:s}", "share", "auto"), staging);
		answer(socket, json_pack("{s:s}", "version", "1.0"), base);
	} else if (strcmp(name, "fence") == 0) {
		answer(socket, json_pack("{s:I}", "fence", (json_int_t)world->fence), -1);
	} else if (strcmp(name, "switch") == 0 || strcmp(name, "rollback") == 0) {
		if (packet_send_take(socket,
				     json_pack("{s:{s:s, s:s}}", "event", "state", "switched", "step", "rename"), -1,
				     &error) < 0)
			_exit(1);
		answer(socket,
		       json_pack("{s:s, s:{s:{}, s:[]}}", "outcome", "committed", "receipt", "signed", "signatures"),
		       -1);
	} else {
		answer(socket, json_object(), -1);
	}
}

_Noreturn void be_act(struct world *world, int socket)
{
	for (;;) {
		json_t *request = NULL;
		int fd = -1;
		struct error error = {0};
		if (packet_receive(socket, &request, &fd, &error) < 0)
			_exit(0);
		note_request(request);
		act_on(world, socket, request);
		json_decref(request);
	}
}

json_t *asked_act(const char *name)
{
	FILE *file = fopen("act.log", "r");
	char line[8192];
	json_t *found = NULL;
	while (file && fgets(line, sizeof(line), file)) {
		json_t *request = json_loads(line, 0, NULL);
		if (strcmp(json_string_value(json_object_get(request, "do")), name) == 0) {
			json_decref(found);
			found = json_incref(request);
		}
		json_decref(request);
	}
	if (file)
		fclose(file);
	return found;
}

bool act_was_asked(const char *name)
{
	CLEANUP(jsonio_free) json_t *request = asked_act(name);
	return request != NULL;
}

/* --- the session --- */

void start_session(struct world *world, enum session_kind kind, const char *scope)
{
	int stream[2], broker[2], act[2];
	struct error error = {0};
	assert_ok(process_socketpair(true, stream, &error));
	assert_ok(process_socketpair(false, broker, &error));
	assert_ok(process_socketpair(false, act, &error));
	unlink("act.log");
	world->act = fork();
	if (world->act == 0) {
		close(act[0]);
		close(stream[0]);
		close(stream[1]);
		close(broker[0]);
		close(broker[1]);
		be_act(world, act[1]);
	}
	world->session = fork();
	if (world->session == 0) {
		struct session_start start = SESSION_START_NONE;
		close(stream[0]);
		close(broker[0]);
		close(act[1]);
		start.kind = kind;
		start.stream = stream[1];
		start.broker = broker[1];
		start.act = act[0];
		strcpy(start.grant.scope, scope);
		_exit(session_run(&start, &world->places, &error) < 0 ? (int)error.code : 0);
	}
	close(stream[1]);
	close(broker[1]);
	close(act[0]);
	close(act[1]);
	world->broker = broker[0];
	assert_ok(stream_new_take(stream[0], MESSAGE_FROM_ORCHESTRATOR, &world->stream, &error));
}

long most_held(const struct world *world)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64 * 1024);
	struct error error = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)world->session);
	assert_ok(file_read_at(AT_FDCWD, path, &text, &error));
	const char *line = strstr((const char *)text.data, "VmHWM:");
	return line ? strtol(line + 6, NULL, 10) : 0;
}

#ifdef __SANITIZE_ADDRESS__
#define MEASURES false
#else
#define MEASURES true
#endif

void assert_held(const struct world *world, long held, long most, const char *words)
{
	long more = most_held(world) - held;

	if (MEASURES && more > most)
		fail_msg("%s: %ld KiB more were held", words, more);
}

void empty_staging(void)
{
	struct error error = {0};

	assert_ok(file_remove_tree_at(AT_FDCWD, "releases/.staging-1.1", &error));
	assert_int_equal(mkdir("releases/.staging-1.1", 0755), 0);
}

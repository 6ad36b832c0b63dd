/* A delta between two small releases. Byte 0 says how the rest is read: as a file as it comes; or as an index, whose
 * length stands first, and what its parts are made of: hashes and frames are then right, so that what lies behind them
 * is met. What is handed out stays within its file, and nothing is handed out twice. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "release/blob.h"
#include "release/bundle.h"
#include "release/delta.h"
#include "release/delta_frame.h"
#include "release/delta_number.h"
#include "release/delta_plan.h"
#include "release/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLAIN_MOST ((size_t)1 << 20)

static struct fixed {
	char directory[64]; /* old, new and the bundles */
	int base;
	struct buffer old_bytes, head;
	struct manifest *manifests[2];
} fixed;

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void remove_fixed(void)
{
	struct error ignored;

	(void)!file_remove_tree_at(AT_FDCWD, fixed.directory, &ignored);
}

static void put(const char *folder, const char *name, size_t size, unsigned seed, unsigned edit)
{
	CLEANUP(free_pointer) uint8_t *bytes = malloc(size);
	char path[128];
	struct error error;

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245u + 12345u;
		bytes[i] = i % 16 == 8 ? 0xe8 : (uint8_t)(seed >> 24);
	}
	bytes[size / 2] ^= (uint8_t)edit;
	snprintf(path, sizeof(path), "%s/%s/%s", fixed.directory, folder, name);
	expect(file_create_at(AT_FDCWD, path, bytes, size, 0644, &error) == 0);
}

static struct manifest *pack(const char *version, struct buffer *ret_bytes)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	char input[128], output[128];
	struct manifest *manifest = NULL;
	struct error error;

	snprintf(input, sizeof(input), "%s/%s", fixed.directory, version);
	snprintf(output, sizeof(output), "%s/%s.bundle", fixed.directory, version);
	const struct pack_options options = {.input = input, .output = output, .product = "p", .version = version};
	expect(pack_run(&options, NULL, &error) == 0 && bundle_open(output, &bundle, &error) == 0);
	const struct buffer *bytes = bundle_manifest(bundle);
	expect(manifest_parse(bytes->data, bytes->size, &manifest, &error) == 0);
	expect(!ret_bytes || buffer_append(ret_bytes, bytes->data, bytes->size, &error) == 0);
	return manifest;
}

/* The same two releases each time, and the head of a delta between them. */
static void prepare(void)
{
	char path[3][128];
	struct delta_head head;
	struct delta_made made;
	struct error error;

	snprintf(fixed.directory, sizeof(fixed.directory), "/tmp/nightshift-fuzz-XXXXXX");
	expect(mkdtemp(fixed.directory) != NULL);
	atexit(remove_fixed);
	for (int i = 0; i < 2; i++) {
		const char *folder = i == 0 ? "1" : "2";
		snprintf(path[0], sizeof(path[0]), "%s/%s", fixed.directory, folder);
		expect(mkdir(path[0], 0755) == 0);
		put(folder, "program", 40000, 7, (unsigned)i);
		put(folder, "text", 3000, 8, (unsigned)i);
		put(folder, "small", 20, 9, (unsigned)i);
		put(folder, "same", 500, 10, 0);
	}
	fixed.manifests[0] = pack("1", &fixed.old_bytes);
	fixed.manifests[1] = pack("2", NULL);
	snprintf(path[0], sizeof(path[0]), "%s/1.bundle", fixed.directory);
	snprintf(path[1], sizeof(path[1]), "%s/2.bundle", fixed.directory);
	snprintf(path[2], sizeof(path[2]), "%s/delta", fixed.directory);
	const struct delta_make make = {.old = path[0], .new = path[1], .output = path[2]};
	expect(delta_make(&make, &made, &error) == 0);
	expect(file_read_at(AT_FDCWD, path[2], &fixed.head, &error) == 0);
	expect(delta_read_head(fixed.head.data, fixed.head.size, &head, &error) == 0);
	fixed.head.size = head.size;
	snprintf(path[0], sizeof(path[0]), "%s/1", fixed.directory);
	expect(file_open_directory(path[0], &fixed.base, &error) == 0);
}

static bool wants(void *context, size_t content)
{
	(void)context;
	return content < fixed.manifests[1]->content_count;
}

static int take(void *context, size_t content, uint64_t offset, const uint8_t *bytes, size_t size, struct error *error)
{
	const uint64_t whole = fixed.manifests[1]->contents[content].size;
	uint8_t hash[HASH_SIZE];

	(void)context, (void)error;
	expect(offset <= whole && size <= whole - offset);
	/* Every byte is touched. */
	hash_bytes(HASH_BLAKE2B, bytes, size, hash);
	return 0;
}

/* Returns whether it could be opened. */
static bool apply(const void *bytes, size_t size)
{
	CLEANUP(delta_free) struct delta *delta = NULL;
	CLEANUP(file_close) int memory = memfd_create("delta", MFD_CLOEXEC);
	const struct delta_sink sink = {wants, take, NULL};
	struct error error;

	if (memory < 0 || write(memory, bytes, size) != (ssize_t)size ||
	    delta_open(memory, fixed.manifests[0], fixed.manifests[1], &delta, &error) < 0)
		return false;
	(void)!delta_check(delta, &error);
	(void)!delta_apply(delta, fixed.base, &sink, &error);
	for (size_t i = 0; i < fixed.manifests[1]->content_count; i++)
		expect(delta_damaged(delta, fixed.base, i) == NULL);
	return true;
}

static void as_it_comes(const uint8_t *data, size_t size)
{
	CLEANUP(buffer_free) struct buffer made = BUFFER_INIT(MANIFEST_BYTES_MOST);
	struct delta_head head;
	struct error error;

	if (delta_read_head(data, size, &head, &error) == 0 && head.manifest_size < PLAIN_MOST && head.size <= size)
		(void)!delta_manifest(data, head.size, &fixed.old_bytes, &made, &error);
	apply(data, size);
}

/* `size` bytes that begin with the material, over and over. */
static uint8_t *stretch(const uint8_t *material, size_t material_size, size_t size)
{
	uint8_t *bytes = calloc(1, size);

	for (size_t i = 0; bytes && material_size > 0 && i < size; i++)
		bytes[i] = material[i % material_size];
	return bytes;
}

enum frames { FRAMES_MADE, FRAMES_RAW };

static int make_frame(const struct delta_part *part, enum frames kind, const uint8_t *material, size_t size,
		      struct buffer *ret_frame, struct error *error)
{
	if (kind == FRAMES_RAW)
		return buffer_append(ret_frame, material, size, error);
	CLEANUP(free_pointer) uint8_t *plain = stretch(material, size, (size_t)part->plain);
	return plain ? delta_frame_make((struct blob_prefix){NULL, 0}, plain, (size_t)part->plain, ret_frame, error)
		     : -1;
}

/* The parts' frames, one behind the other; each part gets the length and the hash of its own. */
static bool make_frames(struct delta_plan *plan, enum frames kind, const uint8_t *material, size_t size,
			struct buffer *ret_frames)
{
	size_t total = 0;

	for (size_t i = 0; i < plan->part_count; i++) {
		struct delta_part *part = &plan->parts[i];
		CLEANUP(buffer_free) struct buffer frame = BUFFER_INIT(0);
		struct error error;
		if (part->plain == 0)
			continue;
		total += (size_t)part->plain + (size_t)part->prefix;
		if (total > PLAIN_MOST || make_frame(part, kind, material, size, &frame, &error) < 0 || frame.size == 0)
			return false;
		part->stored = frame.size;
		hash_bytes(HASH_BLAKE2B, frame.data, frame.size, part->hash);
		if (buffer_append(ret_frames, frame.data, frame.size, &error) < 0)
			return false;
	}
	return true;
}

static void as_an_index(enum frames kind, const uint8_t *data, size_t size)
{
	CLEANUP(delta_plan_free) struct delta_plan plan = {0};
	CLEANUP(buffer_free) struct buffer index = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer frames = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer file = BUFFER_INIT(0);
	uint8_t hash[HASH_SIZE];
	struct error error;

	if (size < 2)
		return;
	size_t length = (size_t)data[0] | (size_t)data[1] << 8;
	if (length > size - 2 ||
	    delta_plan_read(data + 2, length, fixed.manifests[0], fixed.manifests[1], &plan, &error) < 0 ||
	    !make_frames(&plan, kind, data + 2 + length, size - 2 - length, &frames))
		return;
	expect(delta_plan_write(&plan, fixed.manifests[0], fixed.manifests[1], &index, &error) == 0);
	if (index.size == 0 ||
	    blob_patch((struct blob_prefix){NULL, 0}, index.data, index.size, true, &stored, &error) < 0)
		return;
	hash_bytes(HASH_BLAKE2B, stored.data, stored.size, hash);
	expect(buffer_append(&file, fixed.head.data, fixed.head.size, &error) == 0 &&
	       delta_number_write(&file, index.size, &error) == 0 &&
	       delta_number_write(&file, stored.size, &error) == 0 &&
	       buffer_append(&file, hash, sizeof(hash), &error) == 0 &&
	       buffer_append(&file, stored.data, stored.size, &error) == 0 &&
	       (frames.size == 0 || buffer_append(&file, frames.data, frames.size, &error) == 0));
	/* What was read once is read again. */
	expect(apply(file.data, file.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!fixed.directory[0])
		prepare();
	if (size > 0 && (data[0] & 1) == 0)
		as_it_comes(data + 1, size - 1);
	else if (size > 0)
		as_an_index(data[0] & 2 ? FRAMES_RAW : FRAMES_MADE, data + 1, size - 1);
	return 0;
}

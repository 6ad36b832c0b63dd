#include <string.h>

#include "base/text.h"
#include "keys/document.h"
#include "keys/offline.h"

#define DAY 86400
/* Made this long after now, it shows a clock that cannot tell whether anything has expired. */
#define CLOCK_MOST (10 * 60)

#define TEXT_MOST(member) (sizeof(((struct offline *)NULL)->member) - 1)

static const struct jsonio_field offline_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"appliance", JSONIO_STRING, true, KEY_ID_MOST - 1},
	{"product", JSONIO_STRING, true, TEXT_MOST(product)},
	{"version", JSONIO_STRING, true, TEXT_MOST(version)},
	{"snapshot", JSONIO_STRING, true, 2 * HASH_SIZE},
	{"snapshot_version", JSONIO_INTEGER, true, INT64_MAX},
	{"snapshot_length", JSONIO_INTEGER, true, ROLE_SNAPSHOT_MOST},
	{"issued", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"expires", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{NULL},
};

json_t *offline_document(const struct offline *offline)
{
	char snapshot[HASH_HEX_SIZE];

	hash_to_hex(offline->snapshot, HASH_SIZE, snapshot);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "_type", "offline", "appliance",
			 offline->appliance, "product", offline->product, "version", offline->version, "snapshot",
			 snapshot, "snapshot_version", (json_int_t)offline->snapshot_version, "snapshot_length",
			 (json_int_t)offline->snapshot_length, "issued", document_time(offline->issued), "expires",
			 document_time(offline->expires));
}

/* Strings were bounded by the table to the size of their arrays. */
static int read_document(const json_t *document, struct offline *ret_offline, struct error *error)
{
	struct offline offline = {0};
	int r = jsonio_check(document, offline_fields, "the offline grant", error);

	if (r)
		return r;
	if (strcmp(jsonio_string(document, "_type"), "offline") != 0)
		return error_set(error, ERROR_DATA, "format", "a signed %s stands where an offline grant is needed",
				 jsonio_string(document, "_type"));
	r = hash_from_hex(jsonio_string(document, "snapshot"), offline.snapshot, HASH_SIZE, error);
	if (!r)
		r = document_read_time(document, "issued", "the offline grant", &offline.issued, error);
	if (!r)
		r = document_read_time(document, "expires", "the offline grant", &offline.expires, error);
	if (r)
		return r;
	offline.snapshot_version = jsonio_integer(document, "snapshot_version");
	offline.snapshot_length = jsonio_integer(document, "snapshot_length");
	text_copy(offline.appliance, sizeof offline.appliance, jsonio_string(document, "appliance"));
	text_copy(offline.product, sizeof offline.product, jsonio_string(document, "product"));
	text_copy(offline.version, sizeof offline.version, jsonio_string(document, "version"));
	if (!*offline.appliance || !*offline.product || !*offline.version)
		return error_set(error, ERROR_DATA, "format",
				 "the offline grant: appliance, product and version are needed");
	if (offline.snapshot_version < 1 || offline.snapshot_length < 1)
		return error_set(error, ERROR_DATA, "format", "the offline grant names no snapshot");
	if (offline.expires <= offline.issued || offline.expires - offline.issued > OFFLINE_LIFE_MOST)
		return error_set(error, ERROR_DATA, "format", "an offline grant lives %d days at most",
				 OFFLINE_LIFE_MOST / DAY);
	*ret_offline = offline;
	return 0;
}

static int parse_envelope(const void *bytes, size_t size, struct envelope **ret_envelope, struct error *error)
{
	if (size > OFFLINE_MOST)
		return error_set(error, ERROR_DATA, "length", "the offline grant is longer than %d bytes",
				 OFFLINE_MOST);
	return envelope_parse(bytes, size, "the offline grant", ret_envelope, error);
}

int offline_peek(const void *bytes, size_t size, struct role_meta *ret_snapshot, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct offline offline;
	int r = parse_envelope(bytes, size, &envelope, error);

	if (!r)
		r = read_document(envelope_signed(envelope), &offline, error);
	if (r)
		return r;
	*ret_snapshot = (struct role_meta){
		.version = offline.snapshot_version,
		.has_length = true,
		.has_sha256 = true,
		.length = offline.snapshot_length,
	};
	memcpy(ret_snapshot->sha256, offline.snapshot, HASH_SIZE);
	return 0;
}

int offline_parse(const void *bytes, size_t size, const struct authority *authority, int64_t now,
		  struct offline *ret_offline, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct offline offline;
	int r = parse_envelope(bytes, size, &envelope, error);

	if (!r)
		r = envelope_verify(envelope, &authority->order, "the offline grant", error);
	if (!r)
		r = read_document(envelope_signed(envelope), &offline, error);
	if (r)
		return r;
	if (offline.expires <= now) {
		char text[CLOCK_UTC_SIZE];
		clock_format_utc(offline.expires, text);
		return error_set(error, ERROR_DATA, "freeze",
				 "the file of %s %s could be applied until %s; have your support centre export a new "
				 "one",
				 offline.product, offline.version, text);
	}
	*ret_offline = offline;
	return 0;
}

int offline_check(const struct offline *offline, const char *appliance, const char *product, int64_t now,
		  struct error *error)
{
	if (strcmp(offline->appliance, appliance) != 0)
		return error_set(error, ERROR_DATA, "appliance",
				 "the file is for the appliance with key %.16s…, not for this one: have your support "
				 "centre export one for this appliance",
				 offline->appliance);
	if (strcmp(offline->product, product) != 0)
		return error_set(error, ERROR_DATA, "product", "the file is for product %s; here runs %s",
				 offline->product, product);
	if (offline->issued > now + CLOCK_MOST)
		return error_set(error, ERROR_DATA, "clock",
				 "the file was made more than %d minutes after now: set this appliance's clock",
				 CLOCK_MOST / 60);
	return 0;
}

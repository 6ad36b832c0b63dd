#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "keys/document.h"
#include "keys/entitlement.h"

#define DAY 86400

/* How far local midnight can lie from UTC's: zones run from UTC-12 to UTC+14. */
#define ZONE_EAST_MOST (14 * 60 * 60)
#define ZONE_WEST_MOST (12 * 60 * 60)

#define TEXT_MOST(member) (sizeof(((struct entitlement *)NULL)->member) - 1)

static const struct jsonio_field entitlement_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"appliance", JSONIO_STRING, true, KEY_ID_MOST - 1},
	{"customer", JSONIO_STRING, true, TEXT_MOST(customer)},
	{"contract", JSONIO_STRING, true, TEXT_MOST(contract)},
	{"product", JSONIO_STRING, true, TEXT_MOST(product)},
	{"tier", JSONIO_STRING, true, TEXT_MOST(tier)},
	{"support_until", JSONIO_STRING, true, TEXT_MOST(support_until)},
	{"ends", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"issued", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"expires", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"security_only", JSONIO_BOOLEAN, true},
	{"lapsed", JSONIO_STRING, true, 16},
	{NULL},
};

json_t *entitlement_document(const struct entitlement *entitlement)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:s}", "_type", "entitlement",
			 "appliance", entitlement->appliance, "customer", entitlement->customer, "contract",
			 entitlement->contract, "product", entitlement->product, "tier", entitlement->tier,
			 "support_until", entitlement->support_until, "ends", document_time(entitlement->ends),
			 "issued", document_time(entitlement->issued), "expires", document_time(entitlement->expires),
			 "security_only", (int)entitlement->security_only, "lapsed",
			 entitlement->published_policy ? "published" : "blocked");
}

/* Midnight UTC after the date. */
static int day_after(const char *date, int64_t *ret_time, struct error *error)
{
	char text[CLOCK_UTC_SIZE];
	struct error ignored;
	int64_t midnight;

	if (snprintf(text, sizeof text, "%sT00:00:00Z", date) != CLOCK_UTC_SIZE - 1 ||
	    clock_parse_utc(text, &midnight, &ignored))
		return error_set(error, ERROR_DATA, "format", "entitlement: support_until must be YYYY-MM-DD");
	*ret_time = midnight + DAY;
	return 0;
}

static int read_document(const json_t *document, struct entitlement *ret_entitlement, struct error *error)
{
	struct entitlement entitlement = {0};
	const char *lapsed;
	int r = jsonio_check(document, entitlement_fields, "entitlement", error);

	if (r)
		return r;
	if (strcmp(jsonio_string(document, "_type"), "entitlement") != 0)
		return error_set(error, ERROR_DATA, "format", "a signed %s stands where an entitlement is needed",
				 jsonio_string(document, "_type"));
	lapsed = jsonio_string(document, "lapsed");
	entitlement.published_policy = !strcmp(lapsed, "published");
	if (!entitlement.published_policy && strcmp(lapsed, "blocked") != 0)
		return error_set(error, ERROR_DATA, "format", "entitlement: lapsed is blocked or published, not %s",
				 lapsed);
	r = document_read_time(document, "ends", "entitlement", &entitlement.ends, error);
	if (!r)
		r = document_read_time(document, "issued", "entitlement", &entitlement.issued, error);
	if (!r)
		r = document_read_time(document, "expires", "entitlement", &entitlement.expires, error);
	if (r)
		return r;
	text_copy(entitlement.appliance, sizeof entitlement.appliance, jsonio_string(document, "appliance"));
	text_copy(entitlement.customer, sizeof entitlement.customer, jsonio_string(document, "customer"));
	text_copy(entitlement.contract, sizeof entitlement.contract, jsonio_string(document, "contract"));
	text_copy(entitlement.product, sizeof entitlement.product, jsonio_string(document, "product"));
	text_copy(entitlement.tier, sizeof entitlement.tier, jsonio_string(document, "tier"));
	text_copy(entitlement.support_until, sizeof entitlement.support_until,
		  jsonio_string(document, "support_until"));
	entitlement.security_only = jsonio_boolean(document, "security_only");
	*ret_entitlement = entitlement;
	return 0;
}

static int check_shape(const struct entitlement *entitlement, int64_t now, struct error *error)
{
	char text[CLOCK_UTC_SIZE];
	int64_t after;
	int r = day_after(entitlement->support_until, &after, error);

	if (r)
		return r;
	if (!*entitlement->appliance || !*entitlement->contract || !*entitlement->product || !*entitlement->tier)
		return error_set(error, ERROR_DATA, "format",
				 "entitlement: appliance, contract, product and tier are needed");
	if (entitlement->ends < after - ZONE_EAST_MOST || entitlement->ends > after + ZONE_WEST_MOST)
		return error_set(error, ERROR_DATA, "format", "entitlement: its end is in no zone the end of %s",
				 entitlement->support_until);
	if (entitlement->expires <= entitlement->issued ||
	    entitlement->expires - entitlement->issued > ENTITLEMENT_LIFE_MOST)
		return error_set(error, ERROR_DATA, "format", "entitlement: the document lives %d days at most",
				 ENTITLEMENT_LIFE_MOST / DAY);
	if (entitlement->expires <= now) {
		clock_format_utc(entitlement->expires, text);
		return error_set(
			error, ERROR_DATA, "freeze",
			"the entitlement of contract %s was good until %s; fetch a new one from the support centre",
			entitlement->contract, text);
	}
	return 0;
}

int entitlement_parse(const void *bytes, size_t size, const struct authority *authority, int64_t now,
		      struct entitlement *ret_entitlement, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct entitlement entitlement;
	int r;

	if (size > ENTITLEMENT_MOST)
		return error_set(error, ERROR_DATA, "length", "entitlement: longer than %d bytes", ENTITLEMENT_MOST);
	r = envelope_parse(bytes, size, "entitlement", &envelope, error);
	if (!r)
		r = envelope_verify(envelope, &authority->entitlement, "entitlement", error);
	if (!r)
		r = read_document(envelope_signed(envelope), &entitlement, error);
	if (!r)
		r = check_shape(&entitlement, now, error);
	if (r)
		return r;
	*ret_entitlement = entitlement;
	return 0;
}

static int refuse(const struct entitlement *entitlement, const char *why, struct error *error)
{
	return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
			 "support under contract %s ended on %s%s; renew contract %s with your vendor, then try again",
			 entitlement->contract, entitlement->support_until, why, entitlement->contract);
}

int entitlement_allows(const struct entitlement *entitlement, const struct entitlement_question *question,
		       struct error *error)
{
	int64_t after;
	int r = day_after(entitlement->support_until, &after, error);

	if (r)
		return r;
	if (strcmp(entitlement->appliance, question->appliance) != 0)
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "the entitlement of contract %s is for another appliance; fetch this appliance's own",
				 entitlement->contract);
	if (strcmp(entitlement->product, question->product) != 0)
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "contract %s (support until %s) is for %s, not for %s; add %s to the contract",
				 entitlement->contract, entitlement->support_until, entitlement->product,
				 question->product, question->product);
	if (question->managed && strcmp(entitlement->tier, "premium") != 0)
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "managed upgrades need tier premium; contract %s (support until %s) has %s: renew it "
				 "as premium, or pull at the appliance",
				 entitlement->contract, entitlement->support_until, entitlement->tier);
	if (entitlement->security_only && question->security)
		return 0;
	/* Two signed dates: no clock is asked, so turning one back gains nothing. */
	if (question->published >= after)
		return refuse(entitlement, ", before this release was published", error);
	if (question->now >= entitlement->ends && !entitlement->published_policy)
		return refuse(entitlement, "", error);
	return 0;
}

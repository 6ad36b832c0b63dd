/* An entitlement: the appliance with key K has tier T until D. One signed envelope, `_type: entitlement`; the document
 * itself lives 90 days at most, the support it grants until its date. */
#ifndef KEYS_ENTITLEMENT_H
#define KEYS_ENTITLEMENT_H

#include "base/clock.h"
#include "keys/authority.h"
#include "keys/envelope.h"

#define ENTITLEMENT_MOST      16384
#define ENTITLEMENT_LIFE_MOST (90 * 24 * 60 * 60)

struct entitlement {
	char appliance[KEY_ID_MOST]; /* id of the appliance's key */
	char customer[64], contract[64], product[64], tier[32];
	char support_until[11];  /* YYYY-MM-DD, inclusive, in the contract's zone */
	int64_t ends;            /* its first instant after, UTC */
	int64_t issued, expires; /* of this document */
	bool security_only;      /* a grant past the lapse for releases of class security */
	bool published_policy;   /* lapsed = published: what was published before the lapse stays installable */
};

json_t *entitlement_document(const struct entitlement *entitlement);
/* Parses and verifies under the entitlement keys; document expired: ERROR_DATA "freeze". */
int entitlement_parse(const void *bytes, size_t size, const struct authority *authority, int64_t now,
		      struct entitlement *ret_entitlement, struct error *error) MUST_CHECK;

struct entitlement_question {
	const char *appliance, *product;
	int64_t published; /* the release's published date, 00:00 UTC */
	bool security;     /* the release is of class security */
	bool managed;      /* a technician's upgrade: needs tier premium */
	int64_t now;
};
/* 0, or ERROR_NOT_PERMITTED "entitlement" whose sentence has the date and how to renew. */
int entitlement_allows(const struct entitlement *entitlement, const struct entitlement_question *question,
		       struct error *error) MUST_CHECK;

#endif

#include "orchestrator/store/store_customer.h"

#include <ctype.h>
#include <string.h>

#include "orchestrator/store/store_audit.h"

#define EMAIL_MOST 254 /* RFC 5321 §4.5.3.1.3, less the angle brackets */

int store_customer_add(struct store *store, const char *name, const char *actor, int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	int result = store_begin(store, &transaction, error);

	if (result == 0)
		result = store_change(store, NULL, error, "INSERT INTO customer (name, added) VALUES (?, ?)", "si",
				      name, now);
	if (result < 0 && strcmp(error->name, "exists") == 0)
		return error_set(error, ERROR_CANNOT_CREATE, "exists", "customer %s is there already", name);
	if (result == 0)
		result = store_audit_append(store, actor, "customer add", name, "", error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_customer_check(struct store *store, const char *name, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool found = false;
	int result = store_query(store, &query, error, "SELECT 1 FROM customer WHERE name = ?", "s", name);

	if (result == 0)
		result = store_query_next(query, &found, error);
	if (result < 0)
		return result;
	if (!found)
		return error_set(error, ERROR_DATA, "unknown-customer",
				 "customer %s is not known: `nightshift customer list` shows those that are", name);
	return 0;
}

/* What a mail program takes without quoting: one @, printable, no spaces, brackets or line ends. The domain, where case
 * means nothing, is written small. */
static int tidy_address(const char *email, char ret_address[static EMAIL_MOST + 1], struct error *error)
{
	size_t length = strlen(email);
	const char *at = strchr(email, '@');
	bool good = length <= EMAIL_MOST && at && at != email && at[1] && !strchr(at + 1, '@');

	for (const char *c = email; good && *c; c++)
		good = *c > ' ' && *c < 0x7f && !strchr("<>()[]\\,;:\"", *c);
	if (!good)
		return error_set(error, ERROR_DATA, "email", "\"%.100s\" is no mail address: give USER@HOST", email);
	memcpy(ret_address, email, length + 1);
	for (char *c = ret_address + (at - email); *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return 0;
}

int store_customer_contact_add(struct store *store, const char *customer, const char *person, const char *email,
			       const char *actor, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	char address[EMAIL_MOST + 1];
	int result = tidy_address(email, address, error);

	if (result == 0)
		result = store_begin(store, &transaction, error);
	if (result == 0)
		result = store_customer_check(store, customer, error);
	if (result == 0)
		result =
			store_change(store, NULL, error, "INSERT INTO contact (customer, name, email) VALUES (?, ?, ?)",
				     "sss", customer, person, address);
	if (result < 0 && strcmp(error->name, "exists") == 0)
		return error_set(error, ERROR_CANNOT_CREATE, "exists", "customer %s has the contact %s already",
				 customer, address);
	if (result == 0)
		result = store_audit_append(store, actor, "contact add", customer, address, error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_customer_contact_remove(struct store *store, const char *customer, const char *email, const char *actor,
				  struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	char address[EMAIL_MOST + 1];
	int64_t changed = 0;
	int result = tidy_address(email, address, error);

	if (result == 0)
		result = store_begin(store, &transaction, error);
	if (result == 0)
		result = store_customer_check(store, customer, error);
	if (result == 0)
		result = store_change(store, &changed, error, "DELETE FROM contact WHERE customer = ? AND email = ?",
				      "ss", customer, address);
	if (result == 0 && changed == 0)
		return error_set(error, ERROR_DATA, "unknown-contact",
				 "customer %s has no contact %s: `nightshift customer show %s` lists them", customer,
				 address, customer);
	if (result == 0)
		result = store_audit_append(store, actor, "contact remove", customer, address, error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_customer_list(struct store *store, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT name, added,"
			  " (SELECT count(*) FROM contract WHERE customer = customer.name) AS contracts,"
			  " (SELECT count(*) FROM appliance JOIN contract ON appliance.contract = contract.id"
			  "  WHERE contract.customer = customer.name AND revoked IS NULL) AS appliances,"
			  " (SELECT count(*) FROM contact WHERE customer = customer.name) AS contacts"
			  " FROM customer ORDER BY name",
			  "");
}

int store_customer_show(struct store *store, const char *name, json_t **ret_object, struct error *error)
{
	CLEANUP(jsonio_free) json_t *customer = NULL;
	static const struct {
		const char *member, *sql;
	} lists[] = {
		{"contacts", "SELECT name, email FROM contact WHERE customer = ? ORDER BY email"},
		{"contracts",
		 "SELECT id, kind, tier, support_until, zone, users FROM contract WHERE customer = ? ORDER BY id"},
		{"appliances", "SELECT appliance.name, product, version, contract FROM appliance JOIN contract ON "
			       "contract.id = contract"
			       " WHERE customer = ? AND revoked IS NULL ORDER BY appliance.name"},
	};
	int result = store_customer_check(store, name, error);

	if (result == 0)
		result = store_row(store, &customer, error, "SELECT name, added FROM customer WHERE name = ?", "s",
				   name);
	for (size_t i = 0; i < ARRAY_SIZE(lists) && result == 0; i++) {
		json_t *rows = NULL;
		result = store_rows(store, &rows, error, lists[i].sql, "s", name);
		if (result == 0 && json_object_set_new(customer, lists[i].member, rows) < 0)
			result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for customer %s", name);
	}
	if (result == 0)
		*ret_object = TAKE(customer);
	return result;
}

/* Appliances and their one-time join codes. */
#ifndef STORE_STORE_APPLIANCE_H
#define STORE_STORE_APPLIANCE_H

#include "orchestrator/store/store.h"

struct store_appliance {
	char name[STORE_NAME_SIZE], contract[STORE_NAME_SIZE], customer[STORE_NAME_SIZE];
	char product[STORE_NAME_SIZE], channel[STORE_NAME_SIZE], ha_group[STORE_NAME_SIZE];
	char tags[256]; /* comma separated */
	int64_t added, revoked;
	bool joined;
	uint8_t public_key[HASH_SIZE];
	char key_id[2 * HASH_SIZE + 1];
	int64_t fence, generation;
	bool duplicate;
	char version[STORE_NAME_SIZE], hook_state[32], hook_upgrade[STORE_NAME_SIZE];
	int64_t last_seen, skew;
};

/* Takes name, contract, product, channel ("" is stable), ha_group, tags. */
int store_appliance_add(struct store *store, const struct store_appliance *appliance, const char *actor, int64_t now,
			struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-appliance". */
int store_appliance_get(struct store *store, const char *name, struct store_appliance *ret_appliance,
			struct error *error) MUST_CHECK;
/* Dismisses its key and its unused codes; the row stays for its history. */
int store_appliance_revoke(struct store *store, const char *name, const char *actor, int64_t now,
			   struct error *error) MUST_CHECK;

/* A new one-time key, in place of any unused one of the appliance. Clears `duplicate` when it is used. */
int store_appliance_code(struct store *store, const char *name, const uint8_t public_key[static HASH_SIZE],
			 int64_t expires, const char *actor, int64_t now, struct error *error) MUST_CHECK;
/* The join: the code is unused and in time, the key is nobody else's. ERROR_NOT_PERMITTED "join-code". */
int store_appliance_join(struct store *store, const uint8_t code[static HASH_SIZE],
			 const uint8_t public_key[static HASH_SIZE], const char *key_id, int64_t now,
			 char ret_name[static STORE_NAME_SIZE], struct error *error) MUST_CHECK;

/* What a HELLO says. The larger fence stays; a generation below the highest seen makes it a duplicate (and one audit
 * row). *ret_duplicate: it is one now. */
struct store_appliance_hello {
	const char *version, *state, *upgrade;
	int64_t fence, generation, skew, now;
};
int store_appliance_hello(struct store *store, const char *name, const struct store_appliance_hello *hello,
			  bool *ret_duplicate, struct error *error) MUST_CHECK;
/* An outcome named the version that runs there now. */
int store_appliance_runs(struct store *store, const char *name, const char *version, struct error *error) MUST_CHECK;
int store_appliance_seen(struct store *store, const char *name, int64_t now, struct error *error) MUST_CHECK;

/* Who may log in at the hub: [{key (hex), kind: appliance|join, name, expires}]. */
int store_appliance_keys(struct store *store, int64_t now, json_t **ret_rows, struct error *error) MUST_CHECK;
/* name, customer, contract, tier, support_until, … , last_seen, skew and tunnel_since, tunnel_scope, tunnel_until,
 * tunnel_address, tunnel_transport, tunnel_last_seen (null while closed). */
int store_appliance_list(struct store *store, json_t **ret_rows, struct error *error) MUST_CHECK;
int store_appliance_show(struct store *store, const char *name, json_t **ret_object, struct error *error) MUST_CHECK;

#endif

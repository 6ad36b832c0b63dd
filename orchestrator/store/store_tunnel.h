/* Who is connected. The engine's rows: emptied when it starts. */
#ifndef STORE_STORE_TUNNEL_H
#define STORE_STORE_TUNNEL_H

#include "orchestrator/store/store.h"

struct store_tunnel {
	char appliance[STORE_NAME_SIZE];
	int64_t since;
	char address[STORE_NAME_SIZE], transport[16], scope[STORE_NAME_SIZE];
	int64_t until; /* 0: permanent */
	int64_t last_seen;
};

int store_tunnel_clear(struct store *store, struct error *error) MUST_CHECK;
int store_tunnel_put(struct store *store, const struct store_tunnel *tunnel, struct error *error) MUST_CHECK;
int store_tunnel_seen(struct store *store, const char *appliance, int64_t now, struct error *error) MUST_CHECK;
int store_tunnel_remove(struct store *store, const char *appliance, struct error *error) MUST_CHECK;
int store_tunnel_get(struct store *store, const char *appliance, struct store_tunnel *ret_tunnel, bool *ret_found,
		     struct error *error) MUST_CHECK;
int store_tunnel_list(struct store *store, json_t **ret_rows, struct error *error) MUST_CHECK;

#endif

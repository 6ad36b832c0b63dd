/* nightshiftd.conf: one table, read by the daemon (all of it) and by the command line (where the API's socket is). */
#ifndef ORCHESTRATOR_SETTINGS_H
#define ORCHESTRATOR_SETTINGS_H

#include "base/config.h"

#define SETTINGS_DEFAULT_FILE "/etc/nightshiftd.conf"

enum settings_lapsed { SETTINGS_LAPSED_BLOCKED, SETTINGS_LAPSED_PUBLISHED };
enum settings_approvals { SETTINGS_APPROVALS_NONE, SETTINGS_APPROVALS_SECOND_PERSON };

/* Strings are owned; paths are absolute. */
struct settings {
	char *hub_listen;   /* ADDRESS:PORT */
	char *hub_public;   /* HOST:PORT that goes into join codes; "" until it is set */
	char *hub_host_key; /* OpenSSH private key file */
	char *hub_user;     /* "": the user that nightshiftd was started as */
	char *api_socket;
	char *api_tls_listen; /* "": off */
	char *store_url;
	char *store_path; /* of a store_url "sqlite:PATH" */
	char *exports;    /* beside it: files for appliances without a network, for a day */
	char *releases_directory;
	char *releases_incoming;
	char *signer_keys; /* directory */
	char *signer_limits;
	char *mail_relay; /* "": no mail */
	char *mail_from;
	int policy_lapsed;    /* enum settings_lapsed */
	int policy_approvals; /* enum settings_approvals */
};

extern const struct config_key settings_keys[];

/* `path` NULL: SETTINGS_DEFAULT_FILE. Addresses and the store's URL are checked too; every failure is ERROR_CONFIG.
 * *ret_settings is zero, or was freed, before the call. */
int settings_load(const char *path, struct settings *ret_settings, struct error *error) MUST_CHECK;
/* Also the CLEANUP function. */
void settings_free(struct settings *settings);

/* "HOST:PORT", "[v6]:PORT" → the two; `ret_host` holds `capacity` bytes. ERROR_CONFIG "address". */
int settings_split_address(const char *text, char *ret_host, size_t capacity, uint16_t *ret_port,
                           struct error *error) MUST_CHECK;

#endif

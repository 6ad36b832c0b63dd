/* /etc/appliance-hook.conf: one table, read by every process of the hook and by its command line. */
#ifndef APPLIANCE_HOOK_SETTINGS_H
#define APPLIANCE_HOOK_SETTINGS_H

#include "base/config.h"

#define HOOK_SETTINGS_DEFAULT_FILE "/etc/appliance-hook.conf"
#define HOOK_SETTINGS_PROBES_MOST  32
#define HOOK_SETTINGS_WORDS_MOST   16
#define HOOK_SETTINGS_PORTS_MOST   8

enum hook_share { HOOK_SHARE_AUTO, HOOK_SHARE_REFLINK, HOOK_SHARE_HARDLINK, HOOK_SHARE_COPY };
enum hook_units { HOOK_UNITS_SYSTEMD, HOOK_UNITS_COMMAND };
enum hook_probe_type { HOOK_PROBE_HTTP, HOOK_PROBE_TCP, HOOK_PROBE_UNIT, HOOK_PROBE_COMMAND };
enum hook_self_service { HOOK_SELF_SERVICE_OFF, HOOK_SELF_SERVICE_CHECK, HOOK_SELF_SERVICE_PULL };

/* Words of a list, split at blanks; never a shell's. */
struct hook_words {
	char *text;                                /* as it was written, never NULL once loaded */
	char *words[HOOK_SETTINGS_WORDS_MOST + 1]; /* NULL-terminated */
	size_t count;
};

/* [probe NAME]. "{version}" in target and expect stands for the version that is asked for. */
struct hook_probe {
	char *name;
	int type;      /* enum hook_probe_type */
	char *target;  /* http: URL; tcp: HOST:PORT; unit: its name; command: words, the first an absolute path */
	char *expect;  /* http: "[STATUS] [TEXT]", command: TEXT, that the answer holds; "": any success */
	int64_t times; /* good answers in a row */
	int64_t interval, deadline; /* seconds: between two tries; until it must have been good `times` in a row */
};

/* Strings are owned, never NULL; paths are absolute. Zero before the first load. */
struct hook_settings {
	char *file; /* the configuration file itself, absolute */

	char *product;
	char *product_root;
	char *state;
	char *trust_root; /* the first root.json, from the appliance's package */
	int share;        /* enum hook_share */
	int64_t keep;     /* releases that stay, the running one and the fallback included */
	char *user;       /* link runs as USER-link, check as USER-check, where these exist */

	char *hub_address; /* "": the one of the join code */
	char *hub_ports;   /* as written; see the next two */
	uint16_t ports[HOOK_SETTINGS_PORTS_MOST];
	size_t port_count;
	char *hub_proxy; /* "": none; http://HOST:PORT or socks5://HOST:PORT, with USER@ where it asks */
	char *hub_proxy_password_file;
	int64_t hub_jitter;      /* seconds that the first delay after a loss is drawn from */
	int64_t hub_back_within; /* seconds: after a release marked `reboot` or `network` the tunnel is up again, if it
				    was */

	int units_backend;             /* enum hook_units */
	struct hook_words units_stop;  /* systemd: units; command: program and arguments. None: nothing is stopped */
	struct hook_words units_start; /* systemd: none means those of `stop`, in reverse */
	struct hook_words
		units_reboot; /* program and arguments; none: systemd's own, or the machine cannot be restarted */
	int64_t units_reboot_within; /* seconds: a machine that still runs after that was not restarted */
	int64_t units_timeout;       /* seconds for stopping, starting, asking for a restart */
	char *units_systemctl;       /* "systemctl", or its absolute path */

	struct hook_words data_dirs; /* absolute paths */
	int64_t data_discarded;      /* how many of what was gone back from are kept */

	struct hook_probe *probes[HOOK_SETTINGS_PROBES_MOST];
	size_t probe_count;

	int self_service_mode;      /* enum hook_self_service */
	int64_t self_service_timer; /* seconds between two questions */
};

extern const struct config_key hook_settings_keys[];

/* `path` NULL: HOOK_SETTINGS_DEFAULT_FILE. Every failure is ERROR_CONFIG (or ERROR_CANNOT_CREATE "memory"). */
int hook_settings_load(const char *path, struct hook_settings *ret_settings, struct error *error) MUST_CHECK;
/* Also the CLEANUP function. */
void hook_settings_free(struct hook_settings *settings);

/* "auto", "reflink", … as a message carries it. */
const char *hook_settings_share_name(int share);

#endif

#include "appliance-hook/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define NAME_MOST 63
#define WEEK      (7 * 24 * 60 * 60)

static const char *const share_choices[] = {"auto", "reflink", "hardlink", "copy", NULL};
static const char *const backend_choices[] = {"systemd", "command", NULL};
static const char *const probe_choices[] = {"http", "tcp", "unit", "command", NULL};
static const char *const mode_choices[] = {"off", "check", "pull", NULL};

#define PROBE_FAMILY "probe *"
#define AT(member)   offsetof(struct hook_settings, member)
#define IN(member)   offsetof(struct hook_probe, member)

const struct config_key hook_settings_keys[] = {
	{"appliance", "product", CONFIG_STRING, AT(product), NULL, .most = NAME_MOST,
	 .help = "name of the product, as its releases carry it"},
	{"appliance", "product_root", CONFIG_PATH, AT(product_root), NULL,
	 .help = "directory of releases/ and the symlink current"},
	{"appliance", "state", CONFIG_PATH, AT(state), "/var/lib/appliance-hook", .help = "the hook's own directory"},
	{"appliance", "trust_root", CONFIG_PATH, AT(trust_root), "/usr/share/appliance-hook/root.json",
	 .help = "first TUF root, from the appliance's package"},
	{"appliance", "share", CONFIG_CHOICE, AT(share), "auto", .choices = share_choices,
	 .help = "how a new tree takes unchanged files from the running one"},
	{"appliance", "keep", CONFIG_INTEGER, AT(keep), "2", 2, 100,
	 .help = "releases that stay, the running one and the fallback included"},
	{"appliance", "user", CONFIG_STRING, AT(user), "appliance-hook", .most = 24,
	 .help = "link runs as USER-link and check as USER-check"},
	{"hub", "address", CONFIG_STRING, AT(hub_address), "", .help = "host of the hub; empty: the join code's"},
	{"hub", "ports", CONFIG_STRING, AT(hub_ports), "", .help = "ports to try in turn; empty: the join code's"},
	{"hub", "proxy", CONFIG_STRING, AT(hub_proxy), "",
	 .help = "http://[USER@]HOST:PORT or socks5://[USER@]HOST:PORT"},
	{"hub", "proxy_password_file", CONFIG_PATH, AT(hub_proxy_password_file), "",
	 .help = "file with the proxy's password"},
	{"hub", "jitter", CONFIG_SECONDS, AT(hub_jitter), "30", 0, 300,
	 .help = "the first delay after a lost tunnel is drawn from this"},
	{"hub", "back_within", CONFIG_SECONDS, AT(hub_back_within), "30m", 1, 24 * 3600,
	 .help = "after a release marked reboot or network the tunnel must be up again, if it was before"},
	{"units", "backend", CONFIG_CHOICE, AT(units_backend), "systemd", .choices = backend_choices,
	 .help = "how the product is stopped and started"},
	{"units", "stop", CONFIG_STRING, AT(units_stop.text), "", .help = "units, or a program and its arguments"},
	{"units", "start", CONFIG_STRING, AT(units_start.text), "",
	 .help = "likewise; systemd: empty means those of stop, in reverse"},
	{"units", "reboot", CONFIG_STRING, AT(units_reboot.text), "",
	 .help = "a program and its arguments that restart the machine; systemd: empty means systemctl reboot"},
	{"units", "reboot_within", CONFIG_SECONDS, AT(units_reboot_within), "10m", 1, 3600,
	 .help = "a machine that still runs after that was not restarted"},
	{"units", "timeout", CONFIG_SECONDS, AT(units_timeout), "10m", 1, 3600,
	 .help = "for stopping, starting, asking for a restart"},
	{"units", "systemctl", CONFIG_STRING, AT(units_systemctl), "systemctl",
	 .help = "the program of that name, or its absolute path"},
	{"data", "dirs", CONFIG_STRING, AT(data_dirs.text), "",
	 .help = "absolute paths, snapshotted before a migration"},
	{"data", "discarded", CONFIG_INTEGER, AT(data_discarded), "5", 1, 100,
	 .help = "how many of the data that were gone back from are kept, the newest"},
	{PROBE_FAMILY, "type", CONFIG_CHOICE, IN(type), "http", .choices = probe_choices, .help = "what is asked"},
	{PROBE_FAMILY, "target", CONFIG_STRING, IN(target), "",
	 .help = "URL, HOST:PORT, unit, or program and arguments"},
	{PROBE_FAMILY, "expect", CONFIG_STRING, IN(expect), "", .help = "http: [STATUS] [TEXT]; command: TEXT"},
	{PROBE_FAMILY, "times", CONFIG_INTEGER, IN(times), "3", 1, 1000, .help = "good answers in a row"},
	{PROBE_FAMILY, "interval", CONFIG_SECONDS, IN(interval), "2", 0, 3600, .help = "between two tries"},
	{PROBE_FAMILY, "deadline", CONFIG_SECONDS, IN(deadline), "2m", 1, 24 * 3600,
	 .help = "from the start of the units"},
	{"self-service", "mode", CONFIG_CHOICE, AT(self_service_mode), "off", .choices = mode_choices,
	 .help = "whether the appliance asks for updates by itself"},
	{"self-service", "timer", CONFIG_SECONDS, AT(self_service_timer), "24h", 1, 4 * WEEK, .help = "how often"},
	{.section = NULL},
};

const char *hook_settings_share_name(int share)
{
	return share >= HOOK_SHARE_AUTO && share <= HOOK_SHARE_COPY ? share_choices[share] : "auto";
}

/* A release's or probe's name becomes a file name and a message's field. */
static bool name_is_plain(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= NAME_MOST && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static void *probe_of(void *target, const char *family, const char *name, struct error *error)
{
	struct hook_settings *settings = target;

	for (size_t i = 0; i < settings->probe_count; i++)
		if (strcmp(settings->probes[i]->name, name) == 0)
			return settings->probes[i];
	if (!name_is_plain(name)) {
		error_set(error, ERROR_CONFIG, "probe", "[probe %s]: letters, digits, \".\", \"_\" and \"-\" only",
			  name);
		return NULL;
	}
	if (settings->probe_count == HOOK_SETTINGS_PROBES_MOST) {
		error_set(error, ERROR_CONFIG, "length", "more than %d probes", HOOK_SETTINGS_PROBES_MOST);
		return NULL;
	}
	struct hook_probe *probe = calloc(1, sizeof *probe);
	if (probe)
		probe->name = strdup(name);
	if (!probe || !probe->name) {
		free(probe);
		error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the configuration");
		return NULL;
	}
	settings->probes[settings->probe_count++] = probe;
	return config_set_defaults(hook_settings_keys, family, probe, error) == 0 ? probe : NULL;
}

static int split_words(const char *key, struct hook_words *list, struct error *error)
{
	const char *at = list->text;

	for (;;) {
		at += strspn(at, " \t");
		size_t length = strcspn(at, " \t");
		if (length == 0)
			return 0;
		if (list->count == HOOK_SETTINGS_WORDS_MOST)
			return error_set(error, ERROR_CONFIG, "length", "%s: more than %d words", key,
					 HOOK_SETTINGS_WORDS_MOST);
		list->words[list->count] = strndup(at, length);
		if (!list->words[list->count])
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the configuration");
		list->count++;
		at += length;
	}
}

/* A unit's name never begins like an option of systemctl. */
static bool unit_is_plain(const char *unit)
{
	return unit[0] != '-' && unit[0] &&
	       strspn(unit, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\@-") == strlen(unit);
}

static int check_units(const struct hook_settings *settings, const char *key, const struct hook_words *list,
		       struct error *error)
{
	if (settings->units_backend == HOOK_UNITS_COMMAND) {
		if (list->count > 0 && list->words[0][0] != '/')
			return error_set(error, ERROR_CONFIG, "units", "[units] %s: \"%s\" is not an absolute path",
					 key, list->words[0]);
		return 0;
	}
	for (size_t i = 0; i < list->count; i++)
		if (!unit_is_plain(list->words[i]))
			return error_set(error, ERROR_CONFIG, "units", "[units] %s: \"%s\" is not the name of a unit",
					 key, list->words[i]);
	return 0;
}

static int check_programs(const struct hook_settings *settings, struct error *error)
{
	const char *systemctl = settings->units_systemctl;

	if (settings->units_reboot.count > 0 && settings->units_reboot.words[0][0] != '/')
		return error_set(error, ERROR_CONFIG, "units", "[units] reboot: \"%s\" is not an absolute path",
				 settings->units_reboot.words[0]);
	if (strcmp(systemctl, "systemctl") != 0 && systemctl[0] != '/')
		return error_set(error, ERROR_CONFIG, "units", "[units] systemctl: \"%s\" is not an absolute path",
				 systemctl);
	return 0;
}

static int check_data(const struct hook_words *dirs, struct error *error)
{
	for (size_t i = 0; i < dirs->count; i++) {
		const char *path = dirs->words[i];
		if (path[0] != '/' || !file_path_is_safe(path + 1))
			return error_set(error, ERROR_CONFIG, "data",
					 "[data] dirs: \"%s\" is not a plain absolute path", path);
		for (size_t other = 0; other < dirs->count; other++) {
			size_t length = strlen(dirs->words[other]);
			if (other != i && strncmp(path, dirs->words[other], length) == 0 &&
			    (path[length] == '/' || path[length] == '\0'))
				return error_set(error, ERROR_CONFIG, "data", "[data] dirs: \"%s\" lies in \"%s\"",
						 path, dirs->words[other]);
		}
	}
	return 0;
}

static int check_probe(const struct hook_probe *probe, struct error *error)
{
	const char *target = probe->target;
	const char *wants = NULL;

	switch ((enum hook_probe_type)probe->type) {
	case HOOK_PROBE_HTTP:
		if (strncmp(target, "http://", 7) != 0 && strncmp(target, "https://", 8) != 0)
			wants = "a URL that begins with http:// or https://";
		break;
	case HOOK_PROBE_TCP: {
		const char *colon = strrchr(target, ':');
		if (!colon || colon == target || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
			wants = "HOST:PORT";
		break;
	}
	case HOOK_PROBE_UNIT:
		if (!unit_is_plain(target))
			wants = "the name of a unit";
		break;
	case HOOK_PROBE_COMMAND:
		if (target[0] != '/')
			wants = "a program by its absolute path";
		break;
	}
	if (wants)
		return error_set(error, ERROR_CONFIG, "probe", "[probe %s] target must be %s, not \"%s\"", probe->name,
				 wants, target);
	return 0;
}

static int split_ports(struct hook_settings *settings, struct error *error)
{
	const char *at = settings->hub_ports;

	for (;;) {
		at += strspn(at, " ,");
		if (!*at)
			return 0;
		char *end = NULL;
		unsigned long port = at[0] >= '0' && at[0] <= '9' ? strtoul(at, &end, 10) : 0;
		if (port == 0 || port > UINT16_MAX || !strchr(" ,", *end) ||
		    settings->port_count == HOOK_SETTINGS_PORTS_MOST)
			return error_set(error, ERROR_CONFIG, "ports",
					 "[hub] ports = \"%s\": at most %d numbers from 1 to 65535",
					 settings->hub_ports, HOOK_SETTINGS_PORTS_MOST);
		settings->ports[settings->port_count++] = (uint16_t)port;
		at = end;
	}
}

static int check(struct hook_settings *settings, struct error *error)
{
	int status = 0;

	if (!name_is_plain(settings->product))
		return error_set(error, ERROR_CONFIG, "product", "[appliance] product = \"%s\" is not a plain name",
				 settings->product);
	status = split_words("[units] stop", &settings->units_stop, error);
	if (status == 0)
		status = split_words("[units] start", &settings->units_start, error);
	if (status == 0)
		status = split_words("[units] reboot", &settings->units_reboot, error);
	if (status == 0)
		status = split_words("[data] dirs", &settings->data_dirs, error);
	if (status == 0)
		status = check_units(settings, "stop", &settings->units_stop, error);
	if (status == 0)
		status = check_units(settings, "start", &settings->units_start, error);
	if (status == 0)
		status = check_programs(settings, error);
	if (status == 0)
		status = check_data(&settings->data_dirs, error);
	if (status == 0)
		status = split_ports(settings, error);
	for (size_t i = 0; status == 0 && i < settings->probe_count; i++)
		status = check_probe(settings->probes[i], error);
	return status;
}

int hook_settings_load(const char *path, struct hook_settings *ret_settings, struct error *error)
{
	const char *file = path ? path : HOOK_SETTINGS_DEFAULT_FILE;
	CLEANUP(hook_settings_free) struct hook_settings loaded = {0};
	int status = config_load(file, hook_settings_keys, &loaded, probe_of, error);

	if (status < 0)
		return status;
	loaded.file = realpath(file, NULL);
	if (!loaded.file)
		return error_set_errno(error, ERROR_CONFIG, "missing", "configuration %s cannot be found", file);
	status = check(&loaded, error);
	if (status < 0)
		return error_prefix(error, "%.200s", file);
	*ret_settings = loaded;
	loaded = (struct hook_settings){0};
	return 0;
}

static void free_words(struct hook_words *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->words[i]);
}

void hook_settings_free(struct hook_settings *settings)
{
	free_words(&settings->units_stop);
	free_words(&settings->units_start);
	free_words(&settings->units_reboot);
	free_words(&settings->data_dirs);
	config_free(hook_settings_keys, NULL, settings);
	for (size_t i = 0; i < settings->probe_count; i++) {
		config_free(hook_settings_keys, PROBE_FAMILY, settings->probes[i]);
		free(settings->probes[i]->name);
		free(settings->probes[i]);
	}
	free(settings->file);
	*settings = (struct hook_settings){0};
}

#include "orchestrator/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define STORE_SCHEME      "sqlite:"
#define EXPORTS_DIRECTORY "exports"

static const char *const lapsed_choices[] = {"blocked", "published", NULL};
static const char *const approvals_choices[] = {"none", "second-person", NULL};

#define AT(member) offsetof(struct settings, member)

const struct config_key settings_keys[] = {
	{"hub", "listen", CONFIG_STRING, AT(hub_listen), "0.0.0.0:2022",
	 .help = "address and port that appliances call"},
	{"hub", "public", CONFIG_STRING, AT(hub_public), "", .help = "HOST:PORT that goes into join codes"},
	{"hub", "host_key", CONFIG_PATH, AT(hub_host_key), "/etc/nightshift/hub_host_key",
	 .help = "OpenSSH ed25519 key file of the hub"},
	{"hub", "user", CONFIG_STRING, AT(hub_user), "", .help = "user of the hub when started as root"},
	{"api", "socket", CONFIG_PATH, AT(api_socket), "/run/nightshift/api.sock", .help = "unix socket of the API"},
	{"api", "tls_listen", CONFIG_STRING, AT(api_tls_listen), "", .help = "address and port for TLS; empty: off"},
	{"store", "url", CONFIG_STRING, AT(store_url), "sqlite:/var/lib/nightshift/store.db", .help = "sqlite:PATH"},
	{"releases", "directory", CONFIG_PATH, AT(releases_directory), "/var/lib/nightshift/releases",
	 .help = "verified releases"},
	{"releases", "incoming", CONFIG_PATH, AT(releases_incoming), "/var/lib/nightshift/incoming",
	 .help = "where a repository is put for `release import`"},
	{"signer", "keys", CONFIG_PATH, AT(signer_keys), "/etc/nightshift/keys",
	 .help = "directory of the order, timestamp and entitlement keys"},
	{"signer", "limits", CONFIG_PATH, AT(signer_limits), "/etc/nightshift/signer.limits",
	 .help = "how much the signer signs in an hour"},
	{"mail", "relay", CONFIG_STRING, AT(mail_relay), "", .help = "smtp://HOST:PORT; empty: no mail"},
	{"mail", "from", CONFIG_STRING, AT(mail_from), "", .help = "sender of mail"},
	{"policy", "lapsed", CONFIG_CHOICE, AT(policy_lapsed), "blocked", .choices = lapsed_choices,
	 .help = "after support has ended: nothing, or what was published before"},
	{"policy", "approvals", CONFIG_CHOICE, AT(policy_approvals), "none", .choices = approvals_choices,
	 .help = "whether a second person must approve each booking"},
	{.section = NULL},
};

int settings_split_address(const char *text, char *ret_host, size_t capacity, uint16_t *ret_port, struct error *error)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t length = colon ? (size_t)(colon - text) : 0;

	if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
		host++;
		length -= 2;
	} else if (length && memchr(host, ':', length)) {
		length = 0; /* a v6 address without its brackets */
	}
	char *end = NULL;
	unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
	if (length == 0 || length >= capacity || port == 0 || port > UINT16_MAX || *end)
		return error_set(error, ERROR_CONFIG, "address",
				 "address \"%.100s\": must be HOST:PORT, or [ADDRESS]:PORT for IPv6", text);
	memcpy(ret_host, host, length);
	ret_host[length] = '\0';
	*ret_port = (uint16_t)port;
	return 0;
}

/* The part after "sqlite:", taken from the configuration file's directory when relative, as paths are. */
static int find_store(const char *file, struct settings *settings, struct error *error)
{
	const char *url = settings->store_url;

	if (strncmp(url, STORE_SCHEME, strlen(STORE_SCHEME)) != 0 || !url[strlen(STORE_SCHEME)])
		return error_set(error, ERROR_CONFIG, "store",
				 "%.200s: [store] url must be sqlite:PATH, not \"%.100s\"", file, url);
	const char *path = url + strlen(STORE_SCHEME);
	if (path[0] == '/') {
		settings->store_path = strdup(path);
	} else {
		CLEANUP(free_pointer) char *absolute = realpath(file, NULL);
		char *slash = absolute ? strrchr(absolute, '/') : NULL;
		if (slash) {
			slash[slash == absolute ? 1 : 0] = '\0';
			settings->store_path = file_join(absolute, path);
		}
	}
	CLEANUP(free_pointer) char *directory = settings->store_path ? strdup(settings->store_path) : NULL;
	if (directory) {
		*strrchr(directory, '/') = '\0';
		settings->exports = file_join(directory, EXPORTS_DIRECTORY);
	}
	if (!settings->store_path || !settings->exports)
		return error_set(error, ERROR_CONFIG, "store", "%.200s: [store] url: the path cannot be made absolute",
				 file);
	return 0;
}

static int check_addresses(const char *file, const struct settings *settings, struct error *error)
{
	const char *const addresses[] = {settings->hub_listen, settings->hub_public, settings->api_tls_listen};
	char host[256];
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		if (addresses[i][0] && settings_split_address(addresses[i], host, sizeof(host), &port, error) < 0)
			return error_prefix(error, "%.200s", file);
	return 0;
}

int settings_load(const char *path, struct settings *ret_settings, struct error *error)
{
	const char *file = path ? path : SETTINGS_DEFAULT_FILE;
	CLEANUP(settings_free) struct settings loaded = {0};
	int result = config_load(file, settings_keys, &loaded, NULL, error);

	if (result == 0)
		result = find_store(file, &loaded, error);
	if (result == 0)
		result = check_addresses(file, &loaded, error);
	if (result < 0)
		return result;
	*ret_settings = loaded;
	loaded = (struct settings){0};
	return 0;
}

void settings_free(struct settings *settings)
{
	config_free(settings_keys, NULL, settings);
	free(settings->store_path);
	free(settings->exports);
	*settings = (struct settings){0};
}

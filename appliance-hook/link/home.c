#include "appliance-hook/link/home.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/jsonio.h"
#include "keys/sshkey.h"

#define HUB_FILE_MOST 4096
#define PASSWORD_MOST 1024

static const struct jsonio_field hub_fields[] = {{"host", JSONIO_STRING, true, EGRESS_HOST_MOST - 1, false},
						 {"port", JSONIO_INTEGER, true, UINT16_MAX, false},
						 {"host_key", JSONIO_STRING, true, 2L * SECRET_ED25519_PUBLIC, false},
						 {"appliance", JSONIO_STRING, false, LINK_NAME_MOST - 1, false},
						 {.name = NULL}};

int home_route(const struct link_settings *settings, const char *host, uint16_t port, struct home *ret_home,
	       struct error *error)
{
	if (settings->address && settings->address[0])
		host = settings->address;
	if (strlen(host) >= sizeof ret_home->host)
		return error_set(error, ERROR_CONFIG, "address", "the hub's address is too long");
	snprintf(ret_home->host, sizeof ret_home->host, "%s", host);
	ret_home->port_count = settings->port_count < EGRESS_PORTS_MOST ? settings->port_count : EGRESS_PORTS_MOST;
	memcpy(ret_home->ports, settings->ports, ret_home->port_count * sizeof ret_home->ports[0]);
	if (!ret_home->port_count)
		ret_home->ports[ret_home->port_count++] = port;
	return 0;
}

static int read_hub(int directory, const struct link_settings *settings, struct home *home, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(HUB_FILE_MOST);
	CLEANUP(jsonio_free) json_t *hub = NULL;
	int status = file_read_at(directory, "hub.json", &text, error);

	if (status == 0)
		status = jsonio_parse(text.data, text.size, "hub.json", &hub, error);
	if (status == 0)
		status = jsonio_check(hub, hub_fields, "hub.json", error);
	if (status == 0)
		status = hash_from_hex(jsonio_string(hub, "host_key"), home->host_key, sizeof home->host_key, error);
	return status < 0 ? status
			  : home_route(settings, jsonio_string(hub, "host"), (uint16_t)jsonio_integer(hub, "port"),
				       home, error);
}

int home_read(int directory, const struct link_settings *settings, struct home *ret_home, struct error *error)
{
	CLEANUP(home_free) struct home home = {.key = BUFFER_INIT(SSHKEY_FILE_MOST)};
	int status = file_read_at(directory, "appliance_key", &home.key, error);

	if (status == 0)
		status = read_hub(directory, settings, &home, error);
	if (status < 0 && strcmp(error->name, "missing") == 0)
		return error_set(error, ERROR_CONFIG, "join",
				 "this appliance has not joined; run `appliance-hook join CODE`");
	if (status < 0)
		return status;
	*ret_home = home;
	home.key = (struct buffer){0};
	return 0;
}

void home_free(struct home *home)
{
	buffer_wipe(&home->key);
}

int home_read_password(const struct link_settings *settings, struct buffer *ret_password, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(PASSWORD_MOST);

	if (!settings->proxy_password_file || !settings->proxy_password_file[0])
		return 0;
	int status = file_read_at(AT_FDCWD, settings->proxy_password_file, &text, error);
	if (status < 0)
		return error_prefix(error, "the proxy's password file");
	return buffer_append(ret_password, text.data, strcspn((const char *)text.data, "\r\n"), error);
}

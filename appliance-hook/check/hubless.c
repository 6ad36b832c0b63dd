#include "appliance-hook/check/hubless.h"

#include <stdlib.h>
#include <string.h>

#include "appliance-hook/check/ownwindow.h"
#include "appliance-hook/check/pull.h"
#include "appliance-hook/check/reader.h"
#include "appliance-hook/check/run.h"
#include "appliance-hook/check/verify.h"
#include "base/text.h"

/* A mirror does not know what channel this appliance is of; other channels' releases are asked for by name. */
#define CHANNEL "stable"

static bool in_channel(const struct library_release *release)
{
	size_t index;
	json_t *name;
	json_array_foreach((json_t *)release->channels, index,
			   name) if (json_is_string(name) && strcmp(json_string_value(name), CHANNEL) == 0) return true;
	return false;
}

/* The newest that what runs here may go to; what runs, when there is none newer. */
static int choose(const struct verify *verify, char ret_version[static SESSION_VERSION_MOST], struct error *error)
{
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	const json_t *targets = trust_targets(verify->trust);
	const char *product = verify->session->places->product_name, *chosen = verify->running;
	size_t count = 0;
	if (library_list(targets, product, &releases, &count, error) < 0)
		return -(int)error->code;
	for (size_t i = count; i-- > 0 && strcmp(releases[i].version, verify->running) != 0;) {
		struct error ignored = {0};
		if (in_channel(&releases[i]) && !releases[i].yanked &&
		    library_path_allows(targets, product, verify->running, releases[i].version, &ignored) == 0) {
			chosen = releases[i].version;
			break;
		}
	}
	if (!text_copy(ret_version, SESSION_VERSION_MOST, chosen))
		return error_set(error, ERROR_DATA, "length", "a version of %s has too long a name", product);
	return 0;
}

/* The last checks of all, before a byte of the release is fetched: the customer's own window. */
static int install(struct verify *verify, json_t **ret_outcome, struct error *error)
{
	struct ownwindow own = {0};
	if (ownwindow_open(verify->session->places->product, run_need(verify->manifest), verify->release.security,
			   clock_now(), &own, error) < 0)
		return -(int)error->code;
	return pull_install(verify, ret_outcome, error);
}

int hubless_mirror(struct session *session, json_t **ret_outcome, struct error *error)
{
	CLEANUP(verify_end) struct verify verify;
	CLEANUP(jsonio_free) json_t *entitlement = NULL;
	char version[SESSION_VERSION_MOST] = "";
	verify_start(&verify, session, pull_nothing_else, NULL);
	if (verify_standing(&verify, error) < 0 || verify_metadata(&verify, error) < 0)
		return -(int)error->code;
	memcpy(version, session->to, sizeof(version));
	if (!version[0] && choose(&verify, version, error) < 0)
		return -(int)error->code;
	if (strcmp(version, verify.running) == 0)
		return pull_say_current(version, ret_outcome, error);
	if (verify_entitlement_stored(&verify, &entitlement, error) < 0)
		return -(int)error->code;
	const struct verify_wish wish = {.version = version, .entitlement = entitlement};
	if (session->dry)
		return pull_plan(&verify, &wish, ret_outcome, error);
	if (verify_manifest(&verify, version, error) < 0 || verify_path(&verify, error) < 0 ||
	    verify_entitlement(&verify, entitlement, false, error) < 0)
		return -(int)error->code;
	return install(&verify, ret_outcome, error);
}

static int fetch_entitlement(struct verify *verify, json_t **ret_envelope, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ENTITLEMENT_MOST);
	if (source_fetch(&verify->source, READER_ENTITLEMENT, ENTITLEMENT_MOST, &bytes, error) < 0)
		return -(int)error->code;
	return jsonio_parse(bytes.data, bytes.size, READER_ENTITLEMENT, ret_envelope, error);
}

int hubless_file(struct session *session, json_t **ret_outcome, struct error *error)
{
	CLEANUP(verify_end) struct verify verify;
	CLEANUP(jsonio_free) json_t *entitlement = NULL;
	CLEANUP(buffer_free) struct buffer grant = BUFFER_INIT(OFFLINE_MOST);
	struct offline offline = {0};
	verify_start(&verify, session, pull_nothing_else, NULL);
	if (verify_standing(&verify, error) < 0 ||
	    source_fetch(&verify.source, READER_GRANT, OFFLINE_MOST, &grant, error) < 0 ||
	    verify_metadata_offline(&verify, &grant, &offline, error) < 0 ||
	    fetch_entitlement(&verify, &entitlement, error) < 0 ||
	    verify_manifest(&verify, offline.version, error) < 0 || verify_path(&verify, error) < 0 ||
	    verify_entitlement(&verify, entitlement, false, error) < 0)
		return -(int)error->code;
	return install(&verify, ret_outcome, error);
}

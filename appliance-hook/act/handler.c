#include "appliance-hook/act/handler.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/fence.h"
#include "appliance-hook/act/preflight.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/stage.h"
#include "appliance-hook/act/status.h"
#include "appliance-hook/act/switch.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "keys/key.h"

#define ID_MOST (JOURNAL_NAME_SIZE - 1)

struct handler {
	int session;
	const struct handler_peer *peer;
	const struct layout *layout;
};

static int answer_take(const struct handler *handler, json_t *ok, int fd, struct error *error)
{
	return packet_send_take(handler->session, json_pack("{s:o}", "ok", ok), fd, error);
}

/* An event is dropped rather than waited for: nothing slows a switch down. */
static bool tell(void *context, const char *state, const char *step, const char *text)
{
	const struct handler *handler = context;
	struct pollfd ready = {.fd = handler->session, .events = POLLOUT};
	struct error ignored;

	return poll(&ready, 1, 0) == 1 && !(ready.revents & (POLLHUP | POLLERR)) &&
	       packet_send_take(handler->session,
				json_pack("{s:{s:s,s:s,s:s*}}", "event", "state", state, "step", step, "text", text),
				-1, &ignored) == 0;
}

static int answer_result(const struct handler *handler, struct run_result *result, struct error *error)
{
	return answer_take(handler,
			   json_pack("{s:s,s:s*,s:O*}", "outcome", journal_stage_name(result->outcome), "reason",
				     result->reason[0] ? result->reason : NULL, "receipt", result->receipt),
			   -1, error);
}

/* An id becomes part of file names and of a command line. */
static int check_upgrade(const char *upgrade, struct error *error)
{
	if (!manifest_name_is_safe(upgrade))
		return error_set(error, ERROR_DATA, "upgrade", "\"%.80s\" is not the id of an upgrade", upgrade);
	return 0;
}

static int do_status(struct handler *handler, const json_t *request UNUSED, struct error *error)
{
	json_t *status = NULL;
	int result = status_read(handler->layout, &status, error);

	return result == 0 ? answer_take(handler, status, -1, error) : result;
}

static int do_preflight(struct handler *handler, const json_t *request, struct error *error)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct preflight_request question = {.version = jsonio_string(request, "version"),
					     .bytes = (uint64_t)jsonio_integer(request, "bytes"),
					     .data_migration = jsonio_boolean(request, "data_migration"),
					     .reboot = jsonio_boolean(request, "reboot")};
	json_t *checks = NULL;
	struct error ignored;
	bool ok = false;
	int status = journal_open(handler->layout->state, JOURNAL_READ, &journal, error);

	if (status < 0)
		return status;
	if (layout_manifest(handler->layout, question.version, &manifest, NULL, &ignored) == 0 &&
	    manifest_shed_tree(manifest, &ignored) == 0)
		question.manifest = manifest;
	status = preflight_run(handler->layout, journal_state(journal), &question, &checks, &ok, error);
	if (status < 0)
		return status;
	return answer_take(handler, json_pack("{s:o,s:b}", "checks", checks, "ok", (int)ok), -1, error);
}

static int do_stage_dir(struct handler *handler, const json_t *request, struct error *error)
{
	CLEANUP(stage_ground_close) struct stage_ground ground = {.staging = -1, .tree = -1};
	const struct hook_settings *settings = handler->layout->settings;

	if (strcmp(jsonio_string(request, "product"), settings->product) != 0)
		return error_set(error, ERROR_DATA, "product", "this appliance is a %s, not a %.63s", settings->product,
				 jsonio_string(request, "product"));
	int status = stage_open(handler->layout, jsonio_string(request, "version"), handler->peer->uid,
				handler->peer->gid, &ground, error);
	if (status == 0)
		status = answer_take(handler, json_pack("{s:s}", "share", hook_settings_share_name(settings->share)),
				     ground.staging, error);
	if (status == 0)
		status = answer_take(handler, json_pack("{s:s}", "version", ground.current), ground.tree, error);
	return status;
}

static int do_seal(struct handler *handler, const json_t *request, struct error *error)
{
	const char *version = jsonio_string(request, "version");
	int status = stage_seal(handler->layout, version, jsonio_string(request, "sha256"), error);

	return status == 0 ? answer_take(handler, json_pack("{s:s}", "version", version), -1, error) : status;
}

static const char *text_or_empty(const json_t *request, const char *name)
{
	const char *text = jsonio_string(request, name);

	return text ? text : "";
}

static int do_switch(struct handler *handler, const json_t *request, struct error *error)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	const struct switch_request order = {.upgrade = jsonio_string(request, "upgrade"),
					     .version = jsonio_string(request, "version"),
					     .sha256 = jsonio_string(request, "sha256"),
					     .start = jsonio_integer(request, "start"),
					     .end = jsonio_integer(request, "end"),
					     .last_start = jsonio_integer(request, "last_start"),
					     .finish = jsonio_boolean(request, "finish"),
					     .fence = jsonio_integer(request, "fence"),
					     .order_key = text_or_empty(request, "order_key"),
					     .audit_head = text_or_empty(request, "audit_head")};
	int status = check_upgrade(order.upgrade, error);

	if (status == 0)
		status = switch_run(handler->layout, &order, tell, handler, &result, error);
	return status == 0 ? answer_result(handler, &result, error) : status;
}

static int do_rollback(struct handler *handler, const json_t *request, struct error *error)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	const char *data = text_or_empty(request, "data");
	/* From a session it is always an order's: only the command line, which is root's, asks without one. */
	const struct rollback_request order = {.upgrade = jsonio_string(request, "upgrade"),
					       .version = jsonio_string(request, "version"),
					       .fence = jsonio_integer(request, "fence"),
					       .order_key = jsonio_string(request, "order_key"),
					       .restore_data = strcmp(data, "restore") == 0,
					       .audit_head = text_or_empty(request, "audit_head")};
	int status = check_upgrade(order.upgrade, error);

	if (status == 0 && *data && !order.restore_data)
		status = error_set(error, ERROR_DATA, "data", "data is \"%.40s\", not \"restore\"", data);
	if (status == 0)
		status = rollback_run(handler->layout, &order, tell, handler, &result, error);
	return status == 0 ? answer_result(handler, &result, error) : status;
}

static int do_discard(struct handler *handler, const json_t *request, struct error *error)
{
	const char *version = jsonio_string(request, "version");
	int status = stage_discard(handler->layout, version, error);

	return status == 0 ? answer_take(handler, json_pack("{s:s}", "version", version), -1, error) : status;
}

static int do_fence(struct handler *handler, const json_t *request, struct error *error)
{
	int64_t fence = 0;
	int status = fence_read(handler->layout, jsonio_string(request, "order_key"), &fence, error);

	return status == 0 ? answer_take(handler, json_pack("{s:I}", "fence", (json_int_t)fence), -1, error) : status;
}

#define DO                                                                                                             \
	{                                                                                                              \
		"do", JSONIO_STRING, true, 32, false                                                                   \
	}
#define END                                                                                                            \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}
#define VERSION                                                                                                        \
	{                                                                                                              \
		"version", JSONIO_STRING, true, MANIFEST_NAME_MOST, false                                              \
	}
#define SHA256                                                                                                         \
	{                                                                                                              \
		"sha256", JSONIO_STRING, true, 2 * HASH_SIZE, false                                                    \
	}
#define UPGRADE                                                                                                        \
	{                                                                                                              \
		"upgrade", JSONIO_STRING, true, ID_MOST, false                                                         \
	}
#define INTEGER(n)                                                                                                     \
	{                                                                                                              \
		n, JSONIO_INTEGER, true, INT64_MAX, false                                                              \
	}
#define HEAD                                                                                                           \
	{                                                                                                              \
		"audit_head", JSONIO_STRING, false, 2 * HASH_SIZE, false                                               \
	}

static const struct jsonio_field status_fields[] = {DO, END};
static const struct jsonio_field preflight_fields[] = {DO,
						       VERSION,
						       INTEGER("bytes"),
						       {"data_migration", JSONIO_BOOLEAN, true, 0, false},
						       {"reboot", JSONIO_BOOLEAN, false, 0, false},
						       END};
static const struct jsonio_field stage_fields[] = {
	DO, {"product", JSONIO_STRING, true, MANIFEST_NAME_MOST, false}, VERSION, END};
static const struct jsonio_field seal_fields[] = {DO, VERSION, SHA256, END};
static const struct jsonio_field switch_fields[] = {DO,
						    UPGRADE,
						    VERSION,
						    SHA256,
						    INTEGER("start"),
						    INTEGER("end"),
						    INTEGER("last_start"),
						    {"finish", JSONIO_BOOLEAN, true, 0, false},
						    {"fence", JSONIO_INTEGER, false, INT64_MAX, false},
						    {"order_key", JSONIO_STRING, false, KEY_ID_MOST - 1, false},
						    HEAD,
						    END};
static const struct jsonio_field rollback_fields[] = {DO,
						      UPGRADE,
						      {"version", JSONIO_STRING, false, MANIFEST_NAME_MOST, false},
						      INTEGER("fence"),
						      {"order_key", JSONIO_STRING, true, KEY_ID_MOST - 1, false},
						      {"data", JSONIO_STRING, false, 16, false},
						      HEAD,
						      END};
static const struct jsonio_field discard_fields[] = {DO, VERSION, END};
static const struct jsonio_field fence_fields[] = {DO, {"order_key", JSONIO_STRING, true, KEY_ID_MOST - 1, false}, END};

static const struct row {
	const char *name;
	const struct jsonio_field *fields;
	int (*run)(struct handler *handler, const json_t *request, struct error *error);
} rows[] = {
	{"status", status_fields, do_status},      {"preflight", preflight_fields, do_preflight},
	{"stage-dir", stage_fields, do_stage_dir}, {"seal", seal_fields, do_seal},
	{"switch", switch_fields, do_switch},      {"rollback", rollback_fields, do_rollback},
	{"discard", discard_fields, do_discard},   {"fence", fence_fields, do_fence},
};

static int dispatch(struct handler *handler, const json_t *request, struct error *error)
{
	const char *name = json_string_value(json_object_get(request, "do"));

	for (size_t i = 0; name && i < ARRAY_SIZE(rows); i++) {
		if (strcmp(name, rows[i].name) != 0)
			continue;
		int status = jsonio_check(request, rows[i].fields, name, error);
		return status == 0 ? rows[i].run(handler, request, error) : status;
	}
	return error_set(error, ERROR_DATA, "request", "act does not know the request \"%.40s\"", name ? name : "");
}

int handler_run(int session, const struct handler_peer *peer, const struct hook_settings *settings, struct error *error)
{
	CLEANUP(layout_close) struct layout layout = LAYOUT_CLOSED;
	struct handler handler = {.session = session, .peer = peer, .layout = &layout};
	int status = layout_open(settings, &layout, error);

	while (status == 0) {
		CLEANUP(jsonio_free) json_t *request = NULL;
		CLEANUP(file_close) int stray = -1;
		struct error why = {0};
		status = packet_receive(session, &request, &stray, error);
		if (status < 0)
			return strcmp(error->name, "closed") == 0 ? 0 : status;
		if (dispatch(&handler, request, &why) == 0)
			continue;
		log_failure("request", &why);
		status = packet_send_take(session, packet_refusal(&why), -1, error);
	}
	return status;
}

#include <string.h>

#include "appliance-hook/cli/serve_inside.h"
#include "base/log.h"
#include "base/packet.h"

static void refuse(struct serve *serve, const struct error *why)
{
	struct error error = {0};
	serve->pull = SERVE_PULL_NONE;
	if (!serve_calls_wait(serve, SERVE_WAIT_PULL))
		log_failure("pull", why);
	serve_calls_refuse(serve, SERVE_WAIT_PULL, why);
	if (tether_send_take(serve->tether, PART_CHECK, json_pack("{s:s}", "job", "cancel"), &error) < 0)
		log_failure("cancelling a pull", &error);
}

static int begin_apply(struct serve *serve, int file, struct error *error)
{
	if (tether_pass_take(serve->tether, PART_CHECK, json_pack("{s:s}", "job", "apply"), file, error) < 0)
		return -(int)error->code;
	serve->pull = SERVE_PULL_RUNNING;
	return 0;
}

int serve_pull_begin(struct serve *serve, const struct serve_wish *wish, struct error *error)
{
	if (serve->pull != SERVE_PULL_NONE)
		return error_set(error, ERROR_NOT_NOW, "busy", "a pull is under way already: wait until it is over");
	if (wish->file >= 0)
		return begin_apply(serve, wish->file, error);
	json_t *job = json_pack("{s:s, s:b, s:b, s:s*}", "job", "pull", "dry", (int)wish->dry, "mirror",
				wish->mirror != NULL, "to", wish->to);
	json_t *connect = json_pack("{s:s, s:s*}", "connect", wish->mirror ? "mirror" : "pull", "url", wish->mirror);
	if (tether_send_take(serve->tether, PART_CHECK, job, error) < 0) {
		json_decref(connect);
		return -(int)error->code;
	}
	if (tether_send_take(serve->tether, PART_LINK, connect, error) < 0)
		return -(int)error->code;
	serve->pull = SERVE_PULL_CONNECTING;
	serve->pull_deadline = clock_ticks_ms() + SERVE_CONNECT_MS;
	return 0;
}

void serve_pull_link(struct serve *serve, const json_t *packet)
{
	const char *state = json_string_value(json_object_get(packet, "state"));
	const char *text = json_string_value(json_object_get(packet, "text"));
	int code = (int)json_integer_value(json_object_get(packet, "code"));
	struct error why = {0};
	if (serve->pull != SERVE_PULL_CONNECTING || !state)
		return;
	if (strcmp(state, "connected") == 0) {
		serve->pull = SERVE_PULL_RUNNING;
	} else if (strcmp(state, "closed") == 0) {
		error_set(&why, error_code_is_known(code) ? (enum error_code)code : ERROR_UNREACHABLE, "hub",
			  "the support centre cannot be reached: %s", text ? text : "no reason was given");
		refuse(serve, &why);
	}
}

/* check relays its session: events on the way, then the end. */
void serve_pull_check(struct serve *serve, const json_t *packet)
{
	json_t *result = json_object_get(packet, "result");
	const json_t *refusal = json_object_get(packet, "error");
	struct error why = {0};
	if (serve->pull == SERVE_PULL_NONE)
		return;
	serve->pull = SERVE_PULL_RUNNING;
	if (json_object_get(packet, "event")) {
		serve_calls_tell(serve, SERVE_WAIT_PULL, packet);
	} else if (result) {
		const char *outcome = json_string_value(json_object_get(result, "outcome"));
		const char *version = json_string_value(json_object_get(result, "version"));
		log_write(LOG_LEVEL_NOTICE, "pull: %s, %s", outcome ? outcome : "?", version ? version : "?");
		serve->pull = SERVE_PULL_NONE;
		serve_calls_answer(serve, SERVE_WAIT_PULL, json_incref(result));
	} else if (refusal) {
		packet_to_error(refusal, &why);
		serve->pull = SERVE_PULL_NONE;
		if (!serve_calls_wait(serve, SERVE_WAIT_PULL))
			log_failure("pull", &why);
		serve_calls_refuse(serve, SERVE_WAIT_PULL, &why);
	}
}

void serve_pull_lost(struct serve *serve)
{
	struct error why = {0};
	error_set(&why, ERROR_UNREACHABLE, "part",
		  "link, check and act were started anew: see `appliance-hook status`");
	serve->pull = SERVE_PULL_NONE;
	serve_calls_refuse(serve, SERVE_WAIT_PULL, &why);
}

void serve_pull_tick(struct serve *serve)
{
	struct error error = {0};
	int64_t ticks = clock_ticks_ms();
	if (serve->pull == SERVE_PULL_CONNECTING && ticks >= serve->pull_deadline) {
		error_set(&error, ERROR_UNREACHABLE, "hub", "the support centre did not answer within %d s",
			  SERVE_CONNECT_MS / 1000);
		refuse(serve, &error);
	}
	if (serve->self_service == 0 || ticks < serve->self_service || serve->pull != SERVE_PULL_NONE)
		return;
	serve->self_service = ticks + 1000 * serve->settings->self_service_timer;
	const struct serve_wish wish = {
		.file = -1,
		.dry = serve->settings->self_service_mode == HOOK_SELF_SERVICE_CHECK,
	};
	if (serve_pull_begin(serve, &wish, &error) < 0)
		log_failure("self-service", &error);
}

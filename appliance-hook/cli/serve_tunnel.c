#include <string.h>

#include "appliance-hook/cli/serve_inside.h"
#include "base/log.h"
#include "base/text.h"

static json_t *open_packet(const struct grant *grant)
{
	return json_pack("{s:s, s:s, s:I, s:b}", "tunnel", "open", "scope", grant->scope, "until",
			 (json_int_t)grant->until, "permanent", (int)grant->permanent);
}

/* Stored before it is told, so that nothing is open that nobody can see. */
static int put_in_force(struct serve *serve, const struct grant *grant, struct error *error)
{
	if (grant_store(serve->places.state, grant, error) < 0)
		return -(int)error->code;
	serve->grant = *grant;
	serve->link_why = (struct error){0};
	text_copy(serve->link_state, sizeof serve->link_state, grant->open ? "connecting" : "closed");
	if (grant->open)
		return tether_send_take(serve->tether, PART_LINK, open_packet(grant), error);
	/* A link that is down holds nothing open, and the next one is not told to. */
	struct error down = {0};
	if (tether_send_take(serve->tether, PART_LINK, json_pack("{s:s}", "tunnel", "close"), &down) < 0)
		log_failure("closing the tunnel", &down);
	return 0;
}

int serve_tunnel_open(struct serve *serve, const json_t *request, struct error *error)
{
	const char *scope = json_string_value(json_object_get(request, "scope"));
	const char *reason = json_string_value(json_object_get(request, "reason"));
	struct grant grant;
	if (grant_make(scope ? scope : GRANT_SCOPE_DEFAULT, json_integer_value(json_object_get(request, "for")),
		       reason ? reason : "", clock_now(), &grant, error) < 0 ||
	    put_in_force(serve, &grant, error) < 0)
		return -(int)error->code;
	char until[CLOCK_UTC_SIZE];
	clock_format_utc(grant.until, until);
	log_write(LOG_LEVEL_NOTICE, "tunnel opened for %s until %s: %s", grant.scope, until, grant.reason);
	return 0;
}

int serve_tunnel_permanent(struct serve *serve, bool on, struct error *error)
{
	struct grant grant = {0};
	if (!on)
		return serve->grant.permanent ? serve_tunnel_close(serve, "permanent was set off", error) : 0;
	grant_make_permanent(clock_now(), &grant);
	if (put_in_force(serve, &grant, error) < 0)
		return -(int)error->code;
	log_write(LOG_LEVEL_NOTICE, "tunnel opened permanently for %s", grant.scope);
	return 0;
}

int serve_tunnel_close(struct serve *serve, const char *why, struct error *error)
{
	const struct grant closed = {0};
	struct error gone = {0};
	error_set(&gone, ERROR_UNREACHABLE, "tunnel", "the tunnel was closed: %s", why);
	if (put_in_force(serve, &closed, error) < 0)
		return -(int)error->code;
	log_write(LOG_LEVEL_NOTICE, "tunnel closed: %s", why);
	serve_calls_refuse(serve, SERVE_WAIT_TUNNEL, &gone);
	return 0;
}

json_t *serve_tunnel_status(const struct serve *serve)
{
	json_t *status = grant_json(&serve->grant);
	const char *state = serve->grant.open ? serve->link_state : "closed";
	bool up = strcmp(state, "connected") == 0;
	if (status &&
	    (json_object_set_new(status, "state", json_string(state)) < 0 ||
	     json_object_set_new(status, "text", json_string(serve->link_why.text)) < 0 ||
	     (up && json_object_set_new(status, "up_ms", json_integer(clock_ticks_ms() - serve->link_up)) < 0))) {
		json_decref(status);
		return NULL;
	}
	return status;
}

void serve_tunnel_resume(struct serve *serve)
{
	struct error error = {0};
	if (!serve->grant.open)
		return;
	text_copy(serve->link_state, sizeof serve->link_state, "connecting");
	if (tether_send_take(serve->tether, PART_LINK, open_packet(&serve->grant), &error) < 0)
		log_failure("opening the tunnel again", &error);
}

void serve_tunnel_link(struct serve *serve, const json_t *packet)
{
	const char *state = json_string_value(json_object_get(packet, "state"));
	const char *text = json_string_value(json_object_get(packet, "text"));
	int code = (int)json_integer_value(json_object_get(packet, "code"));
	if (!state || strlen(state) >= sizeof(serve->link_state))
		return;
	if (strcmp(serve->link_state, state) != 0)
		log_write(LOG_LEVEL_INFO, "tunnel %s%s%s", state, text && text[0] ? ": " : "", text ? text : "");
	text_copy(serve->link_state, sizeof serve->link_state, state);
	serve->link_why = (struct error){0};
	if (strcmp(state, "connected") == 0) {
		serve->link_up = clock_ticks_ms();
		serve_calls_answer(serve, SERVE_WAIT_TUNNEL, serve_tunnel_status(serve));
		return;
	}
	if (text && text[0])
		error_set(&serve->link_why, error_code_is_known(code) ? (enum error_code)code : ERROR_UNREACHABLE,
			  "tunnel", "the tunnel is not up: %s", text);
	/* What will not mend itself is said at once: a hub with another key. */
	if (code == ERROR_DATA || code == ERROR_CONFIG || code == ERROR_NOT_PERMITTED)
		serve_calls_refuse(serve, SERVE_WAIT_TUNNEL, &serve->link_why);
}

void serve_tunnel_tick(struct serve *serve)
{
	struct error error = {0};
	if (serve->grant.open && !grant_is_good(&serve->grant, clock_now()) &&
	    serve_tunnel_close(serve, "its time is over", &error) < 0)
		log_failure("closing the tunnel", &error);
}

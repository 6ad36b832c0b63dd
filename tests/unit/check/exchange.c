#include "tests/unit/check/exchange.h"

void exchange_free(struct exchange *exchange)
{
	jsonio_free(&exchange->last_event);
	jsonio_free(&exchange->reply);
}

bool flush_all(struct stream *stream)
{
	bool pending = true;
	struct error error = {0};
	while (pending) {
		struct pollfd ready = {stream_fd(stream), POLLOUT, 0};
		if (stream_flush(stream, &pending, &error) < 0)
			return false;
		if (pending)
			poll(&ready, 1, 1000);
	}
	return true;
}

static void serve_from(struct world *world, struct stream *stream, uint64_t id, const char *name, size_t offset)
{
	const struct buffer *bytes = repository_file(&world->repository, name);
	struct error error = {0}, missing = {0};
	if (!bytes) {
		error_set(&missing, ERROR_DATA, "missing", "%s is not there", name);
		assert_ok(stream_send_error(stream, MESSAGE_FETCH, id, &missing, &error));
		flush_all(stream);
		return;
	}
	for (size_t at = offset; at < bytes->size; at += 65536) {
		size_t size = bytes->size - at < 65536 ? bytes->size - at : 65536;
		assert_ok(stream_send_data(stream, MESSAGE_FETCH, id, bytes->data + at, size, &error));
		/* What more would be sent to one that has gone would fill the queue. */
		if (!flush_all(stream))
			return;
	}
	json_t *body = json_pack("{s:I}", "size", (json_int_t)bytes->size);
	assert_ok(stream_send(stream, MESSAGE_FETCH, FRAME_REPLY, id, body, &error));
	json_decref(body);
	flush_all(stream);
}

void serve_fetch(struct world *world, struct stream *stream, uint64_t id, const char *name)
{
	serve_from(world, stream, id, name, 0);
}

bool ends_in(const char *name, const char *end)
{
	return strlen(name) > strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0;
}

/* In small frames, and perhaps not all of it. */
static void serve_delta(struct world *world, struct exchange *exchange, struct stream *stream, uint64_t id,
			const char *name)
{
	const struct buffer *bytes = repository_file(&world->repository, name);
	size_t offset = (size_t)exchange->offset;
	struct error error = {0};
	if (!bytes || exchange->cut == 0 || bytes->size - offset <= exchange->cut) {
		exchange->delta_bytes += bytes ? bytes->size - offset : 0;
		serve_from(world, stream, id, name, offset);
		return;
	}
	for (size_t sent = 0; sent < exchange->cut; sent += 4096) {
		size_t size = exchange->cut - sent < 4096 ? (size_t)exchange->cut - sent : 4096;
		assert_ok(stream_send_data(stream, MESSAGE_FETCH, id, bytes->data + offset + sent, size, &error));
		if (!flush_all(stream))
			return;
	}
	exchange->delta_bytes += exchange->cut;
	shutdown(stream_fd(stream), SHUT_WR);
}

void take_fetch(struct world *world, struct exchange *exchange, struct stream *stream,
		const struct stream_message *message)
{
	const char *name = jsonio_string(message->body, "name");
	exchange->fetches++;
	exchange->blobs += strncmp(name, "blobs/", 6) == 0;
	exchange->offset = jsonio_integer(message->body, "offset");
	if (exchange->on_fetch && !exchange->on_fetch(world, stream, message->id, name, exchange->context))
		return;
	if (ends_in(name, ".delta"))
		serve_delta(world, exchange, stream, message->id, name);
	else
		serve_from(world, stream, message->id, name, (size_t)exchange->offset);
}

static void take_broker(struct world *world, struct exchange *exchange)
{
	struct pollfd ready = {world->broker, POLLIN, 0};
	json_t *packet = NULL;
	int fd = -1;
	struct error error = {0};
	if (!exchange->on_broker || poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLIN))
		return;
	if (packet_receive(world->broker, &packet, &fd, &error) == 0)
		exchange->on_broker(world, packet, exchange->context);
	json_decref(packet);
}

bool serve_until(struct world *world, struct exchange *exchange, uint64_t id)
{
	int64_t deadline = clock_ticks_ms() + WAIT_MS;
	for (;;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		struct error error = {0};
		take_broker(world, exchange);
		if (stream_wait(world->stream, clock_ticks_ms() + 50, &message, &error) < 0) {
			if (strcmp(error.name, "timeout") != 0)
				return false;
			if (clock_ticks_ms() > deadline)
				fail_msg("no answer came within %d s", WAIT_MS / 1000);
			continue;
		}
		if (message.type == MESSAGE_FETCH) {
			take_fetch(world, exchange, world->stream, &message);
		} else if (message.type == MESSAGE_HEARTBEAT) {
			exchange->beats++;
		} else if (message.type == MESSAGE_HELLO) {
			json_t *welcome =
				json_pack("{s:i, s:I}", "protocol", MESSAGE_PROTOCOL, "time", (json_int_t)clock_now());
			assert_ok(stream_send(world->stream, MESSAGE_HELLO, FRAME_REPLY, message.id, welcome, &error));
			json_decref(welcome);
		} else if (message.id == id && (message.flags & FRAME_EVENT)) {
			exchange->events++;
			jsonio_free(&exchange->last_event);
			exchange->last_event = json_incref(message.body);
		} else if (message.id == id && (message.flags & FRAME_ERROR)) {
			assert_true(packet_to_error(message.body, &exchange->refusal) < 0);
			return true;
		} else if (message.id == id) {
			exchange->reply = json_incref(message.body);
			return true;
		}
	}
}

void ask(struct world *world, struct exchange *exchange, enum message_type type, json_t *body)
{
	struct error error = {0};
	uint64_t id = stream_next_id(world->stream);
	exchange->type = type;
	jsonio_free(&exchange->reply);
	exchange->refusal = (struct error){0};
	assert_non_null(body);
	assert_ok(stream_send(world->stream, type, 0, id, body, &error));
	json_decref(body);
	if (!serve_until(world, exchange, id))
		fail_msg("the session ended before it answered");
}

json_t *envelope_of(json_t *document, const char *signers)
{
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, signers);
	json_t *object = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
	json_decref(document);
	assert_non_null(object);
	return object;
}

json_t *entitlement(const struct world *world, int days, const char *tier)
{
	struct entitlement grant = {.issued = clock_now() - 10, .expires = clock_now() + 86400};
	char text[CLOCK_UTC_SIZE], midnight[CLOCK_UTC_SIZE];
	struct error error = {0};
	strcpy(grant.appliance, world->appliance);
	strcpy(grant.customer, "acme");
	strcpy(grant.contract, "C-1");
	strcpy(grant.product, "probe");
	snprintf(grant.tier, sizeof(grant.tier), "%s", tier);
	clock_format_utc(clock_now() + days * 86400, text);
	memcpy(grant.support_until, text, 10);
	snprintf(midnight, sizeof(midnight), "%.10sT00:00:00Z", text);
	assert_ok(clock_parse_utc(midnight, &grant.ends, &error));
	grant.ends += 86400;
	return envelope_of(entitlement_document(&grant), ENTITLEMENT_KEY);
}

json_t *stage_body(const char *version, json_t *envelope, int streams)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:i}", "upgrade", "u1", "version", version, "entitlement", envelope,
			 "ticket", "abcdef", "streams", streams);
}

void stage(struct world *world, struct exchange *exchange)
{
	ask(world, exchange, MESSAGE_STAGE, stage_body("1.1", entitlement(world, 30, "premium"), 0));
}

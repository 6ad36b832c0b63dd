/* The orchestrator's end of a session: it asks, serves what is fetched, and can lie. */
#ifndef TESTS_CHECK_EXCHANGE_H
#define TESTS_CHECK_EXCHANGE_H

#include "tests/unit/check/world.h"

struct exchange {
	/* Before a fetch is answered; false: the test has answered it, or wants it unanswered. */
	bool (*on_fetch)(struct world *world, struct stream *stream, uint64_t id, const char *name, void *context);
	/* A packet of the session's to its broker. */
	void (*on_broker)(struct world *world, const json_t *packet, void *context);
	void *context;
	enum message_type type;
	size_t fetches, blobs, events, beats;
	json_int_t offset;    /* of the fetch that was asked for last */
	uint64_t delta_bytes; /* that were sent of deltas, without their heads */
	uint64_t cut;         /* 0: none; after so many of them the stream ends */
	json_t *last_event;
	json_t *reply; /* NULL: refused */
	struct error refusal;
};
void exchange_free(struct exchange *exchange);

/* Asks and serves until the answer; `body` is consumed. */
void ask(struct world *world, struct exchange *exchange, enum message_type type, json_t *body);
/* Serves until the reply to `id` came. False when the stream ended. */
bool serve_until(struct world *world, struct exchange *exchange, uint64_t id);
void take_fetch(struct world *world, struct exchange *exchange, struct stream *stream,
		const struct stream_message *message);
void serve_fetch(struct world *world, struct stream *stream, uint64_t id, const char *name);
bool flush_all(struct stream *stream); /* false: the other end has gone */
bool ends_in(const char *name, const char *end);

json_t *envelope_of(json_t *document, const char *signers);
/* Support for `days` more days (negative: lapsed). */
json_t *entitlement(const struct world *world, int days, const char *tier);
json_t *stage_body(const char *version, json_t *envelope, int streams);
void stage(struct world *world, struct exchange *exchange);

#define assert_refusal(exchange, wanted_code, wanted_name)                                                             \
	do {                                                                                                           \
		if ((exchange).reply || strcmp((exchange).refusal.name, wanted_name) != 0)                             \
			fail_msg("%s: refused as \"%s\" (%s), wanted %s", __func__, (exchange).refusal.name,           \
				 (exchange).refusal.text, wanted_name);                                                \
		assert_int_equal((exchange).refusal.code, wanted_code);                                                \
		assert_true(strlen((exchange).refusal.text) > 10);                                                     \
	} while (0)
#define assert_granted(exchange)                                                                                       \
	do {                                                                                                           \
		if (!(exchange).reply)                                                                                 \
			fail_msg("refused: %s (%s)", (exchange).refusal.text, (exchange).refusal.name);                \
	} while (0)

#endif

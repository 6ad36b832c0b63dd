/* The dialogue's decoder: whatever bytes a peer sends, frames and messages are whole, bounded and known, or refused. */
#include "dialogue/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buffer_free) struct buffer input = BUFFER_INIT(0);
	struct error error = {0};

	if (size < 1 || buffer_append(&input, data + 1, size - 1, &error) < 0)
		return 0;
	enum message_side from = data[0] & 1 ? MESSAGE_FROM_HOOK : MESSAGE_FROM_ORCHESTRATOR;
	for (;;) {
		CLEANUP(jsonio_free) json_t *body = NULL;
		struct frame frame;
		size_t used = 0;
		if (frame_read(&input, &frame, &used, &error) < 0 || used == 0)
			return 0;
		if (used > input.size || frame.size > used)
			__builtin_trap();
		if (message_parse(&frame, from, &body, &error) == 0 && body) {
			/* What was accepted is what we would send. */
			CLEANUP(buffer_free) struct buffer again = BUFFER_INIT(0);
			if (message_write(&again, from, frame.type, frame.flags, frame.id, body, &error) < 0 &&
			    error.code == ERROR_BUG)
				__builtin_trap();
		}
		buffer_consume(&input, used);
	}
}

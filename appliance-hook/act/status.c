#include "appliance-hook/act/status.h"

#include "appliance-hook/act/fence.h"
#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/slot.h"
#include "base/log.h"
#include "keys/key.h"

/* The run that is open, or how the last one ended. */
static json_t *journal_of(const struct layout *layout, const struct journal_state *state)
{
	const struct journal_run *run = &state->run;
	json_t *receipt = NULL;
	struct error why = {0};
	enum journal_stage stage = run->outcome != JOURNAL_IDLE ? run->outcome : state->stage;

	if (receipts_read(layout, run, &receipt, &why) < 0)
		log_failure("receipt", &why);
	/* json_pack leaves out what ends in '*' when it is NULL. */
	return json_pack("{s:s,s:s,s:s,s:s,s:s*,s:o*}", "upgrade", run->upgrade, "from", run->from, "to", run->to,
			 "state", journal_stage_name(stage), "reason", run->reason[0] ? run->reason : NULL, "receipt",
			 receipt);
}

static json_t *hashes_of(const json_t *list)
{
	json_t *hashes = json_array();

	for (size_t i = 0; hashes && i < json_array_size(list); i++)
		if (json_array_append(hashes, json_object_get(json_array_get(list, i), "sha256")) < 0)
			jsonio_free(&hashes);
	return hashes;
}

int status_read(const struct layout *layout, json_t **ret_status, struct error *error)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(jsonio_free) json_t *quarantine = NULL;
	char current[LAYOUT_VERSION_SIZE], order_key[KEY_ID_MOST];
	int64_t fence = 0;
	int status = journal_open(layout->state, JOURNAL_READ, &journal, error);

	if (status == 0)
		status = slot_backend(layout)->current(layout, current, error);
	if (status == 0)
		status = fence_highest(layout, order_key, sizeof order_key, &fence, error);
	if (status == 0)
		status = quarantine_list(layout, &quarantine, error);
	if (status < 0)
		return status;
	const struct journal_state *state = journal_state(journal);
	json_t *result =
		json_pack("{s:s,s:s,s:s,s:s*,s:I,s:s*,s:I,s:o,s:o,s:s*,s:s*}", "product", layout->settings->product,
			  "version", current, "state", journal_stage_name(state->stage), "upgrade",
			  journal_stage_is_open(state->stage) ? state->run.upgrade : NULL, "fence", (json_int_t)fence,
			  "order_key", order_key[0] ? order_key : NULL, "generation",
			  (json_int_t)layout_generation(layout), "journal", journal_of(layout, state), "quarantine",
			  hashes_of(quarantine), "staged", state->stage == JOURNAL_STAGED ? state->staged : NULL,
			  "fallback", state->fallback[0] ? state->fallback : NULL);
	if (!result)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	*ret_status = result;
	return 0;
}

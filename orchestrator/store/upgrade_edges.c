#include "orchestrator/store/upgrade_edges.h"

#include <string.h>

static const char *const state_names[UPGRADE_STATES] = {
	[UPGRADE_NONE] = "",
	[UPGRADE_REQUESTED] = "requested",
	[UPGRADE_BOOKED] = "booked",
	[UPGRADE_STAGING] = "staging",
	[UPGRADE_STAGED] = "staged",
	[UPGRADE_DUE] = "due",
	[UPGRADE_RUNNING] = "running",
	[UPGRADE_COMMITTED] = "committed",
	[UPGRADE_ROLLED_BACK] = "rolled-back",
	[UPGRADE_NEEDS_HUMAN] = "needs-human",
	[UPGRADE_HELD] = "held",
	[UPGRADE_MISSED] = "missed",
	[UPGRADE_CANCELLED] = "cancelled",
	[UPGRADE_UNKNOWN] = "unknown",
};

static const char *const owner_names[UPGRADE_OWNERS] = {
	[UPGRADE_TECHNICIAN] = "technician",
	[UPGRADE_CUSTOMER] = "customer",
	[UPGRADE_ENGINE] = "engine",
	[UPGRADE_HOOK] = "hook",
};

/* An edge from a state to itself is a change of the row that leaves the state (another occurrence). */
const struct upgrade_edge upgrade_edges[] = {
	{UPGRADE_NONE, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "book"},
	{UPGRADE_REQUESTED, UPGRADE_BOOKED, UPGRADE_ENGINE, "accept"}, /* nobody must approve */
	{UPGRADE_REQUESTED, UPGRADE_BOOKED, UPGRADE_TECHNICIAN, "approve"},
	{UPGRADE_REQUESTED, UPGRADE_BOOKED, UPGRADE_CUSTOMER, "approve"},
	{UPGRADE_REQUESTED, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "decline"},
	{UPGRADE_REQUESTED, UPGRADE_CANCELLED, UPGRADE_CUSTOMER, "decline"},
	{UPGRADE_REQUESTED, UPGRADE_MISSED, UPGRADE_ENGINE, "miss"},

	{UPGRADE_BOOKED, UPGRADE_STAGING, UPGRADE_ENGINE, "stage"},
	{UPGRADE_BOOKED, UPGRADE_DUE, UPGRADE_ENGINE, "open"}, /* a rollback has nothing to stage */
	{UPGRADE_STAGING, UPGRADE_STAGED, UPGRADE_HOOK, "staged"},
	{UPGRADE_STAGING, UPGRADE_BOOKED, UPGRADE_ENGINE, "interrupt"},
	{UPGRADE_STAGING, UPGRADE_NEEDS_HUMAN, UPGRADE_HOOK, "refuse"},
	{UPGRADE_STAGED, UPGRADE_DUE, UPGRADE_ENGINE, "open"},
	{UPGRADE_STAGED, UPGRADE_BOOKED, UPGRADE_HOOK, "unstage"}, /* it stands there no more */
	{UPGRADE_DUE, UPGRADE_RUNNING, UPGRADE_ENGINE, "claim"},
	{UPGRADE_DUE, UPGRADE_BOOKED, UPGRADE_HOOK, "unstage"},

	{UPGRADE_RUNNING, UPGRADE_COMMITTED, UPGRADE_HOOK, "commit"},
	{UPGRADE_RUNNING, UPGRADE_ROLLED_BACK, UPGRADE_HOOK, "roll-back"},
	{UPGRADE_RUNNING, UPGRADE_NEEDS_HUMAN, UPGRADE_HOOK, "refuse"},
	{UPGRADE_RUNNING, UPGRADE_BOOKED, UPGRADE_HOOK, "postpone"}, /* not now, nothing begun */
	{UPGRADE_RUNNING, UPGRADE_CANCELLED, UPGRADE_HOOK, "abort"}, /* ended before the switch */
	{UPGRADE_RUNNING, UPGRADE_UNKNOWN, UPGRADE_ENGINE, "lose"},
	{UPGRADE_RUNNING, UPGRADE_BOOKED, UPGRADE_ENGINE, "return"}, /* no order was sent */
	{UPGRADE_RUNNING, UPGRADE_HELD, UPGRADE_HOOK, "hold"},

	{UPGRADE_UNKNOWN, UPGRADE_RUNNING, UPGRADE_HOOK, "find"},
	{UPGRADE_UNKNOWN, UPGRADE_COMMITTED, UPGRADE_HOOK, "commit"},
	{UPGRADE_UNKNOWN, UPGRADE_ROLLED_BACK, UPGRADE_HOOK, "roll-back"},
	{UPGRADE_UNKNOWN, UPGRADE_NEEDS_HUMAN, UPGRADE_HOOK, "refuse"},
	{UPGRADE_UNKNOWN, UPGRADE_BOOKED, UPGRADE_HOOK, "postpone"}, /* the journal never heard of it */
	{UPGRADE_UNKNOWN, UPGRADE_CANCELLED, UPGRADE_HOOK, "abort"},

	{UPGRADE_BOOKED, UPGRADE_HELD, UPGRADE_ENGINE, "hold"},
	{UPGRADE_STAGING, UPGRADE_HELD, UPGRADE_ENGINE, "hold"},
	{UPGRADE_STAGING, UPGRADE_HELD, UPGRADE_HOOK, "hold"},
	{UPGRADE_STAGED, UPGRADE_HELD, UPGRADE_ENGINE, "hold"},
	{UPGRADE_DUE, UPGRADE_HELD, UPGRADE_ENGINE, "hold"},
	{UPGRADE_HELD, UPGRADE_BOOKED, UPGRADE_ENGINE, "free"},
	{UPGRADE_HELD, UPGRADE_STAGED, UPGRADE_ENGINE, "free"},
	{UPGRADE_HELD, UPGRADE_DUE, UPGRADE_ENGINE, "free"},
	{UPGRADE_BOOKED, UPGRADE_HELD, UPGRADE_TECHNICIAN, "pause"},
	{UPGRADE_STAGING, UPGRADE_HELD, UPGRADE_TECHNICIAN, "pause"},
	{UPGRADE_STAGED, UPGRADE_HELD, UPGRADE_TECHNICIAN, "pause"},
	{UPGRADE_DUE, UPGRADE_HELD, UPGRADE_TECHNICIAN, "pause"},
	{UPGRADE_HELD, UPGRADE_BOOKED, UPGRADE_TECHNICIAN, "resume"},
	{UPGRADE_HELD, UPGRADE_STAGED, UPGRADE_TECHNICIAN, "resume"},
	{UPGRADE_HELD, UPGRADE_DUE, UPGRADE_TECHNICIAN, "resume"},

	{UPGRADE_BOOKED, UPGRADE_MISSED, UPGRADE_ENGINE, "miss"},
	{UPGRADE_STAGING, UPGRADE_MISSED, UPGRADE_ENGINE, "miss"},
	{UPGRADE_STAGED, UPGRADE_MISSED, UPGRADE_ENGINE, "miss"},
	{UPGRADE_DUE, UPGRADE_MISSED, UPGRADE_ENGINE, "miss"},
	{UPGRADE_HELD, UPGRADE_MISSED, UPGRADE_ENGINE, "miss"},
	{UPGRADE_MISSED, UPGRADE_BOOKED, UPGRADE_ENGINE, "rebook"},
	{UPGRADE_MISSED, UPGRADE_BOOKED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_MISSED, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "move"}, /* the new hour needs an approval */
	{UPGRADE_MISSED, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "abort"},

	{UPGRADE_REQUESTED, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_BOOKED, UPGRADE_BOOKED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_BOOKED, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_STAGED, UPGRADE_STAGED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_STAGED, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_DUE, UPGRADE_BOOKED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_DUE, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_HELD, UPGRADE_HELD, UPGRADE_TECHNICIAN, "move"},
	{UPGRADE_HELD, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, "move"},

	{UPGRADE_BOOKED, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "abort"},
	{UPGRADE_STAGING, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "abort"},
	{UPGRADE_STAGED, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "abort"},
	{UPGRADE_DUE, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "abort"},
	{UPGRADE_HELD, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "abort"},

	/* The appliance was revoked: nobody can ask it what stands. */
	{UPGRADE_RUNNING, UPGRADE_NEEDS_HUMAN, UPGRADE_TECHNICIAN, "revoke"},
	{UPGRADE_UNKNOWN, UPGRADE_NEEDS_HUMAN, UPGRADE_TECHNICIAN, "revoke"},
	{UPGRADE_NEEDS_HUMAN, UPGRADE_BOOKED, UPGRADE_TECHNICIAN, "retry"},
	{UPGRADE_NEEDS_HUMAN, UPGRADE_COMMITTED, UPGRADE_TECHNICIAN, "resolve"},
	{UPGRADE_NEEDS_HUMAN, UPGRADE_ROLLED_BACK, UPGRADE_TECHNICIAN, "resolve"},
	{UPGRADE_NEEDS_HUMAN, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, "resolve"},
};
const size_t upgrade_edges_count = ARRAY_SIZE(upgrade_edges);

const struct upgrade_edge *upgrade_edges_find(enum upgrade_state from, enum upgrade_state to, enum upgrade_owner owner)
{
	for (size_t i = 0; i < ARRAY_SIZE(upgrade_edges); i++) {
		const struct upgrade_edge *edge = &upgrade_edges[i];
		if (edge->from == from && edge->to == to && edge->owner == owner)
			return edge;
	}
	return NULL;
}

bool upgrade_edges_final(enum upgrade_state state)
{
	return state == UPGRADE_COMMITTED || state == UPGRADE_ROLLED_BACK || state == UPGRADE_CANCELLED;
}

const char *upgrade_state_name(enum upgrade_state state)
{
	return state < UPGRADE_STATES ? state_names[state] : "";
}

int upgrade_state_read(const char *name, enum upgrade_state *ret_state, struct error *error)
{
	for (enum upgrade_state state = UPGRADE_REQUESTED; state < UPGRADE_STATES; state++)
		if (!strcmp(state_names[state], name)) {
			*ret_state = state;
			return 0;
		}
	return error_set(error, ERROR_DATA, "state", "\"%s\" is no state of an upgrade", name);
}

const char *upgrade_owner_name(enum upgrade_owner owner)
{
	return owner < UPGRADE_OWNERS ? owner_names[owner] : "";
}

#include "orchestrator/cli/cli_commands.h"

/* Columns: what a listing shows of each object. */
#define COLUMNS static const struct cli_column
#define PARTS   static const struct cli_part
#define OPTIONS static const struct command_option
#define REQUEST static const struct cli_request

COLUMNS customers_columns[] = {{"CUSTOMER", "name"},
			       {"CONTRACTS", "contracts", CLI_NUMBER},
			       {"APPLIANCES", "appliances", CLI_NUMBER},
			       {"CONTACTS", "contacts", CLI_NUMBER},
			       {"ADDED", "added", CLI_TIME},
			       {0}};
COLUMNS customer_columns[] = {{"customer", "name"}, {"added", "added", CLI_TIME}, {0}};
COLUMNS contact_columns[] = {{"EMAIL", "email"}, {"NAME", "name"}, {0}};
COLUMNS contract_columns[] = {{"CONTRACT", "id"},
			      {"CUSTOMER", "customer"},
			      {"KIND", "kind"},
			      {"TIER", "tier"},
			      {"SUPPORT UNTIL", "support_until"},
			      {"ZONE", "zone"},
			      {"USERS", "users", CLI_NUMBER},
			      {0}};
COLUMNS contract_object[] = {{"contract", "id"},
			     {"customer", "customer"},
			     {"kind", "kind"},
			     {"tier", "tier"},
			     {"support until", "support_until"},
			     {"zone", "zone"},
			     {"support ends", "ends", CLI_TIME},
			     {"users", "users", CLI_NUMBER},
			     {0}};
COLUMNS contract_short[] = {
	{"CONTRACT", "id"}, {"KIND", "kind"}, {"TIER", "tier"}, {"SUPPORT UNTIL", "support_until"}, {0}};
COLUMNS appliance_short[] = {{"APPLIANCE", "name"}, {"PRODUCT", "product"}, {"VERSION", "version"}, {0}};
COLUMNS appliance_columns[] = {{"APPLIANCE", "name"},
			       {"CUSTOMER", "customer"},
			       {"PRODUCT", "product"},
			       {"VERSION", "version"},
			       {"CHANNEL", "channel"},
			       {"SUPPORT UNTIL", "support_until"},
			       {"LAST SEEN", "last_seen", CLI_TIME},
			       {0}};
#define APPLIANCE_OBJECT                                                                                               \
	{"appliance", "name"}, {"customer", "customer"}, {"contract", "contract"}, {"tier", "tier"},                   \
		{"support until", "support_until"}, {"product", "product"}, {"version", "version"},                    \
		{"channel", "channel"}, {"HA group", "ha_group"}, {"tags", "tags"}, {"key", "key_id"},                 \
		{"fence", "fence", CLI_NUMBER}, {"duplicate", "duplicate", CLI_YESNO}, {"hook state", "hook_state"},   \
		{"last seen", "last_seen", CLI_TIME}, {"clock skew", "skew", CLI_NUMBER},                              \
		{"revoked", "revoked", CLI_TIME},                                                                      \
	{                                                                                                              \
		0                                                                                                      \
	}
COLUMNS appliance_object[] = {APPLIANCE_OBJECT};
COLUMNS why_object[] = {{"", "why"}, APPLIANCE_OBJECT};
COLUMNS code_value[] = {{"", "code"}, {0}};
COLUMNS release_columns[] = {{"PRODUCT", "product"},
			     {"VERSION", "version"},
			     {"CHANNELS", "channels"},
			     {"PUBLISHED", "published", CLI_TIME},
			     {"SECURITY", "security", CLI_YESNO},
			     {"BYTES", "bytes", CLI_BYTES},
			     {"HALTED", "halted", CLI_YESNO},
			     {"YANKED", "yanked", CLI_YESNO},
			     {"RUNNING", "running", CLI_NUMBER},
			     {0}};
COLUMNS occurrence_columns[] = {{"LOCAL START", "local"},
				{"LOCAL END", "local_end"},
				{"ZONE", "zone"},
				{"UTC", "utc"},
				{"LAST START (UTC)", "utc_last_start"},
				{"SHIFTED", "shifted", CLI_YESNO},
				{"FROZEN PART", "trimmed", CLI_YESNO},
				{"WINDOW", "window"},
				{0}};
COLUMNS window_object[] = {{"of", "scope"},
			   {"name", "name"},
			   {"changed", "changed", CLI_TIME},
			   {"by", "changed_by"},
			   {"asked by", "requester"},
			   {"zone data", "tzdata"},
			   {0}};
COLUMNS freeze_columns[] = {
	{"FREEZE", "name"}, {"SCOPE", "scope"}, {"ADDED", "added", CLI_TIME}, {"BY", "added_by"}, {0}};
COLUMNS upgrade_columns[] = {{"ID", "id"},
			     {"APPLIANCE", "appliance"},
			     {"ACTION", "action"},
			     {"FROM", "from_version"},
			     {"TO", "to_version"},
			     {"STATE", "state"},
			     {"LOCAL START", "local_start"},
			     {"ZONE", "zone"},
			     {"WHY", "why"},
			     {0}};
COLUMNS upgrade_object[] = {{"", "why"},
			    {"upgrade", "id"},
			    {"appliance", "appliance"},
			    {"action", "action"},
			    {"product", "product"},
			    {"from", "from_version"},
			    {"to", "to_version"},
			    {"state", "state"},
			    {"held for", "held_for"},
			    {"needs", "needs"},
			    {"asked by", "requested_by"},
			    {"approved by", "approved_by"},
			    {"window", "window_name"},
			    {"local start", "local_start"},
			    {"zone", "zone"},
			    {"starts", "starts", CLI_TIME},
			    {"last start", "last_start", CLI_TIME},
			    {"ends", "ends", CLI_TIME},
			    {"step", "step"},
			    {"bytes", "bytes", CLI_BYTES},
			    {"bytes done", "bytes_done", CLI_BYTES},
			    {"fence", "fence", CLI_NUMBER},
			    {0}};
COLUMNS upgrade_id[] = {{"", "id"}, {0}};
COLUMNS event_columns[] = {{"AT", "at", CLI_TIME}, {"FROM", "from"}, {"TO", "to"},
			   {"BY", "actor"},        {"TEXT", "text"}, {0}};
COLUMNS tunnel_columns[] = {{"APPLIANCE", "appliance"},           {"SINCE", "since", CLI_TIME},
			    {"UNTIL", "until", CLI_TIME},         {"SCOPE", "scope"},
			    {"TRANSPORT", "transport"},           {"ADDRESS", "address"},
			    {"LAST SEEN", "last_seen", CLI_TIME}, {0}};
COLUMNS technician_columns[] = {
	{"TECHNICIAN", "name"}, {"LOGIN", "login"}, {"ROLE", "role"}, {"ADDED", "added", CLI_TIME}, {0}};
COLUMNS audit_columns[] = {{"SEQ", "seq", CLI_NUMBER},
			   {"AT", "at", CLI_TIME},
			   {"ACTOR", "actor"},
			   {"ACTION", "action"},
			   {"OBJECT", "object"},
			   {"DETAIL", "detail"},
			   {0}};
COLUMNS verify_object[] = {{"whole", "whole", CLI_YESNO}, {"rows", "rows", CLI_NUMBER}, {"head", "head"}, {0}};
COLUMNS status_object[] = {{"time", "time", CLI_TIME},
			   {"version", "version"},
			   {"technician", "technician"},
			   {"role", "role"},
			   {"customers", "customers", CLI_NUMBER},
			   {"appliances", "appliances", CLI_NUMBER},
			   {"connected", "connected", CLI_NUMBER},
			   {"duplicates", "duplicates", CLI_NUMBER},
			   {"lapsed contracts", "lapsed", CLI_NUMBER},
			   {"releases", "releases", CLI_NUMBER},
			   {"halted releases", "halted", CLI_NUMBER},
			   {"audit rows", "audit", CLI_NUMBER},
			   {0}};
COLUMNS attention_columns[] = {{"UPGRADE", "id"}, {"APPLIANCE", "appliance"}, {"STATE", "state"}, {"WHY", "why"}, {0}};

static const struct cli_nested customer_nested[] = {{"contacts", "contacts", contact_columns},
						    {"contracts", "contracts", contract_short},
						    {"appliances", "appliances", appliance_short},
						    {0}};
static const struct cli_nested contract_nested[] = {{"appliances", "appliances", appliance_short}, {0}};
static const struct cli_nested upgrade_nested[] = {{"history", "events", event_columns}, {0}};
static const struct cli_nested window_nested[] = {{"next", "occurrences", occurrence_columns}, {0}};
COLUMNS receipt_list_columns[] = {{"APPLIANCE", "appliance"},
				  {"UPGRADE", "upgrade"},
				  {"FROM", "from"},
				  {"TO", "to"},
				  {"OUTCOME", "outcome"},
				  {"ENDED", "ended", CLI_TIME},
				  {"CAME", "received", CLI_TIME},
				  {0}};
COLUMNS warning_columns[] = {{"WHAT", "what"}, {"EXPIRES", "expires", CLI_TIME}, {"WARNING", "text"}, {0}};
COLUMNS withdrawn_columns[] = {{"APPLIANCE", "appliance"}, {"RUNS", "version"}, {"WITHDRAWN", "reason"}, {0}};
static const struct cli_nested status_nested[] = {{"to be renewed", "warnings", warning_columns},
						  {"running what was withdrawn", "withdrawn", withdrawn_columns},
						  {"for a person to look at", "attention", attention_columns},
						  {0}};

/* Options and what becomes of them. */
OPTIONS receipt_options[] = {{"--appliance", "NAME", .help = "of this appliance"}, {0}};
OPTIONS person_options[] = {{"--person", "NAME", .help = "who reads there"}, {0}};
OPTIONS contract_add_options[] = {
	{"--customer", "C", .required = true, .help = "whose it is"},
	{"--kind", "KIND", .required = true, .help = "on-premise or cloud"},
	{"--tier", "TIER", .required = true, .help = "standard, advanced or premium; cloud: standard or priority"},
	{"--until", "DATE", .required = true, .help = "support's last day, YYYY-MM-DD"},
	{"--zone", "ZONE", .required = true, .help = "in whose midnight it ends, as Europe/London"},
	{"--users", "N", .required = true, .help = "2,000 or more raise the lowest tiers"},
	{0},
};
OPTIONS contract_renew_options[] = {
	{"--until", "DATE", .required = true, .help = "the new last day"},
	{"--tier", "TIER", .help = "another tier from now on"},
	{"--users", "N", .help = "another number of users"},
	{0},
};
OPTIONS customer_filter[] = {{"--customer", "C", .help = "of this customer only"}, {0}};
OPTIONS appliance_add_options[] = {
	{"--contract", "ID", .required = true, .help = "what pays for it"},
	{"--product", "P", .required = true, .help = "what it runs"},
	{"--channel", "C", .help = "which releases it follows; stable unless said"},
	{"--ha-group", "G", .help = "nodes of one group are never upgraded at once"},
	{"--tag", "T", .repeated = true, .help = "for freezes; may be given again"},
	{0},
};
OPTIONS release_options[] = {{"--product", "P", .help = "of this product only"}, {0}};
OPTIONS halt_options[] = {{"--reason", "T", .required = true, .help = "what is wrong with it"}, {0}};
OPTIONS reason_options[] = {{"--reason", "T", .help = "goes into the history"}, {0}};
OPTIONS window_set_options[] = {{"--requester", "NAME", .help = "who at the customer asked for it"}, {0}};
OPTIONS next_options[] = {{"--next", "N", .help = "how many; 5 unless said"}, {0}};
OPTIONS export_options[] = {{"-o", "FILE", .required = true, .help = "the iCalendar file to write"},
			    {"--next", "N", .help = "how many occurrences; 52 unless said"},
			    {0}};
OPTIONS to_options[] = {{"--to", "V", .required = true, .help = "the version"}, {0}};
#define WHEN                                                                                                           \
	{"--window", "next", .help = "the next window, or the one that is open (this is the default)"},                \
	{                                                                                                              \
		"--at", "LOCALTIME", .help = "a start inside a window: 2027-01-03T01:30, in the window's zone"         \
	}
OPTIONS book_options[] = {{"--to", "V", .required = true, .help = "the version"}, WHEN, {0}};
OPTIONS when_options[] = {WHEN, {0}};
OPTIONS rollback_options[] = {
	WHEN,
	{"--now", NULL, .help = "outside a window: needs a second person's approval"},
	{"--reason", "T", .help = "goes into the history"},
	{0},
};
OPTIONS list_options[] = {{"--appliance", "NAME", .help = "of this appliance only"},
			  {"--state", "STATE", .help = "in this state only"},
			  {0}};
OPTIONS approve_options[] = {
	{"--customer", "EMAIL", .help = "the contact who said yes, where it is the customer's approval that is wanted"},
	{0}};
OPTIONS watch_options[] = {{"--until", "STATE", .help = "ends there too"},
			   {"--for", "DURATION", .help = "gives up after this, with 75"},
			   {0}};
OPTIONS resolve_options[] = {
	{"--as", "STATE", .required = true, .help = "committed, rolled-back or cancelled: what stands there now"},
	{"--reason", "T", .required = true, .help = "how you know"},
	{0},
};
OPTIONS technician_options[] = {
	{"--login", "UNIXUSER", .required = true, .help = "who he is at the API's socket"},
	{"--key", "FILE.pub", .required = true, .help = "OpenSSH ed25519 public key"},
	{"--role", "R", .required = true, .help = "admin, accounts, technician, approver or auditor"},
	{0},
};
OPTIONS offline_options[] = {
	{"--appliance", "NAME", .required = true, .help = "whom it is for"},
	{"--valid", "DURATION", .help = "how long it can be applied: 60d unless said, 90d at most"},
	{"-o", "FILE", .required = true, .help = "the file"},
	{0}};
OPTIONS within_options[] = {{"--within", "DURATION", .help = "60d unless said"}, {0}};
OPTIONS audit_options[] = {{"--object", "NAME", .help = "of this object only"},
			   {"--after", "SEQ", .help = "rows after this one"},
			   {"--most", "N", .help = "1000 unless said"},
			   {0}};
OPTIONS verify_options[] = {{"--head", "HASH", .help = "this hash must stand in the chain"}, {0}};

PARTS no_parts[] = {{0}};
PARTS customer_parts[] = {{"1", "name"}, {0}};
PARTS contact_parts[] = {{"2", "email"}, {"--person", "person"}, {0}};
PARTS contract_parts[] = {{"1", "id"},
			  {"--customer", "customer"},
			  {"--kind", "kind"},
			  {"--tier", "tier"},
			  {"--until", "until"},
			  {"--zone", "zone"},
			  {"--users", "users", CLI_PART_INTEGER},
			  {0}};
PARTS renew_parts[] = {{"--until", "until"}, {"--tier", "tier"}, {"--users", "users", CLI_PART_INTEGER}, {0}};
PARTS customer_query[] = {{"--customer", "customer"}, {0}};
PARTS appliance_parts[] = {{"1", "name"},
			   {"--contract", "contract"},
			   {"--product", "product"},
			   {"--channel", "channel"},
			   {"--ha-group", "ha_group"},
			   {"--tag", "tags", CLI_PART_LIST},
			   {0}};
PARTS product_query[] = {{"--product", "product"}, {0}};
PARTS reason_parts[] = {{"--reason", "reason"}, {0}};
PARTS window_parts[] = {{"2", "ini", CLI_PART_FILE}, {"--requester", "requester"}, {0}};
PARTS next_query[] = {{"--next", "next"}, {0}};
PARTS freeze_parts[] = {{"1", "ini", CLI_PART_FILE}, {0}};
PARTS book_parts[] = {{"1", "appliance"}, {"--to", "to"}, {"--window", "window"}, {"--at", "at"}, {0}};
PARTS when_parts[] = {{"--window", "window"}, {"--at", "at"}, {0}};
PARTS rollback_parts[] = {
	{"--window", "window"}, {"--at", "at"}, {"--now", "now", CLI_PART_FLAG}, {"--reason", "reason"}, {0}};
PARTS list_query[] = {{"--appliance", "appliance"}, {"--state", "state"}, {0}};
PARTS receipt_query[] = {{"--appliance", "appliance"}, {0}};
PARTS approve_parts[] = {{"--customer", "customer"}, {0}};
PARTS resolve_parts[] = {{"--as", "as"}, {"--reason", "reason"}, {0}};
PARTS technician_parts[] = {
	{"1", "name"}, {"--login", "login"}, {"--key", "key", CLI_PART_FILE}, {"--role", "role"}, {0}};
PARTS within_query[] = {{"--within", "within"}, {0}};
PARTS audit_query[] = {{"--object", "object"}, {"--after", "after"}, {"--most", "most"}, {0}};
PARTS head_query[] = {{"--head", "head"}, {0}};

#define SAID(sentence)                                                                                                 \
	{                                                                                                              \
		CLI_NOTHING, .said = (sentence)                                                                        \
	}

REQUEST status = {"GET", "/v1/status", NULL, {CLI_OBJECT, status_object, status_nested}};
REQUEST customer_add = {"POST", "/v1/customers", customer_parts, SAID("customer $1 added")};
REQUEST customer_list = {"GET", "/v1/customers", NULL, {CLI_TABLE, customers_columns}};
REQUEST customer_show = {"GET", "/v1/customers/$1", NULL, {CLI_OBJECT, customer_columns, customer_nested}};
REQUEST contact_add = {"POST", "/v1/customers/$1/contacts", contact_parts, SAID("contact $2 added to $1")};
REQUEST contact_remove = {"DELETE", "/v1/customers/$1/contacts/$2", NULL, SAID("contact $2 removed from $1")};
REQUEST contract_add = {"POST", "/v1/contracts", contract_parts, SAID("contract $1 added")};
REQUEST contract_renew = {"POST", "/v1/contracts/$1/renew", renew_parts, SAID("contract $1 renewed")};
REQUEST contract_list = {"GET", "/v1/contracts", customer_query, {CLI_TABLE, contract_columns}};
REQUEST contract_show = {"GET", "/v1/contracts/$1", NULL, {CLI_OBJECT, contract_object, contract_nested}};
REQUEST appliance_add = {"POST", "/v1/appliances", appliance_parts, {CLI_VALUE, code_value}};
REQUEST appliance_code = {"POST", "/v1/appliances/$1/code", no_parts, {CLI_VALUE, code_value}};
REQUEST appliance_list = {"GET", "/v1/appliances", NULL, {CLI_TABLE, appliance_columns}};
REQUEST appliance_show = {"GET", "/v1/appliances/$1", NULL, {CLI_OBJECT, appliance_object}};
REQUEST appliance_why = {"GET", "/v1/appliances/$1/why", NULL, {CLI_OBJECT, why_object}};
REQUEST appliance_revoke = {"POST", "/v1/appliances/$1/revoke", no_parts, SAID("appliance $1 revoked")};
REQUEST release_list = {"GET", "/v1/releases", product_query, {CLI_TABLE, release_columns}};
REQUEST release_halt = {"POST", "/v1/releases/$1/halt", reason_parts, SAID("release $1 halted")};
REQUEST release_unhalt = {"POST", "/v1/releases/$1/unhalt", no_parts, SAID("release $1 is halted no more")};
REQUEST window_set = {"PUT", "/v1/windows/$1", window_parts, SAID("windows of $1 set")};
REQUEST window_show = {"GET", "/v1/windows/$1", next_query, {CLI_OBJECT, window_object, window_nested}};
REQUEST freeze_add = {"POST", "/v1/freezes", freeze_parts, SAID("freezes of $1 added")};
REQUEST freeze_list = {"GET", "/v1/freezes", NULL, {CLI_TABLE, freeze_columns}};
REQUEST freeze_remove = {"DELETE", "/v1/freezes/$1", NULL, SAID("freeze $1 removed")};
REQUEST upgrade_book = {"POST", "/v1/upgrades", book_parts, {CLI_VALUE, upgrade_id}};
REQUEST upgrade_list = {"GET", "/v1/upgrades", list_query, {CLI_TABLE, upgrade_columns}};
REQUEST receipt_list = {"GET", "/v1/receipts", receipt_query, {CLI_TABLE, receipt_list_columns}};
REQUEST upgrade_show = {"GET", "/v1/upgrades/$1", NULL, {CLI_OBJECT, upgrade_object, upgrade_nested}};
REQUEST upgrade_approve = {"POST", "/v1/upgrades/$1/approve", approve_parts, SAID("upgrade $1 approved")};
REQUEST upgrade_decline = {"POST", "/v1/upgrades/$1/decline", reason_parts, SAID("upgrade $1 declined")};
REQUEST upgrade_pause = {"POST", "/v1/upgrades/$1/pause", reason_parts, SAID("upgrade $1 paused")};
REQUEST upgrade_resume = {"POST", "/v1/upgrades/$1/resume", no_parts, SAID("upgrade $1 resumed")};
REQUEST upgrade_move = {"POST", "/v1/upgrades/$1/move", when_parts, SAID("upgrade $1 moved")};
REQUEST upgrade_abort = {"POST", "/v1/upgrades/$1/abort", reason_parts, SAID("upgrade $1: abort asked")};
REQUEST upgrade_retry = {"POST", "/v1/upgrades/$1/retry", when_parts, {CLI_VALUE, upgrade_id}};
REQUEST upgrade_rollback = {"POST", "/v1/upgrades/$1/rollback", rollback_parts, {CLI_VALUE, upgrade_id}};
REQUEST upgrade_resolve = {"POST", "/v1/upgrades/$1/resolve", resolve_parts, SAID("upgrade $1 resolved")};
REQUEST tunnel_list = {"GET", "/v1/tunnels", NULL, {CLI_TABLE, tunnel_columns}};
REQUEST tunnel_close = {"POST", "/v1/tunnels/$1/close", no_parts, SAID("tunnel of $1: close asked")};
REQUEST technician_add = {"POST", "/v1/technicians", technician_parts, SAID("technician $1 added")};
REQUEST technician_list = {"GET", "/v1/technicians", NULL, {CLI_TABLE, technician_columns}};
REQUEST technician_remove = {"DELETE", "/v1/technicians/$1", NULL, SAID("technician $1 removed")};
REQUEST renewals = {"GET", "/v1/renewals", within_query, {CLI_TABLE, contract_columns}};
REQUEST audit_show = {"GET", "/v1/audit", audit_query, {CLI_TABLE, audit_columns}};
REQUEST audit_verify = {"GET", "/v1/audit/verify", head_query, {CLI_OBJECT, verify_object}};

#define CALL cli_request_run

const struct command cli_commands[] = {
	{"status", "", 0, 0, NULL, "how things stand, and what waits for a person", CALL, &status},

	{"release import", "DIR", 1, 1, NULL, "verify a repository's whole chain and take all of it, or nothing",
	 cli_release_import, NULL},
	{"release list", "", 0, 0, release_options, "what was imported", CALL, &release_list},
	{"release halt", "V", 1, 1, halt_options, "nobody gets it from now on", CALL, &release_halt},
	{"release unhalt", "V", 1, 1, NULL, "free it again (approver)", CALL, &release_unhalt},

	{"release export", "V", 1, 1, offline_options,
	 "one file for an appliance without a network: `apply FILE` there", cli_offline_export, NULL},
	{"receipt list", "", 0, 0, receipt_options, "what appliances have done, by their own signature", CALL,
	 &receipt_list},
	{"receipt import", "FILE", 1, 1, NULL, "what `appliance-hook receipt export` wrote there", cli_offline_receipts,
	 NULL},

	{"customer add", "NAME", 1, 1, NULL, "a new customer", CALL, &customer_add},
	{"customer show", "NAME", 1, 1, NULL, "contacts, contracts, appliances", CALL, &customer_show},
	{"customer list", "", 0, 0, NULL, "all customers", CALL, &customer_list},
	{"customer contact add", "NAME EMAIL", 2, 2, person_options, "who gets the customer's mail", CALL,
	 &contact_add},
	{"customer contact remove", "NAME EMAIL", 2, 2, NULL, "gets it no more", CALL, &contact_remove},

	{"contract add", "ID", 1, 1, contract_add_options, "what support was sold, until when", CALL, &contract_add},
	{"contract renew", "ID", 1, 1, contract_renew_options, "a later date; frees what is held for it", CALL,
	 &contract_renew},
	{"contract list", "", 0, 0, customer_filter, "all contracts", CALL, &contract_list},
	{"contract show", "ID", 1, 1, NULL, "one contract and its appliances", CALL, &contract_show},
	{"renewals", "", 0, 0, within_options, "contracts that end soon, and those that have ended", CALL, &renewals},

	{"appliance add", "NAME", 1, 1, appliance_add_options, "a new appliance; prints its one-time join code", CALL,
	 &appliance_add},
	{"appliance list", "", 0, 0, NULL, "all appliances", CALL, &appliance_list},
	{"appliance show", "NAME", 1, 1, NULL, "all that is known of one", CALL, &appliance_show},
	{"appliance why", "NAME", 1, 1, NULL, "why it is not being upgraded", CALL, &appliance_why},
	{"appliance code", "NAME", 1, 1, NULL, "a new join code in place of the last", CALL, &appliance_code},
	{"appliance revoke", "NAME", 1, 1, NULL, "its key opens nothing any more", CALL, &appliance_revoke},

	{"window set", "NAME FILE.ini", 2, 2, window_set_options,
	 "the windows of an appliance or a customer; all or none", CALL, &window_set},
	{"window show", "NAME", 1, 1, next_options, "the next openings, freezes taken off", CALL, &window_show},
	{"window export", "NAME", 1, 1, export_options, "the next openings as iCalendar", cli_window_export, NULL},
	{"freeze add", "FILE.ini", 1, 1, NULL, "when nothing is upgraded; all sections or none", CALL, &freeze_add},
	{"freeze list", "", 0, 0, NULL, "all freezes", CALL, &freeze_list},
	{"freeze remove", "NAME", 1, 1, NULL, "one less", CALL, &freeze_remove},

	{"upgrade plan", "APPLIANCE", 1, 1, to_options, "dry run: each check with its value, yes or no, and why",
	 cli_upgrade_plan, NULL},
	{"upgrade book", "APPLIANCE", 1, 1, book_options, "book it; prints the id", CALL, &upgrade_book},
	{"upgrade approve", "ID", 1, 1, approve_options, "say yes to what another person asked", CALL,
	 &upgrade_approve},
	{"upgrade decline", "ID", 1, 1, reason_options, "say no to it", CALL, &upgrade_decline},
	{"upgrade list", "", 0, 0, list_options, "all upgrades, the newest last", CALL, &upgrade_list},
	{"upgrade show", "ID", 1, 1, NULL, "why it is not running, then everything else", CALL, &upgrade_show},
	{"upgrade watch", "ID", 1, 1, watch_options, "follow it to its end; exits as it ended", cli_upgrade_watch,
	 NULL},
	{"upgrade pause", "ID", 1, 1, reason_options, "hold it until somebody resumes it", CALL, &upgrade_pause},
	{"upgrade resume", "ID", 1, 1, NULL, "let a paused one go on", CALL, &upgrade_resume},
	{"upgrade move", "ID", 1, 1, when_options, "to another hour", CALL, &upgrade_move},
	{"upgrade abort", "ID", 1, 1, reason_options, "cancel it; once it switches it ends by its own rules", CALL,
	 &upgrade_abort},
	{"upgrade retry", "ID", 1, 1, when_options, "once more; prints the id", CALL, &upgrade_retry},
	{"upgrade rollback", "ID", 1, 1, rollback_options, "book the way back; prints the id", CALL, &upgrade_rollback},
	{"upgrade resolve", "ID", 1, 1, resolve_options, "say what stands there when nobody else can", CALL,
	 &upgrade_resolve},
	{"upgrade report", "ID", 1, 1, NULL, "what happened, step by step, with the receipt", cli_upgrade_report, NULL},

	{"tunnel list", "", 0, 0, NULL, "who is connected", CALL, &tunnel_list},
	{"tunnel close", "APPLIANCE", 1, 1, NULL, "close it from this end", CALL, &tunnel_close},

	{"technician add", "NAME", 1, 1, technician_options, "who may ask, and what (admin)", CALL, &technician_add},
	{"technician list", "", 0, 0, NULL, "all of them", CALL, &technician_list},
	{"technician remove", "NAME", 1, 1, NULL, "may ask no more (admin)", CALL, &technician_remove},

	{"audit verify", "", 0, 0, verify_options, "check the hash chain of the log", CALL, &audit_verify},
	{"audit show", "", 0, 0, audit_options, "who did what", CALL, &audit_show},
	{.words = NULL},
};

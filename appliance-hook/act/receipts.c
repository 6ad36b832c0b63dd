#include "appliance-hook/act/receipts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/act/point.h"
#include "base/file.h"
#include "base/log.h"
#include "keys/receipt.h"
#include "keys/sshkey.h"

#define RECEIPTS_LISTED_MOST 10000
#define PATH_SIZE            160

/* An upgrade that is tried again keeps its id, so its time of start belongs to the name. */
static void path_of(const struct journal_run *run, char path[static PATH_SIZE])
{
	char id[LAYOUT_ID_SIZE];

	layout_id(run->upgrade, id);
	snprintf(path, PATH_SIZE, "receipts/%s.%lld.json", id, (long long)run->started);
}

/* NULL when the appliance has not joined. */
static int load_key(const struct layout *layout, struct key_secret **ret_key, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	uint8_t seed[SECRET_ED25519_SEED];
	int status = file_read_at(layout->state, "../link/appliance_key", &text, error);

	if (status < 0 && strcmp(error->name, "missing") == 0)
		return 0;
	if (status == 0)
		status = sshkey_read(text.data, text.size, seed, error);
	if (status == 0)
		status = key_secret_from_seed(seed, ret_key, error);
	secret_wipe(seed, sizeof seed);
	return status;
}

static json_t *steps_of(const struct journal_run *run)
{
	json_t *steps = json_array();

	for (size_t i = 0; steps && i < run->step_count; i++) {
		const struct journal_step *step = &run->steps[i];
		const char *result = step->result[0] ? step->result : "interrupted";
		if (json_array_append_new(steps, json_pack("{s:s,s:I,s:s}", "name", step->name, "ms",
							   (json_int_t)step->ms, "result", result)) < 0)
			jsonio_free(&steps);
	}
	return steps;
}

static json_t *document_of(const struct layout *layout, const struct journal_run *run, const char *key_id)
{
	json_t *steps = steps_of(run);

	if (!steps)
		return NULL;
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:I,s:I,s:o,s:I,s:s}", "_type", "receipt", "upgrade",
			 run->upgrade, "appliance", key_id, "product", layout->settings->product, "from", run->from,
			 "to", run->to, "outcome", journal_stage_name(run->outcome), "reason", run->reason, "confirmed",
			 (int)run->confirmed, "started", (json_int_t)run->started, "ended", (json_int_t)run->ended,
			 "steps", steps, "generation", (json_int_t)layout_generation(layout), "audit_head",
			 run->audit_head);
}

static int write_receipt(const struct layout *layout, const struct journal_run *run, const char *path,
			 struct error *error)
{
	CLEANUP(key_secret_free) struct key_secret *key = NULL;
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(jsonio_free) json_t *document = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(RECEIPT_MOST);
	struct error why = {0};

	if (load_key(layout, &key, &why) < 0)
		log_failure("the appliance's key", &why); /* an unsigned receipt says more than none */
	document = document_of(layout, run, key ? key_id(key_secret_public(key)) : "");
	if (!document)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a receipt");
	int status = key ? receipt_sign(document, key, &bytes, error) : envelope_new(document, &envelope, error);
	if (status == 0 && !key)
		status = envelope_write(envelope, &bytes, error);
	if (status == 0)
		status = point_pass("act.receipt.write", error);
	return status < 0 ? status : file_replace_at(layout->state, path, bytes.data, bytes.size, 0644, error);
}

int receipts_ensure(const struct layout *layout, const struct journal_state *state, struct error *error)
{
	const struct journal_run *run = &state->run;
	char path[PATH_SIZE];

	if (run->outcome == JOURNAL_IDLE || !run->from[0])
		return 0;
	path_of(run, path);
	if (faccessat(layout->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return write_receipt(layout, run, path, error);
}

static int read_one(const struct layout *layout, const char *path, json_t **ret_envelope, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(RECEIPT_MOST);
	int status = file_read_at(layout->state, path, &bytes, error);

	return status == 0 ? jsonio_parse(bytes.data, bytes.size, path, ret_envelope, error) : status;
}

int receipts_read(const struct layout *layout, const struct journal_run *run, json_t **ret_envelope,
		  struct error *error)
{
	json_t *envelope = NULL;
	char path[PATH_SIZE];

	path_of(run, path);
	int status = run->outcome == JOURNAL_IDLE ? 0 : read_one(layout, path, &envelope, error);
	if (status < 0 && strcmp(error->name, "missing") != 0)
		return status;
	*ret_envelope = envelope;
	return 0;
}

static int is_receipt(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

int receipts_list(const struct layout *layout, json_t **ret_list, struct error *error)
{
	CLEANUP(jsonio_free) json_t *list = json_array();
	struct dirent **entries = NULL;
	int count = scandirat(layout->state, "receipts", &entries, is_receipt, alphasort);
	int status = !list       ? error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the receipts")
		     : count < 0 ? error_set_errno(error, ERROR_DATA, "read", "receipts/ cannot be listed")
				 : 0;

	for (int i = 0; i < count; i++) {
		char path[300];
		json_t *envelope = NULL;
		snprintf(path, sizeof path, "receipts/%s", entries[i]->d_name);
		if (status == 0 && i < RECEIPTS_LISTED_MOST)
			status = read_one(layout, path, &envelope, error);
		if (status == 0 && envelope &&
		    json_array_append_new(list,
					  json_pack("{s:s,s:o}", "name", entries[i]->d_name, "receipt", envelope)) < 0)
			status = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the receipts");
		free(entries[i]);
	}
	free(entries);
	if (status == 0)
		*ret_list = TAKE(list);
	return status;
}

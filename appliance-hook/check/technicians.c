#include "appliance-hook/check/technicians.h"

#include "base/file.h"
#include "keys/technicians.h"

/* Never by delegation: who may log in is said under the targets' own threshold. */
static int find(const struct trust *trust, struct role_target *ret_target, bool *ret_named, struct error *error)
{
	if (role_target_read(trust_targets(trust), TECHNICIANS_TARGET, ret_target, ret_named, error) < 0)
		return -(int)error->code;
	if (*ret_named && ret_target->length > TECHNICIANS_SIZE_MOST)
		return error_set(error, ERROR_DATA, "length", TECHNICIANS_TARGET " is signed as too long");
	return 0;
}

static bool is_kept(int directory, const struct role_target *target)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	struct error ignored = {0};
	return file_read_at(directory, TECHNICIANS_TARGET, &bytes, &ignored) == 0 &&
	       role_target_check(target, TECHNICIANS_TARGET, bytes.data, bytes.size, &ignored) == 0;
}

static int forget(int directory, struct error *error)
{
	if (file_remove_tree_at(directory, TECHNICIANS_TARGET, error) < 0)
		return -(int)error->code;
	return file_sync_directory(directory, error);
}

int technicians_follow(struct trust *trust, struct trust_source source, int directory, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	CLEANUP(technicians_free) struct technicians technicians = {0};
	struct role_target target = {0};
	bool named = false;
	if (find(trust, &target, &named, error) < 0)
		return -(int)error->code;
	if (named && is_kept(directory, &target))
		return 0;
	if (forget(directory, error) < 0)
		return -(int)error->code;
	if (!named)
		return 0;
	if (trust_fetch_target(trust, source, TECHNICIANS_TARGET, &target, &bytes, error) < 0 ||
	    technicians_parse(bytes.data, bytes.size, &technicians, error) < 0)
		return -(int)error->code;
	return file_replace_at(directory, TECHNICIANS_TARGET, bytes.data, bytes.size, 0644, error);
}

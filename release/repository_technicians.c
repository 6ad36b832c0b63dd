/* technicians.json: read as it stands, and staged anew. */
#include <string.h>

#include "release/repository_state.h"

int repository_technicians(struct repository *repository, struct technicians *ret_technicians, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	const json_t *map = json_object_get(repository_current_targets(repository), "targets");

	if (json_object_get(map, TECHNICIANS_TARGET) == NULL) {
		*ret_technicians = (struct technicians){0};
		return 0;
	}
	int result = repository_get_small(repository, TECHNICIANS_TARGET, map, &bytes, error);
	return result < 0 ? result : technicians_parse(bytes.data, bytes.size, ret_technicians, error);
}

int repository_set_technicians(struct repository *repository, const struct technicians *technicians,
			       struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	CLEANUP(jsonio_free) json_t *targets = NULL;

	int result = repository_next_targets(repository, &targets, error);
	if (result < 0)
		return result;
	json_t *map = json_object_get(targets, "targets");
	if (technicians->count == 0) {
		(void)json_object_del(map, TECHNICIANS_TARGET);
	} else {
		result = technicians_write(technicians, &bytes, error);
		if (result == 0)
			result = repository_put_small(repository, TECHNICIANS_TARGET, &bytes, map, error);
	}
	return result < 0 ? result : repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
}

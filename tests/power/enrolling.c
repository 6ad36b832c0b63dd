#include "tests/power/enrolling.h"

#include <stdio.h>

#include "tests/unit/check/joined.h"

int enrolling_join(struct fixture *fixture, int number, struct error *error)
{
	return joined_join(&fixture->settings, number, error);
}

static bool is_joined(struct fixture *fixture, int least, int most, char ret_text[WHOLE_TEXT_SIZE])
{
	char text[JOINED_TEXT_SIZE];
	int number = joined_number(&fixture->settings, text);

	snprintf(ret_text, WHOLE_TEXT_SIZE, "join %d was acknowledged, and the box is of %d: %s", least, number, text);
	return number >= least && number <= most;
}

bool enrolling_holds(struct fixture *fixture, int acknowledged, char ret_text[WHOLE_TEXT_SIZE])
{
	char text[JOINED_TEXT_SIZE];
	struct error error = {0};

	if (!joined_is_sound(&fixture->settings, text)) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "after join %d: %s", acknowledged, text);
		return false;
	}
	if (joined_settle(&fixture->settings, &error) < 0) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "what join left cannot be ended: %s", error.text);
		return false;
	}
	if (!is_joined(fixture, acknowledged, acknowledged + 1, ret_text))
		return false;
	if (joined_join(&fixture->settings, ENROLLING_LAST + 1, &error) < 0) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "the next join is refused: %s", error.text);
		return false;
	}
	return is_joined(fixture, ENROLLING_LAST + 1, ENROLLING_LAST + 1, ret_text);
}

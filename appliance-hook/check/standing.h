/* What stands on this appliance, as HELLO and `status` say it: act's part and check's own. */
#ifndef CHECK_STANDING_H
#define CHECK_STANDING_H

#include "appliance-hook/check/session.h"

enum standing_form { STANDING_HELLO, STANDING_STATUS };
int standing_read(struct session *session, enum standing_form form, json_t **ret_body, struct error *error) MUST_CHECK;

#endif

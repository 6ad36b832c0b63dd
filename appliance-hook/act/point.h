/* A fault point as a step that can fail: name it "act.WHAT.VERB". */
#ifndef ACT_POINT_H
#define ACT_POINT_H

#include "base/fault.h"

static inline int point_pass(const char *name UNUSED, struct error *error UNUSED)
{
	return fault_point(name) < 0 ? error_set_errno(error, ERROR_CANNOT_CREATE, "fault", "%s", name) : 0;
}

#endif

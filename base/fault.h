/* Named fault points: every fsync, rename, write, exec and message of the hook passes one, so that a sweep can kill the
 * program there. In a build without -Dfault_points=true the macro is empty.
 *
 * NIGHTSHIFT_FAULT="name[:n]=kill|enospc|eio" strikes at the n-th (first) passage of that name; "…,…" at two;
 * NIGHTSHIFT_FAULT_LOG=FILE appends each name as it is passed. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/error.h"

#ifdef NIGHTSHIFT_FAULT_POINTS
/* 0, or -1 with errno set to ENOSPC or EIO; does not return for kill. */
int fault_point(const char *name);
#else
#define fault_point(name) (0)
#endif

#endif

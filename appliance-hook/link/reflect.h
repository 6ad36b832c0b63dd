/* A mirror's repository on a stream: link's child that fetches by HTTP what check asks for, and reads none of it. It
 * holds neither the appliance's key nor the directory where that lies. */
#ifndef LINK_REFLECT_H
#define LINK_REFLECT_H

#include "base/error.h"

#define REFLECT_URL_MOST 2048

/* Starts the child; *ret_stream is the end that goes to check, and the child ends when that is closed. SIGCHLD must be
 * ignored by the caller's process. */
int reflect_start(const char *url, int *ret_stream, struct error *error) MUST_CHECK;

#endif

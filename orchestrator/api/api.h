/* The API's process: technicians on a unix socket, known by SO_PEERCRED. Holds the store; meets neither the internet
 * nor a signing key. A command is one transaction in the store; the engine acts on what it finds there. */
#ifndef API_API_H
#define API_API_H

#include "base/compiler.h"

/* The role's body, after exec. Descriptor 3 + 0 is `supervisor_fd`; the next one, supervisor_fd + 1, is the listening
 * unix socket. Returns the exit code: 0 when the supervisor has gone. */
int api_main(int supervisor_fd);

#endif

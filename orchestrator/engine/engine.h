/* The engine: the one process that makes upgrades happen. It meets the store, the hub, the signer and, over descriptors
 * that the hub lends, the appliances; never the internet. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"

/* The role: settings ({"set":{"store":PATH,"releases":DIR,"lapsed":"blocked"|"published"}}) and peers come over
 * `supervisor_fd`. Returns the exit code. */
int engine_main(int supervisor_fd);

#endif

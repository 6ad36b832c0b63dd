/* The signer: holds the order, timestamp and entitlement keys and signs what the engine asks for, within rules that it
 * keeps by itself. It has no network and no store; what it has signed stands in its own append-only ledger. */
#ifndef SIGNER_SIGNER_H
#define SIGNER_SIGNER_H

#include "base/error.h"

/* The role: settings ({"set":{"keys":DIR,"limits":FILE}}) and peers come over `supervisor_fd`. Returns the exit code.
 */
int signer_main(int supervisor_fd);

/* The key files in the keys directory. */
#define SIGNER_ORDER_KEY       "order"
#define SIGNER_TIMESTAMP_KEY   "timestamp"
#define SIGNER_ENTITLEMENT_KEY "entitlement"

#endif

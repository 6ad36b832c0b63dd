/* Single values that were learnt once: "root" is the hash of the installed TUF root in hexadecimal (the engine writes
 * it at import, join codes pin it). */
#ifndef STORE_STORE_FACT_H
#define STORE_STORE_FACT_H

#include "orchestrator/store/store.h"

#define STORE_FACT_ROOT "root"
#define STORE_FACT_SIZE 256

/* "" when it is not known. */
int store_fact_get(struct store *store, const char *name, char ret_value[static STORE_FACT_SIZE],
		   struct error *error) MUST_CHECK;
int store_fact_set(struct store *store, const char *name, const char *value, struct error *error) MUST_CHECK;

#endif

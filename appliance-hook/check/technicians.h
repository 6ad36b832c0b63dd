/* technicians.json as the accepted targets name it, kept in STATE/trust for whoever asks who may log in. */
#ifndef CHECK_TECHNICIANS_H
#define CHECK_TECHNICIANS_H

#include "keys/trust.h"

/* After a refresh, with the lock on `directory` held. The kept file is what the top-level targets name, or it is not
 * there: one that they name no longer goes first, so that nobody who was taken off stays because the new list was
 * withheld. Fetches only what is not kept already. */
int technicians_follow(struct trust *trust, struct trust_source source, int directory, struct error *error) MUST_CHECK;

#endif

/* The process that reads an offline file's archive and nothing else: it holds the open file and one end of a stream, on
 * which it answers FETCH as the orchestrator would. What it gives is believed no more than what came by a tunnel. */
#ifndef CHECK_READER_H
#define CHECK_READER_H

#include "base/error.h"

/* By these names the grant and the entitlement lie in the file, beside metadata/…, targets/… and blobs/…. */
#define READER_GRANT       "offline.json"
#define READER_ENTITLEMENT "entitlement.json"

/* In the child, with everything else closed: sandbox first. Takes both. Returns when the stream is closed. */
int reader_run_take(int file, int stream, struct error *error) MUST_CHECK;

#endif

/* Import: one run takes one repository folder into the releases directory, all of it verified, or nothing. It meets
 * nobody: no network, no store, no keys; it reads beneath one descriptor and writes beneath another. */
#ifndef IMPORT_IMPORT_H
#define IMPORT_IMPORT_H

#include "base/error.h"

/* The role. `result_fd` is a SEQPACKET socket for the one answer: {"releases":[{product,version,sequence}]} or
 * {"error":{code,name,text}}. `source` is the repository's directory, `releases` where releases live:
 * metadata/, targets/, blobs/ as published, trust/ the trusted set. Returns the exit code. */
int import_main(int result_fd, int source, int releases);

#endif

/*
 * The adapter's side of corpus/PROTOCOL.md: offers an adapter of this process to another process.
 */
#ifndef HARNESS_SERVE_H
#define HARNESS_SERVE_H

#include "adapters/adapter.h"

/* Answers the requests on standard input one after the other until end of file. Returns an exit status: 0, or 1 after a
 * malformed request. */
int serve(struct adapter *adapter);

#endif

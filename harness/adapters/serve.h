/*
 * The other side of corpus/PROTOCOL.md: an adapter of this process as an adapter process.
 */
#ifndef HARNESS_SERVE_H
#define HARNESS_SERVE_H

#include "adapters/adapter.h"

/* Answers the requests on standard input until it ends, one after the other. Returns an exit status: 0, or 1 if a
 * request was none. */
int serve(struct adapter *adapter);

#endif

/*
 * The adapter's side of corpus/PROTOCOL.md: offers an adapter of this process to another process.
 */
#ifndef HARNESS_SERVE_H
#define HARNESS_SERVE_H

#include "adapters/adapter.h"
#include "adapters/protocol.h"

/*
 * Answers the requests on standard input until end of file, up to abilities->concurrency of them at once, each on a
 * thread of its own; 1: one after the other, on the calling thread. It answers hello with the abilities. Returns an
 * exit status: 0, or 1 after a malformed request.
 */
int serve(struct adapter *adapter, const struct protocol_abilities *abilities);

/* All abilities of an adapter in this process. */
struct protocol_abilities serve_all(const struct adapter *adapter, unsigned concurrency);

#endif

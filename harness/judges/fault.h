/*
 * The fault judge: whatever call of the storage fails, in whatever way, the error clauses must hold.
 *
 * A trace of one thread is done once for each call that it makes, with a fault at that call, or with the death of the
 * process at it, after which another one opens the disk and goes on (DUR-12). Judged are: the class of every error
 * (ERR-01, ERR-05); that interruptions and short transfers do not show (ERR-04); that each sector that a failed request
 * was to change is old or new and all else untouched (ERR-02); that the disk is usable when the fault is gone, and
 * flushes (ERR-03, DUR-06), unless a sync of the image failed, after which no flush succeeds (DUR-07); that after every
 * flush that succeeds all of the disk is durable; that a failed resize changes nothing (RSZ-07); and that an open that
 * fails leaves nothing open and nothing changed (ERR-06).
 *
 * After a sync has failed and the disk was closed, nothing is said of what is durable: no later opening can know of it.
 */
#ifndef HARNESS_FAULT_H
#define HARNESS_FAULT_H

#include "workload/trace.h"

#include <stdio.h>

struct fault_counts {
    uint64_t traces;
    uint64_t runs;     /* one fault each */
    uint64_t failures; /* requests that failed in them */
};

/* Why faults in a trace cannot be judged; null if they can. Static storage. */
const char *fault_problem(const struct trace *trace);

/* Judges every fault in a trace without problem. Prints what is wrong, and the trace; true if nothing is. */
bool fault_trace(const struct trace *trace, struct fault_counts *counts, FILE *out);

#endif

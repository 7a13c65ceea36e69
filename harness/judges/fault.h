/*
 * The fault judge: whatever call of the storage fails, in whatever way, the error clauses must hold.
 *
 * A trace of one thread is executed once for each call that it makes, with a fault at that call; and once with the
 * death of the process at it, after which another process opens the disk and continues (DUR-12). The judge checks:
 *
 *   - Every error has the right status (ERR-01, ERR-05).
 *   - Interruptions and short transfers do not show (ERR-04).
 *   - A failed request leaves each sector of its range old or new, and everything else untouched (ERR-02).
 *   - After the fault the disk is usable, and a flush succeeds (ERR-03, DUR-06).
 *   - But after a failed sync of the image no flush succeeds (DUR-07).
 *   - After every flush that succeeds all of the disk is durable.
 *   - A failed resize changes nothing (RSZ-07).
 *   - A failed open leaves nothing open and changes nothing (ERR-06).
 *
 * When a sync has failed and the disk was closed, nothing is demanded of durability: no later opening can know of it.
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

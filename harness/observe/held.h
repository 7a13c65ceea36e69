/*
 * Who waits for whom: one system call of the implementation is held, and other requests must be answered meanwhile.
 *
 * A request that allocates is stopped in the middle of its work, for as long as the judge wants. What the specification
 * promises not to wait for it must then be answered: allocations of other clusters and writes to allocated ones
 * (CON-08), and requests beside a stream (STR-01). So the verdict depends on no luck, and little on the clock: who has
 * not been answered in time, but is as soon as the call is let go, has waited for it.
 */
#ifndef HARNESS_HELD_H
#define HARNESS_HELD_H

#include "observe/findings.h"
#include "observe/observed.h"

/* Judges everything about held calls, and adds the number of held calls to *plans. `observed` has no process, before
 * and afterwards. */
void held_judge(struct observed *observed, uint64_t *plans, struct findings *findings);

#endif

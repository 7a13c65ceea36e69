/*
 * Slow storage: concurrent workloads while the system calls of the implementation are delayed.
 *
 * On a fast storage the windows of races are so short that a wrong implementation passes by luck. Here a seed delays
 * about half of the calls, before and after they are made, so that the requests overlap in another way under each seed,
 * and do so at every run. The judge of histories (judges/history.h) judges the answers and the files.
 */
#ifndef HARNESS_SLOW_H
#define HARNESS_SLOW_H

#include "observe/findings.h"
#include "observe/observed.h"

#define SLOW_PARTS 4u /* of the judgement, which may run at once */

/* Judges part number `part` of the delay plans, and adds their number to *plans. `observed` has no process, before and
 * afterwards. */
void slow_judge(struct observed *observed, unsigned part, uint64_t *plans, struct findings *findings);

#endif

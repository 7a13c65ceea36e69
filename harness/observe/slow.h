/*
 * Slow storage: concurrent workloads while the system calls of the implementation are delayed.
 *
 * On a fast storage the windows of races are so short that a wrong implementation passes by luck. Here a seed delays
 * about half of the calls, before and after they are made, so that the requests overlap in another way under each seed,
 * and do so at every run. The judge of histories (judges/history.h) judges the answers and the files.
 */
#ifndef HARNESS_SLOW_H
#define HARNESS_SLOW_H

#include "adapters/protocol.h"
#include "observe/findings.h"
#include "observe/observed.h"

#define SLOW_PARTS 4u /* of the judgement, which may run at once */

/* SLOW_STREAM: a stream beside the others. */
enum slow_kind { SLOW_REQUESTS, SLOW_WHOLE_DISK, SLOW_FLUSHES, SLOW_STREAM };

/*
 * Starts a process, and stores what it declares. False if it takes only one request at a time, or does not start: then
 * the clauses are passed over.
 */
bool slow_abilities(struct observed *observed, const char *clauses, struct protocol_abilities *abilities,
                    struct findings *findings);

/* Makes the workload of a plan, of several threads. False if an adapter with these abilities can do none. */
bool slow_workload(uint64_t seed, enum slow_kind kind, const struct protocol_abilities *abilities, struct trace *trace);

/* Judges part number `part` of the delay plans, and adds their number to *plans. `observed` has no process, before and
 * afterwards. */
void slow_judge(struct observed *observed, unsigned part, uint64_t *plans, struct findings *findings);

#endif

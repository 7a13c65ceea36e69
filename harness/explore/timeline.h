/*
 * The timeline of a schedule: what each thread did, step by step, and what the image held then.
 */
#ifndef HARNESS_TIMELINE_H
#define HARNESS_TIMELINE_H

#include "explore/explore.h"

#include <stdio.h>

/* What a replay has done. */
struct timeline_result {
    enum explore_answer answer;
    bool fault_hit;
    struct sched_schedule done; /* owned by the caller */
};

/*
 * Replays a schedule and prints every step on a lock or a file, with one column for each thread and one row for each
 * step. A row ends with what the image holds before the step, in the sector of the byte `wrong_byte` of the disk; if
 * that is UINT64_MAX, in the sector of the step. The last row shows the end. Then follows what the judges print.
 */
struct timeline_result timeline_print(const struct trace *trace, const struct explore_options *options,
                                      const struct sched_schedule *schedule, uint64_t wrong_byte, FILE *out);

#endif

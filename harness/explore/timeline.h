/*
 * The timeline of a schedule: what each thread did, step by step, and what the image held then.
 */
#ifndef HARNESS_TIMELINE_H
#define HARNESS_TIMELINE_H

#include "explore/explore.h"

#include <stdio.h>

/*
 * Replays a schedule and prints every step on a lock or a file: one column a thread, one row a step, and at its end
 * what the image holds before it in the sector of the byte `guilty` of the disk, and in the end; if that is UINT64_MAX,
 * in the sector that the step is about. Returns what became of the run; its story follows the timeline.
 */
enum explore_answer timeline_print(const struct trace *trace, const struct explore_options *options,
                                   const struct sched_schedule *schedule, uint64_t wrong_byte, FILE *out);

#endif

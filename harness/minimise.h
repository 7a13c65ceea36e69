/*
 * Making a failure small enough to understand: fewer threads, operations, bytes and preemptions, and the story of what
 * is left.
 */
#ifndef HARNESS_MINIMISE_H
#define HARNESS_MINIMISE_H

#include "explore.h"

#include <stdio.h>

/*
 * Makes a trace smaller that fails with some schedule, as long as it still fails with one: takes operations out, and
 * threads that have none left, shortens requests, and makes the disk plainer. Then looks for a schedule with as few
 * preemptions as possible. *schedule, which the caller frees, is the one that fails at last. False if the trace does
 * not fail at all; it is unchanged then.
 */
bool minimise(struct trace *trace, const struct explore_options *options, struct sched_schedule *schedule);

/*
 * The same for a trace of one thread, which has no schedule: as long as `still_fails` says so. True if it fails at all.
 */
bool minimise_alone(struct trace *trace, bool (*still_fails)(const struct trace *trace));

/*
 * Replays a schedule and prints every step on a lock or a file: one column a thread, one row a step, and at its end
 * what the disk's sector at `offset` holds in the image then. Returns what became of the run; its story follows the
 * timeline.
 */
enum explore_answer minimise_print_timeline(const struct trace *trace, const struct explore_options *options,
                                            const struct sched_schedule *schedule, FILE *out);

#endif

/*
 * What the targets share whose input is a concurrent workload and its schedule.
 */
#ifndef FUZZ_EXPLORING_H
#define FUZZ_EXPLORING_H

#include "explore/explore.h"
#include "lib/fuzz.h"

/*
 * Runs the workload of an input under the scheduler, once. The choices from number `used` on are the schedule's.
 * Demands that the run is judged to be right.
 */
void fuzz_explore(const struct fuzz_input *input, size_t used, const struct explore_options *options);

#endif

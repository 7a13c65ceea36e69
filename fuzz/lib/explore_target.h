/*
 * What the explore targets share: the input is a concurrent workload and its schedule.
 */
#ifndef FUZZ_EXPLORE_TARGET_H
#define FUZZ_EXPLORE_TARGET_H

#include "explore/explore.h"
#include "lib/fuzz.h"

/*
 * Executes the workload of an input once under the scheduler. The choices from number `used` on are the schedule's.
 * Requires that the judges find no violation.
 */
void fuzz_explore(const struct fuzz_input *input, size_t used, const struct explore_options *options);

#endif

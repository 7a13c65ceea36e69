/*
 * The hunt under the deterministic scheduler.
 */
#ifndef HARNESS_EXPLORE_HUNT_H
#define HARNESS_EXPLORE_HUNT_H

#include "programs/hunt_options.h"

/* Does it. Returns the exit status of the process. */
int explore_hunt(const struct hunt_options *options);

/* Measures how many schedules a second there are (--bench). Returns the exit status of the process. */
int explore_bench(const struct hunt_options *options);

/* The program: hunt_stress.c. */
int hunt_main(int count, char **words);

#endif

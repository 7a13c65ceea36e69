/*
 * The hunt under the deterministic scheduler: `hunt --strategy ... --judge ...`.
 */
#ifndef HARNESS_EXPLORE_HUNT_H
#define HARNESS_EXPLORE_HUNT_H

#include <stdbool.h>

/* Whether the command line asks for it: one of its words is --strategy or --judge. */
bool explore_hunt_is_asked(int count, char **words);

/* The whole program; returns its exit status (enum report_exit). */
int explore_hunt(int count, char **words);

#endif

/*
 * Making a failure small enough to understand: fewer threads, operations, bytes and preemptions, and the story of what
 * is left.
 */
#ifndef HARNESS_MINIMISE_H
#define HARNESS_MINIMISE_H

#include "explore/explore.h"

#include <stdio.h>

struct minimise_result {
    struct sched_schedule schedule; /* that fails at last; owned by the caller */
    uint64_t wrong_byte;            /* a byte of the disk that then is wrong, or UINT64_MAX */
};

/*
 * Makes a trace smaller that fails with some schedule, as long as it still fails with one: takes operations out, and
 * threads that have none left, shortens requests, and makes the disk plainer. Then looks for a schedule with as few
 * preemptions as possible. False if the trace does not fail at all; it is unchanged then.
 */
bool minimise(struct trace *trace, const struct explore_options *options, struct minimise_result *result);

/*
 * The same without looking at schedules: as long as `still_fails` says so. True if it fails at all.
 */
bool minimise_while(struct trace *trace, bool (*still_fails)(const struct trace *trace, void *context), void *context);

/*
 * Runs a series of schedules of a trace, as minimise does with each that it tries, until one fails. Its answer; with
 * false *result is as it was.
 */
bool minimise_fails(const struct trace *trace, const struct explore_options *options, struct minimise_result *result);

#endif

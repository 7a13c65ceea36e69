/*
 * The minimiser: makes a failing trace smaller, to fewer threads, operations, bytes and preemptions.
 */
#ifndef HARNESS_MINIMISE_H
#define HARNESS_MINIMISE_H

#include "explore/explore.h"

#include <stdio.h>

struct minimise_result {
    struct sched_schedule schedule; /* the failing schedule; owned by the caller */
    bool ended;                     /* all threads come to their end with it */
    uint64_t wrong_byte;            /* a byte of the disk that is wrong then, or UINT64_MAX */
};

/*
 * Makes a trace smaller while it still fails with some schedule: removes operations and threads without any, shortens
 * requests, and simplifies the disk. Then looks for a schedule with as few preemptions as possible. False, with the
 * trace unchanged, if it does not fail at all.
 */
bool minimise(struct trace *trace, const struct explore_options *options, struct minimise_result *result);

/* The same without schedules: while `still_fails` returns true. True if it fails at all. */
bool minimise_while(struct trace *trace, bool (*still_fails)(const struct trace *trace, void *context), void *context);

/*
 * Runs a fixed series of schedules of a trace, until one fails. True if one does; else *result is unchanged.
 */
bool minimise_fails(const struct trace *trace, const struct explore_options *options, struct minimise_result *result);

#endif

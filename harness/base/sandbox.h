/*
 * Trials: something is done in a child process, so that what kills the engine does not kill the hunt.
 */
#ifndef HARNESS_TRIAL_H
#define HARNESS_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#define TRIAL_SCHEDULE_BYTES 65536u

/* In memory that the child shares. */
struct trial {
    uint64_t seed;                       /* for the body to set: what it is at */
    bool silent;                         /* the child prints nothing */
    char schedule[TRIAL_SCHEDULE_BYTES]; /* of the run in which a signal ended the child, as text; else "" */
};

/* Makes one; the caller frees it with trial_free. */
struct trial *trial_make(bool silent);
void trial_free(struct trial *trial);

/*
 * Calls body(context) in a child process, which ends with what it returns (report.h). Returns that; or REPORT_CRASHED
 * if the child was ended by a signal or a sanitizer, having said so.
 */
int trial_run(struct trial *trial, int (*body)(void *context), void *context);

#endif

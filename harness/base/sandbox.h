/*
 * Sandboxes: something is done in a child process, so that what kills the engine does not kill the hunt.
 */
#ifndef HARNESS_SANDBOX_H
#define HARNESS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#define SANDBOX_SCHEDULE_BYTES 65536u

/* In memory that the child shares. */
struct sandbox {
    uint64_t seed;                         /* for the body to set: what it is at */
    bool silent;                           /* the child prints nothing */
    char schedule[SANDBOX_SCHEDULE_BYTES]; /* of the run in which a signal ended the child, as text; else "" */
};

/* Makes one; the caller frees it with sandbox_free. */
struct sandbox *sandbox_make(bool silent);
void sandbox_free(struct sandbox *sandbox);

/*
 * Calls body(context) in a child process, which ends with what it returns (report.h). Returns that; or REPORT_CRASHED
 * if the child was ended by a signal or a sanitizer, having said so.
 */
int sandbox_run(struct sandbox *sandbox, int (*body)(void *context), void *context);

#endif

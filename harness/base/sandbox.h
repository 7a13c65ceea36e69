/*
 * Sandboxes: a function runs in a child process. What kills that process does not kill the caller.
 */
#ifndef HARNESS_SANDBOX_H
#define HARNESS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SANDBOX_STATE_BYTES 65536u

/* Prints what the process is at, as text. Called by the handler of a signal that ends it. */
typedef void sandbox_describe(FILE *out);

/* In memory that the child shares. */
struct sandbox {
    uint64_t seed;                   /* for the body to set: what it is at */
    bool silent;                     /* the child prints nothing */
    sandbox_describe *describe;      /* may be null */
    char state[SANDBOX_STATE_BYTES]; /* what describe printed when a signal ended the child; else "" */
};

/* Makes one; the caller frees it with sandbox_free. */
struct sandbox *sandbox_make(bool silent, sandbox_describe *describe);
void sandbox_free(struct sandbox *sandbox);

/*
 * Calls body(context) in a child process, which ends with what it returns (report.h). Returns that; or REPORT_CRASHED
 * if the child was ended by a signal or a sanitizer, having said so.
 */
int sandbox_run(struct sandbox *sandbox, int (*body)(void *context), void *context);

#endif

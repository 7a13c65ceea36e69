/*
 * Sandboxes: a function runs in a child process, whose crash does not end the caller.
 */
#ifndef HARNESS_SANDBOX_H
#define HARNESS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SANDBOX_STATE_BYTES 65536u

/* Prints what the process is doing. Called by the handler of a signal that ends it. */
typedef void sandbox_describe(FILE *out);

/* In memory that the child shares. */
struct sandbox {
    uint64_t seed;                   /* set by the body: the seed that it works on */
    bool silent;                     /* the child prints nothing */
    sandbox_describe *describe;      /* may be null */
    char state[SANDBOX_STATE_BYTES]; /* what describe printed when a signal ended the child; else "" */
};

/* Makes a sandbox; never null. The caller frees it with sandbox_free. */
struct sandbox *sandbox_make(bool silent, sandbox_describe *describe);
void sandbox_free(struct sandbox *sandbox);

/*
 * Calls body(context) in a child process and returns its result, an exit code of report.h. If a signal or a sanitizer
 * ended the child, prints so and returns REPORT_CRASHED.
 */
int sandbox_run(struct sandbox *sandbox, int (*body)(void *context), void *context);

#endif

/*
 * Sandboxes: a function runs in a child process, whose crash does not end the caller.
 */
#ifndef HARNESS_SANDBOX_H
#define HARNESS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SANDBOX_STATE_BYTES 65536u

/* Whether a signal that ended a process came from outside. A program that crashes does not end by it. */
bool sandbox_signal_is_from_outside(int signal_number);

/* Prints what the process is doing. Called by the handler of a signal that ends it. */
typedef void sandbox_describe(FILE *out);

/* In memory that parent and child share. */
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
 * ended the child, prints so and returns REPORT_CRASHED. A signal that a crash does not cause, such as SIGKILL when
 * memory is short, gives REPORT_INCOMPLETE.
 */
int sandbox_run(struct sandbox *sandbox, int (*body)(void *context), void *context);

#endif

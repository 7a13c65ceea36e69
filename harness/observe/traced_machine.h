/*
 * What depends on the processor and on the kernel: the filter that stops a program at certain system calls, and the
 * registers of a stopped thread.
 */
#ifndef HARNESS_TRACED_MACHINE_H
#define HARNESS_TRACED_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The value that the filter gives for a system call of another architecture than this program's. */
#define MACHINE_FOREIGN 1u

/* Why programs cannot be observed on this processor; null if they can. Static storage. */
const char *machine_problem(void);

/*
 * Lets the calling process and all that it starts stop for their tracer at the calls of traced_calls.h; at reads only
 * if `reads`. They can no longer gain privileges. False, with errno, if the kernel refuses.
 */
bool machine_install_filter(bool reads);

/* A system call that a thread has entered. */
struct machine_entry {
    uint64_t number;
    uint64_t arguments[6];
    bool foreign; /* of another architecture */
};

/* Fills *entry for a thread that the filter has stopped. False if it is gone. */
bool machine_entry(pid_t thread, struct machine_entry *entry);

/* The result of the call that a stopped thread leaves, a negative errno for an error. False if it is gone. */
bool machine_result(pid_t thread, int64_t *result);

/* Lets a thread that the filter has stopped skip its call, and gives the call's result. */
void machine_skip(pid_t thread, int64_t result);

/* Changes argument 2 of the call that a thread is about to make. */
void machine_set_length(pid_t thread, uint64_t length);

#endif

/*
 * An untrusted child process: its pipes, its descendants, and the end of its standard error.
 *
 * A supervisor process runs between the child and this process. When the child or this process ends, it kills every
 * process that the child started.
 *
 * Not thread-safe: each child belongs to one thread.
 */
#ifndef HARNESS_CHILD_H
#define HARNESS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_ERRORS_MAX 1024u /* bytes kept from the end of standard error */

struct child {
    pid_t supervisor;
    int status; /* pipe from which the child's exit status is read, in the form of waitpid */
    int input;  /* the child's standard input; -1: closed */
    int output; /* its standard output */
    int errors; /* its standard error; -1: closed */
    char error_tail[CHILD_ERRORS_MAX];
    size_t error_tail_length;
};

/*
 * Starts `command` with /bin/sh in `directory`. This side of the pipes does not block. When the calling thread ends,
 * even by SIGKILL, the child and its descendants are killed. On failure returns false and stores the reason in `why`.
 */
bool child_start(struct child *child, const char *command, const char *directory, char *why, size_t why_size);

/* Reads the available standard error and keeps the end of it. */
void child_drain_errors(struct child *child);

/* Closes its standard input. */
void child_close_input(struct child *child);

/* Whether the child and all its descendants have ended. */
bool child_has_ended(const struct child *child);

/* Waits up to `milliseconds` for the child to end. Discards its output meanwhile. Returns whether it ended. */
bool child_wait(struct child *child, int milliseconds);

/*
 * Kills the child and its descendants with SIGKILL, waits until they have ended, and closes all pipes. Prints to `how`
 * how the child ended: "exited with status 1", "died of signal 11 (Segmentation fault)", or "had to be killed" if it
 * was still running. Returns whether it had ended by itself, of a signal, or as the shell says that a command did.
 */
bool child_end(struct child *child, char *how, size_t how_size);

#endif

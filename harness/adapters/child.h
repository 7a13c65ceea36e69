/*
 * A child process that nobody trusts: its three pipes, all that it starts, and its last words.
 *
 * Between it and this process stands a keeper, a process of our own that outlives neither: it sees to it that when the
 * child ends, or this process does, nothing that the child has started goes on.
 *
 * Not thread-safe: one thread has a child.
 */
#ifndef HARNESS_CHILD_H
#define HARNESS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_WORDS_MAX 1024u /* bytes of standard error that are kept: the last ones */

struct child {
    pid_t keeper;
    int status; /* the keeper writes here how the child ended, as waitpid has it */
    int input;  /* the child's standard input; -1: closed */
    int output; /* its standard output */
    int errors; /* its standard error; -1: at its end */
    char words[CHILD_WORDS_MAX];
    size_t words_length;
};

/*
 * Starts `command` by /bin/sh in `directory`. The pipes do not block on this side. When the calling thread ends, even
 * by SIGKILL, the child is killed with all that it has started. False, with the reason in `why`, if there is no
 * process.
 */
bool child_start(struct child *child, const char *command, const char *directory, char *why, size_t why_size);

/* Reads what is there of standard error, keeping the end of it. */
void child_drain_errors(struct child *child);

/* Closes its standard input. */
void child_close_input(struct child *child);

/* Whether the child has ended, and nothing that it started is left. */
bool child_has_ended(const struct child *child);

/* Whether the child ends within `milliseconds`. Whatever it prints meanwhile is lost. */
bool child_wait(struct child *child, int milliseconds);

/*
 * Kills the child with SIGKILL, and all that it has started, waits until they are gone, and closes everything. Prints
 * to `how` in what way the child ended: "exited with status 1", "died of signal 11 (Segmentation fault)", or "had to be
 * killed" if it was running.
 */
void child_end(struct child *child, char *how, size_t how_size);

#endif

/*
 * The observer: runs a program, and sees each system call of it and of all that it starts on the files of one
 * directory.
 *
 * It needs no privileges and nothing of the program: any language, any number of threads and processes. It is the
 * tracer of them all (ptrace); a filter (seccomp) stops them at the calls that matter, and nowhere else. Calls are
 * counted over the whole group, so "the n-th call" means the same whichever thread makes it. It runs in a process of
 * its own.
 */
#ifndef HARNESS_TRACER_H
#define HARNESS_TRACER_H

/*
 * Runs `command` with /bin/sh, observed as the watch in the file `watch_path` says (watch.h). Returns the exit status
 * of the command when it ends, or ends as the command did if a signal ended that. If programs cannot be observed here,
 * says so in the watch and returns 127. All that the command has started ends with the caller's process.
 */
int tracer_run(const char *watch_path, const char *command);

#endif

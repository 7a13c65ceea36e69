/*
 * Death, judged from outside: every process of the implementation dies by SIGKILL before a system call. Then the
 * reference engine opens the disk, and so does a new process of the implementation.
 *
 * Nothing is lost from the files then, but what was acknowledged may still be in the memory of the process: the disk
 * must be one that a power cut may leave, too.
 */
#ifndef HARNESS_DEATH_H
#define HARNESS_DEATH_H

#include "observe/findings.h"
#include "observe/scenario_run.h"

/* Judges a death at each call of a scenario that changes a file, or at many if there are more. Adds them to *deaths. */
void death_judge(struct observed *observed, const struct scenario *scenario, uint64_t *deaths,
                 struct findings *findings);

#endif

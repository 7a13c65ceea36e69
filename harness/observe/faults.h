/*
 * Faults, judged from outside: a system call on a file of the disk fails, and nothing may be reported done that was
 * not.
 *
 * Every call of a scenario fails once in each way that suits its kind, the n-th of the whole group of processes, once
 * or from then on. Checked is what the fault judge of the engine checks (judges/fault.h): the classes of errors, that
 * each sector is old or new, that the disk is usable afterwards, that a flush that succeeds has made all durable, and
 * that none does after a failed sync of the image.
 */
#ifndef HARNESS_FAULTS_H
#define HARNESS_FAULTS_H

#include "observe/findings.h"
#include "observe/scenario_run.h"

/*
 * Judges the faults of a scenario, and adds them to *faults. `observed` has no process, before and afterwards. A
 * scenario that opens the disk again is passed over: no opening can know of a sync that failed before it.
 */
void faults_judge(struct observed *observed, const struct scenario *scenario, uint64_t *faults,
                  struct findings *findings);

#endif

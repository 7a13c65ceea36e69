/*
 * Creations, judged from outside. When the power fails during a create, the disk is missing or whole, and when it has
 * succeeded, the new file and its name survive (CRE-06). When a call of it fails, it says so and leaves no file behind
 * (CRE-04), or is durable all the same.
 */
#ifndef HARNESS_CREATION_H
#define HARNESS_CREATION_H

#include "judges/crash_sequence.h"
#include "observe/findings.h"
#include "observe/observed.h"

/* Judges creations of each layout, with a backing file and without one. Adds to *faults how many calls failed.
 * `observed` has no process, before and afterwards. */
void creation_judge(struct observed *observed, uint64_t *faults, struct crash_counts *counts,
                    struct findings *findings);

#endif

/*
 * Power cuts after a creation, judged from outside: when create has succeeded, the new file and its name survive
 * (CRE-06).
 */
#ifndef HARNESS_CREATION_H
#define HARNESS_CREATION_H

#include "judges/crash_sequence.h"
#include "observe/findings.h"
#include "observe/observed.h"

/* Judges creations of each layout, with a backing file and without one. `observed` has no process, before and
 * afterwards. */
void creation_judge(struct observed *observed, struct crash_counts *counts, struct findings *findings);

#endif

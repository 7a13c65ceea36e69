/*
 * Power cuts beside concurrent requests: flushes that join each other, writes between them.
 *
 * Small workloads of several threads run once under each delay plan (slow.h), and are recorded. Then every crash is
 * judged as in power_cut.h: what a flush promised must be there, whichever other flush it relied on (DUR-05).
 */
#ifndef HARNESS_BESIDE_H
#define HARNESS_BESIDE_H

#include "judges/crash_sequence.h"
#include "observe/findings.h"
#include "observe/observed.h"

#define BESIDE_PARTS 2u /* of the judgement, which may run at once */

/* Judges part number `part`. Adds the delay plans to *plans. `observed` has no process, before and afterwards. */
void beside_judge(struct observed *observed, unsigned part, uint64_t *plans, struct crash_counts *counts,
                  struct findings *findings);

#endif

/*
 * The power cut, judged from outside: whatever the recorded calls have left unsynced may be lost, and the disk must be
 * one that the durability clauses allow (section 11 of the specification).
 *
 * A scenario runs once under the observer. Its record is replayed on simulated storage, and the crash judge
 * (judges/crash.h) judges every moment and every state there. Some of the states are written to files, and the
 * implementation itself opens them: it must read what the reference engine reads.
 */
#ifndef HARNESS_POWER_CUT_H
#define HARNESS_POWER_CUT_H

#include "judges/crash_sequence.h"
#include "observe/findings.h"
#include "observe/scenario_run.h"

/* Spans of a run whose record has been replayed (replay.h), in moments of the storage. `spans` has count + 1 entries.
 */
void power_cut_spans(const struct scenario_run *run, const struct trace *trace, const uint64_t *moments,
                     struct crash_span *spans);

/* The clauses that a crash at `moment` breaks, by what is wrong and which operation was in progress. Static storage. */
const char *power_cut_clauses(enum crash_fault fault, const struct trace *trace, const struct crash_span *spans,
                              uint64_t moment);

/* Judges a scenario. `observed` has a process that records. */
void power_cut_judge(struct observed *observed, const struct scenario *scenario, struct crash_counts *counts,
                     struct findings *findings);

#endif

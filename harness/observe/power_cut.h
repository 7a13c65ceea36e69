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

/*
 * Lets the implementation open the disk in the directory for writing, read it, which must give these bytes, write,
 * flush and close. Prints what is wrong; true if nothing is.
 */
bool power_cut_is_usable(const struct observed *observed, const uint8_t *expected, uint64_t size, FILE *out);

/* Judges a scenario. `observed` has no process, before and afterwards. */
void power_cut_judge(struct observed *observed, const struct scenario *scenario, struct crash_counts *counts,
                     struct findings *findings);

#endif

/*
 * The differential judge: a trace must give the same on an implementation and on the reference engine.
 *
 * It compares the status of every request, the bytes of every read and the answer of every map; at the end every byte
 * of the disk and the status of every cluster; and after the close the files: header, bitmap, image, backing contents.
 * Phases with several threads are judged by history.h.
 */
#ifndef HARNESS_DIFFERENTIAL_H
#define HARNESS_DIFFERENTIAL_H

#include "adapters/adapter.h"
#include "judges/history.h"
#include "judges/execution.h"
#include "workload/trace.h"

#include <stdio.h>

struct differential_counts {
    uint64_t traces;
    uint64_t operations;
    uint64_t sectors; /* compared, by reads and by snapshots */
    struct history_counts history;
};

/*
 * Makes the trace's files in `directory`, which exists, executes the trace with `adapter`, whose disk is not open, and
 * judges. The files stay. The disk is closed at the end unless that fails. Adds to *counts. Prints what is wrong to
 * `out`; true if nothing is. `watch` may be null.
 *
 * The trace has no problem (trace.h), and each of its concurrent phases can be judged (phase.h).
 */
bool differential_judge(const struct trace *trace, struct adapter *adapter, const char *directory,
                        struct execution_watch *watch, struct differential_counts *counts, FILE *out);

#endif

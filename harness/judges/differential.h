/*
 * The differential judge: one trace, done by an implementation and by the reference engine, must give the same.
 *
 * Compared are the status of every request, the bytes of every read and the answer of every map; at the end every byte
 * and every status that the disk shows; and, after it was closed, its files: header, bitmap, image, backing contents.
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
    uint64_t sectors; /* compared, reads and views together */
    struct history_counts history;
};

/*
 * Lays the trace's files into `directory`, which exists, does the trace with `adapter`, whose disk is not open, and
 * judges. The files stay; the disk is closed again unless that failed. Adds to *counts. Prints to `out` what is wrong;
 * true if nothing is. `watch` may be null.
 *
 * The trace has no problem (trace.h), and each of its concurrent phases can be judged (history.h).
 */
bool differential_judge(const struct trace *trace, struct adapter *adapter, const char *directory,
                        struct execution_watch *watch, struct differential_counts *counts, FILE *out);

#endif

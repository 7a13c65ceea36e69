/*
 * The crash judge: what is on the disk after a power failure must be a disk that the durability clauses allow.
 *
 * The crashed files are opened with the production engine and with the reference engine; both must accept them and read
 * the same (DUR-11). Then, sector by sector: what a flush that returned has made durable is there, or something that
 * was written later; what was never written is as it was (DUR-01, DUR-02). The size is one that the disk had since then
 * (DUR-11).
 */
#ifndef HARNESS_CRASH_H
#define HARNESS_CRASH_H

#include "adapters/adapter.h"
#include "storage/sim_crash.h"
#include "workload/trace.h"

#include <stdio.h>

/* When an operation was in progress. */
struct crash_span {
    uint64_t begin; /* moments of the storage (sim_moment); UINT64_MAX: not yet */
    uint64_t end;
    uint64_t invoked; /* moments of the run's clock (run.h), each occurring once; UINT64_MAX: not yet */
    uint64_t returned;
    enum addcow_status status;
};

struct crash_judge;

/* Prepares for crashes of a trace, which must live as long. The caller frees. */
struct crash_judge *crash_make(const struct trace *trace);
void crash_free(struct crash_judge *judge);

/*
 * Judges one crash of `from`, whose kept state is the trace's disk at the start, at a moment, in the state that the
 * choices choose. spans[0, trace->count) are the operations', and spans[trace->count] that of the close. Prints what is
 * wrong; true if nothing is.
 */
bool crash_judge(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans, uint64_t moment,
                 struct choices *choices, FILE *out);

/* Whether an operation, if it succeeds, makes durable what was done before it (DUR-01, DUR-10). */
bool crash_is_flush(const struct trace_operation *operation);

/* The first byte of the disk that the last crash was judged wrong for; UINT64_MAX if it is none in particular. */
uint64_t crash_wrong_byte(const struct crash_judge *judge);

#endif

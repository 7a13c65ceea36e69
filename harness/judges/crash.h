/*
 * The crash judge: after a power failure the disk must be one that the durability clauses allow.
 *
 * The production engine and the reference engine open the files after the crash. Both must accept them and read the
 * same (DUR-11). Each sector then holds the data of the last flush that returned, or data that was written later.
 * Sectors that were never written are unchanged (DUR-01, DUR-02). The size is one that the disk has had since that
 * flush (DUR-11).
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
    uint64_t invoked; /* moments of the execution's clock (execution.h), each occurring once; UINT64_MAX: not yet */
    uint64_t returned;
    enum addcow_status status;
};

struct crash_judge;

/* Makes a judge for crashes of a trace, which must outlive it. The caller frees it with crash_free. */
struct crash_judge *crash_make(const struct trace *trace);
void crash_free(struct crash_judge *judge);

/*
 * Judges one crash of `from` at a moment, in the state that the choices select. The kept state of `from` is the disk at
 * the start of the trace. spans[0, trace->count) belong to the operations, spans[trace->count] to the close. Prints
 * what is wrong; true if nothing is.
 */
bool crash_judge(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans, uint64_t moment,
                 struct choices *choices, FILE *out);

/*
 * Judges the disk that crash_storage holds as the state after a crash at a moment. The caller has put its files there,
 * for example those that a process left when it died.
 */
bool crash_judge_storage(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment, FILE *out);

/* Whether an operation, if it succeeds, makes durable what was done before it (DUR-01, DUR-10). */
bool crash_is_flush(const struct trace_operation *operation);

/* What is wrong with the disk after a crash. */
enum crash_fault {
    CRASH_RIGHT,
    CRASH_REFUSED, /* it does not open, or not everywhere (DUR-11) */
    CRASH_SIZE,    /* it has a size that it must not have (DUR-11) */
    CRASH_LOST,    /* what was durable is gone (DUR-01) */
    CRASH_FOREIGN, /* bytes that were never there (DUR-02) */
    CRASH_EXPOSED, /* what the image held before its cluster was allocated (DUR-03) */
    CRASH_FLAG,    /* "all allocated" is set, but not every bit (DUR-08) */
};

/* What is wrong in the last crash. */
enum crash_fault crash_fault_of(const struct crash_judge *judge);

/* The storage after the last crash. Valid until the next one. */
struct sim *crash_storage(struct crash_judge *judge);

/* The first wrong byte of the disk in the last crash; UINT64_MAX if there is no particular one. */
uint64_t crash_wrong_byte(const struct crash_judge *judge);

#endif

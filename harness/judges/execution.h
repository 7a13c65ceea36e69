/*
 * Running a trace: each operation is done on an adapter and what came of it is recorded.
 */
#ifndef HARNESS_EXECUTION_H
#define HARNESS_EXECUTION_H

#include "adapters/adapter.h"
#include "workload/trace.h"

#include <stdatomic.h>

/* What came of one operation. */
struct execution_record {
    uint64_t invoked;  /* moments on the run's clock, each occurring once: */
    uint64_t returned; /* invoked < returned; both 0 before the operation was done */
    enum addcow_status status;
    bool allocated;      /* the answer of map: the status of */
    uint64_t map_length; /* so many bytes */
    uint8_t *data;       /* what read gave, of the operation's length; owned; null if it failed */
    char message[256];   /* of a failure */
};

/* Which operation each thread is doing: its index + 1, or 0. In memory that a watching process may share. */
struct execution_watch {
    _Atomic uint32_t doing[TRACE_THREADS_MAX];
};

struct execution {
    const struct trace *trace;
    struct adapter *adapter;       /* its disk is open */
    const char *path;              /* the metadata file's, for reopen */
    struct execution_watch *watch; /* may be null */
    uint64_t capacity;             /* trace_capacity(trace) */
    bool closed;                   /* a reopen could not open the disk again: all later operations fail */
    uint32_t failures;             /* classes that a request may fail with because the storage does, a bit each */
    _Atomic uint64_t clock;
    struct execution_record *records; /* one an operation */
};

/* Prepares a run; the caller calls execution_free. */
void execution_make(struct execution *execution, const struct trace *trace, struct adapter *adapter, const char *path,
                    struct execution_watch *watch);
void execution_free(struct execution *execution);

/* Does operation `index`, on the calling thread. Safe from any number of threads for different operations. */
void execution_operation(struct execution *execution, uint32_t index);

/*
 * Does the operations [begin, end) of one phase: each thread's in order, on a thread of its own if there are several.
 */
void execution_phase(struct execution *execution, uint32_t begin, uint32_t end);

#endif

/*
 * An execution of a trace on an adapter: each operation is done, and its result is recorded.
 */
#ifndef HARNESS_EXECUTION_H
#define HARNESS_EXECUTION_H

#include "adapters/adapter.h"
#include "workload/trace.h"

#include <stdatomic.h>

/* The result of one operation. */
struct execution_record {
    uint64_t invoked;  /* moments of the execution's clock, each occurring once: */
    uint64_t returned; /* invoked < returned; both 0 before the operation was done */
    enum addcow_status status;
    bool allocated;      /* the answer of map: the status of */
    uint64_t map_length; /* so many bytes */
    uint8_t *data;       /* what read gave, of the operation's length; owned; null if it failed */
    char message[256];   /* of a failure */
};

/* How far an execution is. A watching process may share this memory. */
struct execution_watch {
    _Atomic uint32_t doing[TRACE_THREADS_MAX]; /* the operation of each thread: its index + 1, or 0 */
    _Atomic uint32_t events; /* requests that began or ended so far, and steps of the judge, mod 2^32 */
    _Atomic bool judging;    /* the judge works; the implementation is at rest */
};

struct execution {
    const struct trace *trace;
    struct adapter *adapter;       /* its disk is open */
    const char *path;              /* the metadata file's, for reopen */
    struct execution_watch *watch; /* may be null */
    uint64_t capacity;             /* trace_capacity(trace) */
    bool closed;                   /* a reopen could not open the disk again: all later operations fail */
    uint32_t failures;             /* statuses that a request may have because the storage fails, a bit each */
    _Atomic uint64_t clock;
    struct execution_record *records; /* one an operation */
};

/* Prepares an execution; the caller calls execution_free. */
void execution_make(struct execution *execution, const struct trace *trace, struct adapter *adapter, const char *path,
                    struct execution_watch *watch);
void execution_free(struct execution *execution);

/* Notes, for who watches, that something was done, and whether the judge works now. */
void execution_note(struct execution *execution, bool judging);

/* Does operation `index`, on the calling thread. Safe from any number of threads for different operations. */
void execution_operation(struct execution *execution, uint32_t index);

/*
 * Does the operations [begin, end) of one phase. Those of one thread are done in order; several threads run at once.
 */
void execution_phase(struct execution *execution, uint32_t begin, uint32_t end);

#endif

/*
 * Executes a trace on real threads.
 *
 * A clock counts invocations and responses. If one operation returned before another was invoked, its moment is less.
 * Operations that overlap may have their moments in any order. That can only make their intervals longer, so no correct
 * implementation is judged wrong.
 */
#include "judges/execution.h"

#include "adapters/adapter_exec.h"
#include "adapters/perform.h"
#include "base/report.h"
#include "workload/stamp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define POISON 0xA5 /* what a read's buffer holds before */

void execution_make(struct execution *execution, const struct trace *trace, struct adapter *adapter, const char *path,
                    struct execution_watch *watch)
{
    execution->trace = trace;
    execution->adapter = adapter;
    execution->path = path;
    execution->watch = watch;
    execution->capacity = trace_capacity(trace);
    execution->closed = false;
    execution->failures = 0;
    atomic_init(&execution->clock, 1);
    execution->records = report_allocate(trace->count, sizeof *execution->records);
}

void execution_free(struct execution *execution)
{
    for (uint32_t i = 0; i < execution->trace->count; i++) {
        free(execution->records[i].data);
    }
    free(execution->records);
}

/* The size of a buffer for `length` bytes. A request longer than the disk ever was must not touch its buffer. */
static size_t buffer_size(const struct execution *execution, uint64_t length)
{
    return (size_t)(length < execution->capacity ? length : execution->capacity);
}

/* A refusal whose class the adapter does not know is taken for the only one that a request of a trace can meet. */
static enum addcow_status usual_refusal(const struct trace *trace, const struct trace_operation *operation)
{
    return operation->kind == OPERATION_COMMIT && !trace->disk.has_backing ? ADDCOW_UNSUPPORTED : ADDCOW_RANGE;
}

static enum addcow_status perform(struct execution *execution, uint32_t index, struct addcow_error *error)
{
    const struct trace_operation *operation = &execution->trace->operations[index];
    struct execution_record *record = &execution->records[index];
    if (operation->kind == TRACE_REOPEN) {
        bool open;
        enum addcow_status code = adapter_reopen(execution->adapter, execution->path, &open, error);
        execution->closed = !open;
        return code;
    }
    if (operation->kind == TRACE_BARRIER) {
        return ADDCOW_OK;
    }
    struct operation_request request = {.operation = (enum operation)operation->kind,
                                        .offset = operation->offset,
                                        .length = operation->length,
                                        .data = record->data,
                                        .buffer = record->data};
    enum addcow_status code = execution->adapter->ops->perform(execution->adapter, &request, error);
    record->allocated = request.allocated;
    record->map_length = request.map_length;
    return code != ADDCOW_OK && error->errnum == EXEC_UNCLASSIFIED ? usual_refusal(execution->trace, operation) : code;
}

/* Gives an operation with data its buffer, in record->data. */
static void prepare_buffer(struct execution *execution, uint32_t index)
{
    const struct trace_operation *operation = &execution->trace->operations[index];
    struct execution_record *record = &execution->records[index];
    enum operation_data data = operation_properties(operation->kind)->data;
    if (data == DATA_NONE) {
        return;
    }
    size_t size = buffer_size(execution, operation->length);
    record->data = report_allocate(size, 1);
    if (data == DATA_FROM_DISK) {
        memset(record->data, POISON, size);
    } else if (operation->offset <= execution->capacity) {
        stamp_fill((struct stamp){STAMP_WRITE, index}, operation->offset, record->data, size);
    }
}

void execution_note(struct execution *execution, bool judging)
{
    if (execution->watch != NULL) {
        atomic_store(&execution->watch->judging, judging);
        atomic_fetch_add(&execution->watch->events, 1);
    }
}

/* A thread begins the operation number `doing` - 1, or ends one (0). */
static void note_event(struct execution *execution, uint32_t thread, uint32_t doing)
{
    if (execution->watch != NULL) {
        atomic_store(&execution->watch->doing[thread], doing);
    }
    execution_note(execution, false);
}

void execution_operation(struct execution *execution, uint32_t index)
{
    const struct trace_operation *operation = &execution->trace->operations[index];
    struct execution_record *record = &execution->records[index];
    struct addcow_error error = ADDCOW_ERROR_INIT;
    prepare_buffer(execution, index);
    note_event(execution, operation->thread, index + 1);
    record->invoked = atomic_fetch_add(&execution->clock, 1);
    record->status = execution->closed ? ADDCOW_IO : perform(execution, index, &error);
    record->returned = atomic_fetch_add(&execution->clock, 1);
    note_event(execution, operation->thread, 0);
    memcpy(record->message, error.message, sizeof record->message - 1);
    if (operation_properties(operation->kind)->data == DATA_TO_DISK || record->status != ADDCOW_OK) {
        free(record->data);
        record->data = NULL;
    }
}

/* ---- Threads ---- */

struct worker {
    struct execution *execution;
    uint32_t thread;
    uint32_t begin;
    uint32_t end;
    _Atomic uint32_t *waiting; /* workers that have not started yet */
    pthread_t handle;
};

static void *work(void *context)
{
    struct worker *worker = context;
    /* All begin at once, because the start of a thread takes longer than most operations. */
    atomic_fetch_sub(worker->waiting, 1);
    for (unsigned spins = 0; atomic_load(worker->waiting) > 0; spins++) {
        if (spins > 1000) {
            sched_yield();
        }
    }
    for (uint32_t i = worker->begin; i < worker->end; i++) {
        if (worker->execution->trace->operations[i].thread == worker->thread) {
            execution_operation(worker->execution, i);
        }
    }
    return NULL;
}

static bool has_thread(const struct trace *trace, uint32_t thread, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        if (trace->operations[i].thread == thread) {
            return true;
        }
    }
    return false;
}

void execution_phase(struct execution *execution, uint32_t begin, uint32_t end)
{
    if (!trace_phase_is_concurrent(execution->trace, begin, end)) {
        for (uint32_t i = begin; i < end; i++) {
            execution_operation(execution, i);
        }
        return;
    }
    struct worker workers[TRACE_THREADS_MAX];
    uint32_t count = 0;
    _Atomic uint32_t waiting;
    for (uint32_t thread = 0; thread < execution->trace->threads; thread++) {
        if (has_thread(execution->trace, thread, begin, end)) {
            workers[count++] = (struct worker){.execution = execution, .thread = thread, .begin = begin, .end = end};
        }
    }
    atomic_init(&waiting, count);
    for (uint32_t i = 0; i < count; i++) {
        workers[i].waiting = &waiting;
        if (pthread_create(&workers[i].handle, NULL, work, &workers[i]) != 0) {
            report_fatal("cannot start a thread");
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(workers[i].handle, NULL);
    }
}

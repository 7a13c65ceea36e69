/*
 * Executions as lists of events.
 *
 * The scheduler says what a thread is about to do. So an event is written down with the state before it, which is also
 * the state after the event before and all that came with it. Whether a sync has failed is known only afterwards; the
 * event is completed then. A write that fails is no step of the scheduler: it is known at the next step.
 *
 * Steps that the model does not have are left out: the pool of buffers, requests that count themselves, reads of files,
 * the loading of blocks. If one of them changed the state, the state of the next event would not be the model's.
 */
#include "explore/follow.h"

#include "adapters/adapter_scheduled.h"
#include "base/report.h"
#include "workload/disk_files.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 2000u
#define CLUSTER_SECTORS (4096u / SIM_SECTOR)
#define HEADER_BYTES 4096u

/* As in proofs/model/core.pml and trace.pml. */
enum kind {
    KIND_BEGIN = -1, /* of an execution: how many threads it has, 0 or the failures there may be, bits, written bits */
    KIND_END = -2,
    KIND_LOCK = 1,
    KIND_UNLOCK,
    KIND_WAIT,
    KIND_BROADCAST,
    KIND_LOAD_WORD,
    KIND_SET_WORD,
    KIND_LOAD_LOST,
    KIND_STORE_LOST,
    KIND_WRITE_IMAGE,
    KIND_SYNC_IMAGE,
    KIND_WRITE_BLOCK,
    KIND_SYNC_FILE,
    KIND_CALL_WRITE,
    KIND_CALL_READ,
    KIND_CALL_MAP,
    KIND_CALL_FLUSH,
    KIND_RETURN,
    KIND_FAILED = 64
};

struct event {
    uint32_t thread;
    int kind;
    unsigned argument;
    uint64_t masks; /* of the state before: bits, those in the file, in flight */
    uint64_t rest;  /* dirty, running, lost, started */
};

struct follow {
    const struct trace *trace;
    FILE *out;
    const struct explore *explore;
    struct explore_observer observer;
    struct event events[EVENTS_MAX];
    uint32_t count;
    struct fault_injection fault;          /* that is injected */
    uint64_t failed;                       /* calls, as far as they are written down */
    uint32_t thread;                       /* that made the last step */
    uint32_t operation[TRACE_THREADS_MAX]; /* that each thread does */
    bool began;                            /* the initial state is known: */
    uint64_t bits;
    bool syncs;      /* the last event is a sync, of which the result is known at */
    uint64_t moment; /* the storage's clock before it */
};

/* ---- The state ---- */

static uint64_t bits_of_file(const struct follow *follow)
{
    uint64_t length;
    const uint8_t *bytes = sim_bytes(explore_storage(follow->explore), DISK_METADATA, &length);
    return length > HEADER_BYTES ? bytes[HEADER_BYTES] : 0;
}

static void note_state(const struct follow *follow, struct event *event)
{
    struct engine_state state;
    uint64_t file = bits_of_file(follow);
    sched_adapter_state(explore_engine(follow->explore), &state);
    uint64_t bits = state.loaded ? state.bits & 0xff : file;
    event->masks = bits | file << 8 | (state.flight & 0xff) << 16;
    event->rest = (uint64_t)state.dirty | (uint64_t)state.running << 1 | (uint64_t)state.lost << 2 | state.started << 8;
}

/* ---- Events ---- */

static void complete_sync(struct follow *follow)
{
    if (!follow->syncs) {
        return;
    }
    const struct sim *sim = explore_storage(follow->explore);
    struct event *event = &follow->events[follow->count - 1];
    follow->syncs = false;
    if (sim_moment(sim) == follow->moment) {
        follow->count--; /* interrupted: it is done again */
    } else if (!sim_is_barrier(sim, follow->moment)) {
        event->kind += KIND_FAILED;
    }
}

static void add(struct follow *follow, uint32_t thread, int kind, unsigned argument)
{
    complete_sync(follow);
    if (follow->count == EVENTS_MAX) {
        report_fatal("an execution has more than %u events", EVENTS_MAX);
    }
    struct event *event = &follow->events[follow->count++];
    *event = (struct event){.thread = thread, .kind = kind, .argument = argument};
    note_state(follow, event);
    if (!follow->began) {
        follow->began = true;
        follow->bits = event->masks & 0xff;
    }
}

static void add_range(struct follow *follow, uint32_t thread, int kind, uint64_t first, uint64_t limit)
{
    add(follow, thread, kind, (unsigned)(first * 16 + limit));
}

static void add_sync(struct follow *follow, uint32_t thread, int kind)
{
    add(follow, thread, kind, 0);
    follow->syncs = true;
    follow->moment = sim_moment(explore_storage(follow->explore));
}

/*
 * The end of the clusters that a transfer completes. One that ends within a cluster, and neither with its request nor
 * with the disk, is the first part of what is written there; the next one has the rest.
 */
static uint64_t completed_end(const struct follow *follow, uint32_t thread, uint64_t last_sector)
{
    const struct trace_operation *operation = &follow->trace->operations[follow->operation[thread]];
    uint64_t end = last_sector + 1;
    bool all = end >= (operation->offset + operation->length + SIM_SECTOR - 1) / SIM_SECTOR ||
               end >= (follow->trace->disk.size + SIM_SECTOR - 1) / SIM_SECTOR;
    return (all ? end + CLUSTER_SECTORS - 1 : end) / CLUSTER_SECTORS;
}

static void file_step(struct follow *follow, uint32_t thread, const struct sched_access *access, const char *name)
{
    bool image = strcmp(name, DISK_IMAGE) == 0;
    if ((!image && strcmp(name, DISK_METADATA) != 0) || access->kind != SCHED_WRITE) {
        return;
    }
    if (access->last == UINT64_MAX) {
        add_sync(follow, thread, image ? KIND_SYNC_IMAGE : KIND_SYNC_FILE);
    } else if (image) {
        add_range(follow, thread, KIND_WRITE_IMAGE, access->first / CLUSTER_SECTORS,
                  completed_end(follow, thread, access->last));
    } else {
        add(follow, thread, KIND_WRITE_BLOCK, 0);
    }
}

/* A write may have failed since the last step. */
static void add_failed_write(struct follow *follow)
{
    uint64_t failed = explore_failed_calls(follow->explore);
    bool write = follow->fault.call == SIM_PWRITE || follow->fault.call == SIM_PUNCH;
    if (failed != follow->failed && write && follow->fault.kind != FAULT_EINTR) {
        bool image = strcmp(follow->fault.name, DISK_IMAGE) == 0;
        add(follow, follow->thread, (image ? KIND_WRITE_IMAGE : KIND_WRITE_BLOCK) + KIND_FAILED, 0);
    }
    follow->failed = failed;
}

static void step(void *context, uint32_t thread, const struct sched_access *access)
{
    static const int locks[] = {
        [SCHED_LOCK] = KIND_LOCK, [SCHED_UNLOCK] = KIND_UNLOCK,
        [SCHED_WAIT] = KIND_WAIT, [SCHED_BROADCAST] = KIND_BROADCAST,
        [SCHED_END] = 0,
    };
    struct follow *follow = context;
    complete_sync(follow);
    add_failed_write(follow);
    follow->thread = thread;
    const char *name = access->object != NULL ? sim_name_of(explore_storage(follow->explore), access->object) : NULL;
    if (name != NULL) {
        file_step(follow, thread, access, name);
        return;
    }
    switch (sched_adapter_object(explore_engine(follow->explore), access->object)) {
    case ENGINE_ALLOCATION:
        add(follow, thread, locks[access->kind], 0);
        break;
    case ENGINE_FLUSHING:
        add(follow, thread, locks[access->kind], 1);
        break;
    case ENGINE_WORD:
        add(follow, thread, access->kind == SCHED_READ ? KIND_LOAD_WORD : KIND_SET_WORD, 0);
        break;
    case ENGINE_LOST:
        add(follow, thread, access->kind == SCHED_READ ? KIND_LOAD_LOST : KIND_STORE_LOST, 0);
        break;
    case ENGINE_OTHER:
        break;
    }
}

static int kind_of(uint32_t operation)
{
    switch (operation) {
    case OPERATION_READ:
        return KIND_CALL_READ;
    case OPERATION_MAP:
        return KIND_CALL_MAP;
    case OPERATION_FLUSH:
        return KIND_CALL_FLUSH;
    default:
        return KIND_CALL_WRITE;
    }
}

static void call(void *context, uint32_t index)
{
    struct follow *follow = context;
    const struct trace_operation *operation = &follow->trace->operations[index];
    uint64_t end = operation->offset + operation->length;
    bool range = kind_of(operation->kind) != KIND_CALL_FLUSH;
    follow->operation[operation->thread] = index;
    add_range(follow, operation->thread, kind_of(operation->kind), range ? operation->offset / 4096 : 0,
              range ? (end + 4095) / 4096 : 0);
}

static void returned(void *context, uint32_t index, bool success)
{
    struct follow *follow = context;
    add_failed_write(follow);
    add(follow, follow->trace->operations[index].thread, KIND_RETURN, success);
}

/* ---- Executions ---- */

const char *follow_problem(const struct trace *trace, const struct fault_injection *fault)
{
    if (trace->disk.layout != ADDCOW_R20 || trace->disk.cluster_bits != 12 ||
        trace->disk.size > (uint64_t)FOLLOW_CLUSTERS * 4096 || trace->disk.allocation == TRACE_ALL_ALLOCATED) {
        return "another disk than one of a few clusters of 4 KiB, not all allocated";
    }
    if (fault->at != 0 && (fault->kind == FAULT_SHORT || fault->call == SIM_PREAD)) {
        return "a short transfer, or a read that fails";
    }
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_operation *operation = &trace->operations[i];
        bool ranged = operation_has_range(operation->kind);
        if (operation->kind >= OPERATIONS || (ranged ? operation->length == 0 : operation->kind != OPERATION_FLUSH)) {
            return "an operation that is no request on a range, and no flush";
        }
        bool zeros = operation->kind == OPERATION_ZERO || operation->kind == OPERATION_DISCARD;
        if (zeros && operation->length > SIM_SECTOR) {
            return "zeros that may be written in pieces that end within a cluster";
        }
    }
    return NULL;
}

struct follow *follow_make(const struct trace *trace, const struct fault_injection *fault, FILE *out)
{
    struct follow *follow = report_allocate(1, sizeof *follow);
    follow->trace = trace;
    follow->fault = *fault;
    follow->out = out;
    follow->observer = (struct explore_observer){follow, step, call, returned};
    return follow;
}

void follow_free(struct follow *follow)
{
    free(follow);
}

const struct explore_observer *follow_observer(struct follow *follow)
{
    return &follow->observer;
}

void follow_set(struct follow *follow, const struct explore *explore)
{
    follow->explore = explore;
}

void follow_begin(struct follow *follow)
{
    follow->count = 0;
    follow->failed = 0;
    follow->began = follow->syncs = false;
}

static void print(const struct follow *follow, uint32_t thread, int kind, const struct event *event)
{
    fprintf(follow->out, "%" PRIu32 " %d %" PRIu64 " %" PRIu64 "\n", thread, kind, event->masks, event->rest);
}

void follow_end(struct follow *follow)
{
    struct event last = {.thread = 0};
    complete_sync(follow);
    assert(follow->count > 0);
    last.masks = follow->bits;
    print(follow, follow->fault.at != 0, KIND_BEGIN, &last);
    for (uint32_t i = 0; i < follow->count; i++) {
        const struct event *event = &follow->events[i];
        print(follow, event->thread, event->kind * 256 + (int)event->argument, event);
    }
    print(follow, 0, KIND_END, &follow->events[follow->count - 1]);
}

/*
 * Exploring: a small trace is executed many times under the deterministic scheduler, on simulated storage. Each such
 * run is judged.
 *
 * A run is wrong if an answer or content is (history.h), if it ends in a deadlock (CON-12) or a livelock, if a lock is
 * held or a file is open at the end, or if the files after the close are not the expected disk for the reference
 * engine. At most one phase of a trace is concurrent; the strategy explores its interleavings.
 *
 * A call of the storage may fail. Then requests may fail too, with the right status, and leave each sector old or new
 * (ERR-02, ERR-05). When the storage works again, so does the disk: it can be read and flushed, and all of it is
 * durable (ERR-03, DUR-06). But after a failed sync of the image no flush succeeds, nor the close (DUR-07).
 */
#ifndef HARNESS_EXPLORE_H
#define HARNESS_EXPLORE_H

#include "judges/history.h"
#include "storage/fault_injection.h"
#include "sched/sched.h"
#include "storage/sim.h"
#include "workload/trace.h"

#include <stdio.h>

struct explore_counts {
    uint64_t schedules;
    uint64_t steps;
    uint64_t preemptions;
    uint64_t crash_states;
    uint64_t faults;     /* runs in which the call that was to fail was made */
    uint64_t behaviours; /* different runs, by an answer or by the order in which requests begin and end */
    uint8_t *seen;       /* which of EXPLORE_BEHAVIOURS were there, a bit each; null: they are not counted */
    struct history_counts history;
};

#define EXPLORE_BEHAVIOURS ((uint64_t)1 << 24) /* distinguished by a hash with so many values */

/* Who watches the threads of a run. Each function gets the context. */
struct explore_observer {
    void *context;
    sched_observer *step;                                              /* before each */
    void (*call)(void *context, uint32_t operation);                   /* before each operation of the trace */
    void (*returned)(void *context, uint32_t operation, bool success); /* after it */
};

struct explore_options {
    bool self_check;                         /* run everything twice, and demand the same */
    bool crash;                              /* judge some crashes of every run too (crash.h) */
    bool refuse_punch;                       /* zeros are written */
    bool shares;                             /* files can share storage */
    bool whole_requests;                     /* transfers are one step each, instead of one a sector */
    uint64_t step_limit;                     /* 0: as sched.h */
    uint64_t seed;                           /* of the crashes */
    struct sched_coverage *coverage;         /* to be added to; may be null */
    const struct explore_observer *observer; /* may be null */
    struct fault_injection fault;            /* injected while the operations of the trace are done; at == 0: none */
};

struct explore;

/* Why a trace cannot be explored so; null if it can. Static storage. */
const char *explore_problem(const struct trace *trace, const struct explore_options *options);

/* Prepares for a trace without problem, which must live as long. The caller frees. */
struct explore *explore_make(const struct trace *trace, const struct explore_options *options);
void explore_free(struct explore *explore);

enum explore_answer {
    EXPLORE_OK,
    EXPLORE_FAILED, /* `out` has the reason, explore_schedule the schedule */
    EXPLORE_OVER,   /* the strategy has no schedule left: nothing was run */
};

/* One run. */
enum explore_answer explore_run(struct explore *explore, struct sched_strategy *strategy, struct explore_counts *counts,
                                FILE *out);

/* The schedule of the last run. */
const struct sched_schedule *explore_schedule(const struct explore *explore);

/* Whether all threads came to their end in the last run: there was no deadlock or livelock. */
bool explore_ended(const struct explore *explore);

/* The name of a lock or condition of the engine (adapter_scheduled.h), or null. While a run is in progress. */
const char *explore_lock_name(const struct explore *explore, const void *object);

/* A byte of the disk that was wrong in the last run; UINT64_MAX if no particular one was. */
uint64_t explore_wrong_byte(const struct explore *explore);

/* How many calls have failed in the run in progress. */
uint64_t explore_failed_calls(const struct explore *explore);

/* The engine's adapter, and the storage, to watch a run. */
const struct adapter *explore_engine(const struct explore *explore);
const struct sim *explore_storage(const struct explore *explore);

#endif

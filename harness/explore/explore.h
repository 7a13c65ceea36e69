/*
 * Exploring: a small trace is run again and again under the deterministic scheduler, on simulated storage, and every
 * run is judged.
 *
 * Judged are all answers and contents by history.h, deadlock (CON-12) and livelock, locks and files that are left
 * behind, and that the files that a close leaves are, for the reference engine, the disk that they must be. Of a trace
 * one phase at most is concurrent: its interleaving is what the strategy explores.
 *
 * A call of the storage may fail meanwhile. Then requests may fail too, with the right class, and leave each sector old
 * or new (ERR-02, ERR-05). Once the storage works again so does the disk: it is read, and flushed, and all of it is
 * durable (ERR-03, DUR-06); but if a sync of the image has failed no flush succeeds, nor the close (DUR-07).
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
    uint64_t faults;     /* runs in which the call was made that was to fail */
    uint64_t behaviours; /* runs that differ in an answer or in the order of the requests' beginnings and ends */
    uint8_t *seen;       /* which of EXPLORE_BEHAVIOURS were there, a bit each; null: they are not counted */
    struct history_counts history;
};

#define EXPLORE_BEHAVIOURS ((uint64_t)1 << 24) /* told apart by a hash of so many values */

struct explore_options {
    bool self_check;                 /* run everything twice, and demand the same */
    bool crash;                      /* judge some crashes of every run too (crash.h) */
    bool refuse_punch;               /* zeros are written */
    bool whole_requests;             /* transfers are one step each, instead of one a sector */
    uint64_t step_limit;             /* 0: as sched.h */
    uint64_t seed;                   /* of the crashes */
    struct sched_coverage *coverage; /* to be added to; may be null */
    struct fault_injection fault;    /* injected while the operations of the trace are done; at == 0: none */
};

struct explore;

/* Why a trace cannot be explored so; null if it can. Static storage. */
const char *explore_problem(const struct trace *trace, const struct explore_options *options);

/* Prepares for a trace without problem, which must live as long. The caller frees. */
struct explore *explore_make(const struct trace *trace, const struct explore_options *options);
void explore_free(struct explore *explore);

enum explore_answer {
    EXPLORE_OK,
    EXPLORE_FAILED, /* `out` says why; explore_schedule tells how */
    EXPLORE_OVER,   /* the strategy has no schedule left: nothing was run */
};

/* One run. */
enum explore_answer explore_run(struct explore *explore, struct sched_strategy *strategy, struct explore_counts *counts,
                                FILE *out);

/* The schedule of the last run. */
const struct sched_schedule *explore_schedule(const struct explore *explore);

/* A byte of the disk that the last run was found guilty of; UINT64_MAX if it is none in particular. */
uint64_t explore_wrong_byte(const struct explore *explore);

/* The storage, for those who watch a run. */
const struct sim *explore_storage(const struct explore *explore);

#endif

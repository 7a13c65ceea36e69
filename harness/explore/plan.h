/*
 * Plans: what a seed decides of a workload under the scheduler, and how it is judged.
 *
 * Everything is decided here, once, and stands in the plan with its value. Whoever runs, reports or stores a workload
 * reads the plan, and asks the seed nothing more.
 */
#ifndef HARNESS_PLAN_H
#define HARNESS_PLAN_H

#include "explore/explore.h"
#include "judges/crash_sequence.h"
#include "workload/generate.h"

/* Who judges. */
enum plan_judge {
    PLAN_SCHEDULE, /* answers, contents and deadlocks */
    PLAN_CRASH,    /* what a power failure leaves too */
    PLAN_FAULT,    /* what follows when a call of the storage fails too */
    PLAN_JUDGES
};

/* Their names, such as "crash", ended by null. The one list of judges. */
extern const char *const plan_judge_names[PLAN_JUDGES + 1];

#define PLAN_ALL_JUDGES ((1u << PLAN_JUDGES) - 1)

/* What is given; the seed decides the rest. */
struct plan_limits {
    uint32_t judges;                            /* a bit each, at least one: they take turns */
    const struct sched_strategy_kind *strategy; /* null: all take turns */
    uint32_t threads;                           /* 0: not given */
    uint32_t operations;                        /* of each thread; 0: not given */
    uint64_t schedules;                         /* 0: as the strategy likes */
    uint32_t preemptions;                       /* of exhaustive exploration */
    bool self_check;
};

struct plan {
    uint64_t seed;
    enum plan_judge judge;
    /*
     * Crashes: all of them, of a workload of one thread. Faults: every call of such a workload fails in turn. Otherwise
     * several threads run, with many schedules, and some crashes or one fault.
     */
    bool every;
    struct generate_small_options workload;
    struct crash_options crashes; /* `every` crash */
    /* Unless `every`: */
    struct explore_options run;
    const struct sched_strategy_kind *strategy;
    struct sched_strategy_options strategy_options;
    uint64_t schedules; /* at most; UINT64_MAX: until the strategy has no more */
};

/* The same seed and limits always give the same plan. */
void plan_make(uint64_t seed, const struct plan_limits *limits, struct plan *plan);

/* Makes the workload. */
void plan_make_trace(const struct plan *plan, struct trace *trace);

#endif

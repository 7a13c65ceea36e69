/*
 * Plans. The judges take turns from seed to seed; all else is drawn from one series of random numbers, in the order in
 * which it stands here.
 */
#include "explore/plan.h"

#include "base/random.h"
#include "workload/disk_files.h"

#define SCHEDULES 50u /* of a workload */
#define SCHEDULES_FINITE 400u
#define STATES 2000u       /* of a crash */
#define STATES_SECOND 100u /* with second crashes from each */
#define OPERATIONS_CRASHED 4u
#define DEPTH_MAX 5u

const char *const plan_judge_names[PLAN_JUDGES + 1] = {
    [PLAN_SCHEDULE] = "schedule", [PLAN_CRASH] = "crash", [PLAN_FAULT] = "fault"};

static enum plan_judge choose_judge(uint64_t seed, uint32_t judges)
{
    for (uint64_t n = seed % (uint64_t)__builtin_popcount(judges); n > 0; n--) {
        judges &= judges - 1;
    }
    return (enum plan_judge)__builtin_ctz(judges);
}

static void choose_workload(struct random *random, const struct plan_limits *limits, struct plan *plan)
{
    uint32_t threads = (uint32_t)random_between(random, 2, 4);
    uint32_t operations = (uint32_t)random_between(random, 1, 3);
    bool whole_disk = random_once_in(random, 3);
    bool flushes = random_once_in(random, 3);
    bool reopens = random_once_in(random, 4);
    threads = limits->threads != 0 ? limits->threads : threads;
    operations = limits->operations != 0 ? limits->operations : operations;
    if (plan->every) {
        plan->workload = (struct generate_small_options){
            .threads = 1,
            .operations = plan->judge == PLAN_CRASH ? OPERATIONS_CRASHED : threads * operations,
            .whole_disk = true,
            .reopens = reopens,
        };
    } else {
        plan->workload = (struct generate_small_options){
            .threads = threads,
            .operations = operations,
            .whole_disk = whole_disk,
            .flushes = plan->judge != PLAN_SCHEDULE && flushes,
            .reopens = plan->judge != PLAN_FAULT && reopens,
        };
    }
}

/* A call that may well be made during a small workload, mostly one that matters for durability. */
static struct fault_injection choose_fault(struct random *random)
{
    static const struct {
        enum sim_call call;
        const char *name;
        uint64_t most;
    } calls[] = {
        {SIM_SYNC, DISK_IMAGE, 3},      {SIM_SYNC, DISK_METADATA, 3},   {SIM_SYNC, DISK_METADATA, 2},
        {SIM_PWRITE, DISK_METADATA, 2}, {SIM_PWRITE, DISK_METADATA, 4}, {SIM_PWRITE, DISK_IMAGE, 10},
        {SIM_PREAD, DISK_BASE, 3},      {SIM_PREAD, DISK_IMAGE, 4},     {SIM_PUNCH, DISK_IMAGE, 2},
        {SIM_TRUNCATE, DISK_IMAGE, 1},  {SIM_PWRITE, DISK_BASE, 3},     {SIM_SYNC, DISK_BASE, 1},
        {SIM_SHARE, DISK_IMAGE, 2},     {SIM_SHARE, DISK_BASE, 1},
    };
    size_t n = (size_t)random_below(random, sizeof calls / sizeof calls[0]);
    struct fault_injection fault = {
        .one_kind = true,
        .kind = (enum fault_kind)random_below(random, FAULT_KINDS),
        .persistent = random_once_in(random, 3),
        .call = calls[n].call,
        .at = random_between(random, 1, calls[n].most),
    };
    fault.persistent = fault.persistent && fault.kind != FAULT_EINTR; /* to be interrupted for ever is to hang */
    snprintf(fault.name, sizeof fault.name, "%s", calls[n].name);
    return fault;
}

static void choose_run(struct random *random, const struct plan_limits *limits, struct plan *plan)
{
    bool refuse_punch = random_once_in(random, 3);
    bool shares = random_once_in(random, 2);
    struct fault_injection fault = choose_fault(random);
    plan->run = (struct explore_options){
        .self_check = limits->self_check,
        .crash = plan->judge == PLAN_CRASH,
        .refuse_punch = refuse_punch,
        .shares = shares,
        .seed = random_below(random, UINT32_MAX),
        .fault = plan->judge == PLAN_FAULT ? fault : (struct fault_injection){0},
    };
}

/* All strategies take turns, the first one twice as often as the others. */
static const struct sched_strategy_kind *choose_strategy(struct random *random)
{
    size_t count = 0;
    while (sched_strategy_at(count) != NULL) {
        count++;
    }
    return sched_strategy_at((size_t)(random_below(random, count + 1) % count));
}

static void choose_schedules(struct random *random, const struct plan_limits *limits, struct plan *plan)
{
    const struct sched_strategy_kind *chosen = choose_strategy(random);
    plan->strategy = limits->strategy != NULL ? limits->strategy : chosen;
    plan->strategy_options = (struct sched_strategy_options){
        .seed = random_next(random),
        .depth = (uint32_t)random_between(random, 1, DEPTH_MAX),
        .preemptions = limits->preemptions,
    };
    plan->schedules = limits->schedules != 0       ? limits->schedules
                      : !plan->strategy->is_finite ? SCHEDULES
                      : limits->strategy == NULL   ? SCHEDULES_FINITE
                                                   : UINT64_MAX;
}

static struct crash_options choose_crashes(struct random *random)
{
    bool second = random_once_in(random, 16);
    bool deaths = random_once_in(random, 16);
    return (struct crash_options){.deaths = deaths, .second = second, .states = second ? STATES_SECOND : STATES};
}

void plan_make(uint64_t seed, const struct plan_limits *limits, struct plan *plan)
{
    struct random random = {random_hash(~seed)}; /* not the series of the generator */
    *plan = (struct plan){.seed = seed, .judge = choose_judge(seed, limits->judges)};
    plan->every = random_once_in(&random, 2) && plan->judge != PLAN_SCHEDULE;
    choose_workload(&random, limits, plan);
    choose_run(&random, limits, plan);
    choose_schedules(&random, limits, plan);
    plan->crashes = choose_crashes(&random);
}

void plan_make_trace(const struct plan *plan, struct trace *trace)
{
    generate_small_trace(plan->seed, &plan->workload, trace);
}

/*
 * The deterministic scheduler.
 *
 * Threads are coroutines in one thread of the operating system. The engine is compiled a second time with
 * sched/addcow_sync.h in place of its own header, otherwise unchanged. So the scheduler decides which thread runs next
 * before every lock, wait, broadcast and atomic access, and before every step of a simulated file (storage/sim.h).
 * Everything else is atomic, and memory is sequentially consistent.
 *
 * A strategy chooses who runs next. A run is one execution of the threads. It is written down as its schedule, which
 * replays it exactly. A run ends in a deadlock if no thread can run, and in a livelock if it exceeds the step limit.
 * What the threads then held is lost.
 *
 * Nothing here may be used by several threads of the operating system.
 */
#ifndef HARNESS_SCHED_H
#define HARNESS_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SCHED_THREADS_MAX 16u
#define SCHED_NOBODY UINT32_MAX

/* ---- What a thread is about to do ---- */

enum sched_kind {
    SCHED_START, /* begins */
    SCHED_READ,  /* reads an atomic, or a part of a file */
    SCHED_WRITE, /* changes an atomic, or a part of a file */
    SCHED_LOCK,
    SCHED_UNLOCK,
    SCHED_WAIT,      /* on `object` with the mutex `second` */
    SCHED_BROADCAST, /* to `object` */
    SCHED_END
};

struct sched_access {
    enum sched_kind kind;
    const void *object; /* null for start and end */
    const void *second;
    uint64_t first; /* of a file: sectors first..last; else 0 */
    uint64_t last;
    const void *place; /* in the code, of the engine or of the simulated storage; null for start and end */
};

/* Whether the order of the two matters, so that exchanging them may change the result. */
bool sched_dependent(const struct sched_access *a, const struct sched_access *b);

/* ---- Strategies ---- */

struct sched_choice {
    uint32_t threads;
    uint32_t enabled; /* a bit for each thread that can run; not 0 */
    uint32_t current; /* who ran last, or SCHED_NOBODY */
    uint64_t step;    /* done so far */
    const struct sched_access *pending[SCHED_THREADS_MAX];
};

struct sched_strategy;

struct sched_strategy_ops {
    /* Prepares for the next schedule; false if there is none left. */
    bool (*begin)(struct sched_strategy *strategy, uint32_t threads);
    /*
     * Chooses who runs next, one of the enabled. *steps, at least 1, is how many steps that thread may do before the
     * next choice. The next choice comes sooner if the thread blocks, or if it enables another one.
     */
    uint32_t (*choose)(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps);
    /* The schedule is over after `steps` steps. */
    void (*end)(struct sched_strategy *strategy, uint64_t steps);
    /* Frees the strategy. */
    void (*destroy)(struct sched_strategy *strategy);
};

struct sched_strategy {
    const struct sched_strategy_ops *ops;
};

void sched_strategy_free(struct sched_strategy *strategy);

/* The strategies. The caller frees each by sched_strategy_free. `seed` decides everything. */
struct sched_strategy *sched_make_random(uint64_t seed);
struct sched_strategy *sched_make_pct(uint64_t seed, uint32_t depth); /* depth 1..5 and more */

/* The bytes choose. After the last byte no thread is preempted. The bytes must outlive the strategy. One schedule. */
struct sched_strategy *sched_make_bytes(const uint8_t *bytes, size_t length);

/*
 * Every schedule with at most `preemptions` preemptions (switches away from a thread that could run). With `reduce`,
 * one of those that differ only in the order of independent steps; without, every one. The bounds 0, 1, ...
 * `preemptions` come one after the other. The program must do the same in each run as long as the choices are the same.
 */
struct sched_strategy *sched_make_exhaustive(uint32_t preemptions, bool reduce);
#define SCHED_UNBOUNDED 1000000u /* `preemptions`: no bound, in one pass */

struct sched_exhaustive_counts {
    uint64_t schedules;
    uint64_t redundant; /* of them: equal to another one up to the order of independent steps */
    uint32_t bound;     /* the preemption bound of the pass in progress, or of the last one */
    bool complete;      /* all schedules, whatever their preemptions, are covered */
};
struct sched_exhaustive_counts sched_exhaustive_counts(const struct sched_strategy *strategy);

/* What a strategy may be made from. Each uses what it needs. Bytes and schedule must outlive the strategy. */
struct sched_strategy_options {
    uint64_t seed;
    uint32_t depth;       /* of pct */
    uint32_t preemptions; /* of exhaustive */
    const uint8_t *bytes; /* of bytes: `length` of them */
    size_t length;
    const struct sched_schedule *schedule; /* of replay */
};

/* One strategy of the list (strategy.h). */
struct sched_strategy_kind {
    const char *name;
    bool needs_input; /* bytes or a schedule; the others find schedules by themselves */
    bool is_finite;   /* it ends by itself, when it has covered what it should */
    struct sched_strategy *(*make)(const struct sched_strategy_options *options);
};

/* The strategy of a name; null if there is none. */
const struct sched_strategy_kind *sched_strategy_find(const char *name);

/* Those that need no input, by number from 0 on; null if there are not so many. */
const struct sched_strategy_kind *sched_strategy_at(size_t index);

/* ---- Schedules ---- */

/* `steps` steps of one thread. */
struct sched_segment {
    uint32_t thread;
    uint64_t steps;
};

struct sched_schedule {
    struct sched_segment *segments; /* owned */
    uint32_t count;
    uint32_t room;
};

void sched_schedule_free(struct sched_schedule *schedule);
void sched_schedule_append(struct sched_schedule *schedule, uint32_t thread, uint64_t steps);

/* As text, such as "0x14,1x3,0x99". */
void sched_schedule_print(FILE *out, const struct sched_schedule *schedule);
/* False if it is no such text; the caller frees the schedule in either case. */
bool sched_schedule_parse(const char *text, struct sched_schedule *schedule);

/*
 * Where a run that did `done` left the schedule that it was to follow: the number of a segment, from 0 on; UINT32_MAX
 * if it followed it to its end. `may_go_on`: after the end anything may follow.
 */
uint32_t sched_schedule_divergence(const struct sched_schedule *schedule, bool may_go_on,
                                   const struct sched_schedule *done);

/*
 * Follows the schedule. Where that is not possible, and at its end, it continues without preemption. The schedule must
 * outlive the strategy. Any number of runs, each from the beginning of the schedule.
 */
struct sched_strategy *sched_make_replay(const struct sched_schedule *schedule);

/* ---- Running ---- */

enum sched_outcome { SCHED_DONE, SCHED_DEADLOCK, SCHED_LIVELOCK };

struct sched_thread {
    void (*body)(void *context);
    void *context;
};

struct sched_run {
    enum sched_outcome outcome;
    uint64_t steps;
    uint64_t preemptions;
    uint64_t fingerprint; /* of all steps in order, if asked for, else 0 */
    struct sched_schedule schedule;
};

/*
 * What runs have covered: the points in the code at which a thread was preempted or blocked, and the pairs of such a
 * point and the point at which the other thread went on.
 */
#define SCHED_COVERAGE ((uint64_t)1 << 20) /* distinguished by a hash with so many values */
struct sched_coverage {
    uint64_t points;
    uint64_t pairs;
    uint8_t seen[SCHED_COVERAGE / 8];
};

/* Called before each step of a run, in the order in which they are done. */
typedef void sched_observer(void *context, uint32_t thread, const struct sched_access *access);

struct sched_options {
    uint64_t step_limit; /* 0: a million */
    bool fingerprint;
    struct sched_coverage *coverage; /* to be added to; may be null */
    sched_observer *observer;        /* may be null */
    void *observer_context;
};

/*
 * Runs the threads to their end, as the strategy chooses. Returns false, having run nothing, if the strategy has no
 * schedule left. *run starts all zero and is reused by later calls. The caller frees run->schedule at the end.
 */
bool sched_run(struct sched_strategy *strategy, const struct sched_thread *threads, uint32_t count,
               const struct sched_options *options, struct sched_run *run);

/* Prints the schedule of the run in progress; nothing outside a run. A signal handler may call it. */
void sched_print_current(FILE *out);

/* The point before a step on a file: sectors first..last of `object`. Nothing outside a run. */
void sched_file_point(const void *object, enum sched_kind kind, uint64_t first, uint64_t last);

#endif

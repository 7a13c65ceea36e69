/*
 * Probabilistic concurrency testing (Burckhardt and others, 2010). The threads have random priorities, and the highest
 * one that can run does. At depth - 1 random steps the running thread gets a priority below all others. A bug that
 * needs `depth` ordered steps is found with a probability of at least 1 / (threads * steps^(depth - 1)) in each
 * schedule.
 */
#include "sched/strategy.h"

#define DEPTH_MAX 16u
#define STEPS_AT_FIRST 200u /* a guess at the length of the first schedule */

struct pct_strategy {
    struct sched_strategy strategy;
    struct random random;
    uint32_t depth;
    uint64_t steps;                         /* of the longest schedule so far */
    uint64_t changes[DEPTH_MAX];            /* steps, ascending; depth - 1 of them */
    uint32_t changed;                       /* how many are past */
    uint32_t priorities[SCHED_THREADS_MAX]; /* the higher, the sooner */
};

static bool begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct pct_strategy *self = (struct pct_strategy *)strategy;
    for (uint32_t i = 0; i < threads; i++) {
        uint32_t j = (uint32_t)random_below(&self->random, i + 1);
        self->priorities[i] = self->priorities[j];
        self->priorities[j] = self->depth + i;
    }
    for (uint32_t i = 0; i + 1 < self->depth; i++) {
        uint64_t step = random_between(&self->random, 1, self->steps);
        uint32_t j = i;
        for (; j > 0 && self->changes[j - 1] > step; j--) {
            self->changes[j] = self->changes[j - 1];
        }
        self->changes[j] = step;
    }
    self->changed = 0;
    return true;
}

static uint32_t highest(const struct pct_strategy *self, uint32_t enabled)
{
    uint32_t best = strategy_nth(enabled, 0);
    for (uint32_t rest = enabled; rest != 0; rest &= rest - 1) {
        uint32_t thread = strategy_nth(rest, 0);
        if (self->priorities[thread] > self->priorities[best]) {
            best = thread;
        }
    }
    return best;
}

static uint32_t choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps)
{
    struct pct_strategy *self = (struct pct_strategy *)strategy;
    while (self->changed + 1 < self->depth && self->changes[self->changed] <= choice->step) {
        if (choice->current != SCHED_NOBODY) {
            self->priorities[choice->current] = self->depth - 2 - self->changed;
        }
        self->changed++;
    }
    bool more = self->changed + 1 < self->depth;
    *steps = more ? self->changes[self->changed] - choice->step : UINT64_MAX;
    return highest(self, choice->enabled);
}

static void end(struct sched_strategy *strategy, uint64_t steps)
{
    struct pct_strategy *self = (struct pct_strategy *)strategy;
    if (steps > self->steps) {
        self->steps = steps;
    }
}

struct sched_strategy *sched_make_pct(uint64_t seed, uint32_t depth)
{
    static const struct sched_strategy_ops ops = {begin, choose, end, strategy_destroy};
    struct pct_strategy *self = report_allocate(1, sizeof *self);
    self->strategy.ops = &ops;
    self->random.state = seed;
    self->depth = depth < 1 ? 1 : depth > DEPTH_MAX ? DEPTH_MAX : depth;
    self->steps = STEPS_AT_FIRST;
    return &self->strategy;
}

static struct sched_strategy *make(const struct sched_strategy_options *options)
{
    return sched_make_pct(options->seed, options->depth);
}

const struct sched_strategy_kind sched_strategy_pct = {.name = "pct", .make = make};

/*
 * Random walk. Every choice takes a random thread that can run, for a random number of steps. The average of that
 * number is chosen for each schedule: small numbers mix single steps, large ones whole requests.
 */
#include "sched/strategy.h"

struct random_strategy {
    struct sched_strategy strategy;
    struct random random;
    uint64_t length; /* a choice grants 1..2 * length - 1 steps */
};

static bool begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct random_strategy *self = (struct random_strategy *)strategy;
    (void)threads;
    static const uint64_t lengths[] = {1, 3, 10, 30};
    self->length = lengths[random_below(&self->random, 4)];
    return true;
}

static uint32_t choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps)
{
    struct random_strategy *self = (struct random_strategy *)strategy;
    uint64_t count = (uint64_t)__builtin_popcount(choice->enabled);
    *steps = random_between(&self->random, 1, 2 * self->length - 1);
    return strategy_nth(choice->enabled, (uint32_t)random_below(&self->random, count));
}

struct sched_strategy *sched_make_random(uint64_t seed)
{
    static const struct sched_strategy_ops ops = {begin, choose, strategy_end, strategy_destroy};
    struct random_strategy *self = report_allocate(1, sizeof *self);
    self->strategy.ops = &ops;
    self->random.state = seed;
    return &self->strategy;
}

static struct sched_strategy *make(const struct sched_strategy_options *options)
{
    return sched_make_random(options->seed);
}

const struct sched_strategy_kind sched_strategy_random = {.name = "random", .make = make};

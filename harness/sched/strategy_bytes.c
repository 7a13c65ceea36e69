/*
 * The strategy whose choices are bytes, for a fuzzer. The low four bits of a byte choose the thread, among those that
 * can run. The high four bits say for how long it runs: 2^0 to 2^15 steps.
 */
#include "sched/strategy.h"

struct bytes_strategy {
    struct sched_strategy strategy;
    const uint8_t *bytes;
    size_t length;
    size_t used;
    bool begun;
};

static bool begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct bytes_strategy *self = (struct bytes_strategy *)strategy;
    (void)threads;
    bool first = !self->begun;
    self->begun = true;
    return first;
}

static uint32_t choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps)
{
    struct bytes_strategy *self = (struct bytes_strategy *)strategy;
    if (self->used == self->length) {
        *steps = UINT64_MAX;
        return strategy_go_on(choice);
    }
    uint8_t byte = self->bytes[self->used++];
    *steps = (uint64_t)1 << (byte >> 4);
    return strategy_nth(choice->enabled, (byte & 15u) % (uint32_t)__builtin_popcount(choice->enabled));
}

struct sched_strategy *sched_make_bytes(const uint8_t *bytes, size_t length)
{
    static const struct sched_strategy_ops ops = {begin, choose, strategy_end, strategy_destroy};
    struct bytes_strategy *self = report_allocate(1, sizeof *self);
    self->strategy.ops = &ops;
    self->bytes = bytes;
    self->length = length;
    return &self->strategy;
}

static struct sched_strategy *make(const struct sched_strategy_options *options)
{
    return sched_make_bytes(options->bytes, options->length);
}

const struct sched_strategy_kind sched_strategy_bytes = {.name = "bytes", .needs_input = true, .make = make};

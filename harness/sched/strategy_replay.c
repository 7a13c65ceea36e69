/*
 * Replay: the choices follow a given schedule.
 */
#include "sched/strategy.h"

struct replay_strategy {
    struct sched_strategy strategy;
    const struct sched_schedule *schedule;
    uint32_t segment;     /* the one in progress */
    uint64_t segment_end; /* in steps of the run */
};

static bool begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct replay_strategy *self = (struct replay_strategy *)strategy;
    (void)threads;
    self->segment = 0;
    self->segment_end = self->schedule->count > 0 ? self->schedule->segments[0].steps : 0;
    return true;
}

static uint32_t choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps)
{
    struct replay_strategy *self = (struct replay_strategy *)strategy;
    const struct sched_schedule *schedule = self->schedule;
    while (self->segment < schedule->count) {
        const struct sched_segment *segment = &schedule->segments[self->segment];
        bool possible = segment->thread < choice->threads && (choice->enabled >> segment->thread & 1) != 0;
        if (possible && choice->step < self->segment_end) {
            *steps = self->segment_end - choice->step;
            return segment->thread;
        }
        /* Where the run has left the schedule, the next segment counts from here. */
        self->segment++;
        if (self->segment < schedule->count) {
            self->segment_end = choice->step + schedule->segments[self->segment].steps;
        }
    }
    *steps = UINT64_MAX;
    return strategy_go_on(choice);
}

struct sched_strategy *sched_make_replay(const struct sched_schedule *schedule)
{
    static const struct sched_strategy_ops ops = {begin, choose, strategy_end, strategy_destroy};
    struct replay_strategy *self = report_allocate(1, sizeof *self);
    self->strategy.ops = &ops;
    self->schedule = schedule;
    return &self->strategy;
}

static struct sched_strategy *make(const struct sched_strategy_options *options)
{
    return sched_make_replay(options->schedule);
}

const struct sched_strategy_kind sched_strategy_replay = {.name = "replay", .needs_input = true, .make = make};

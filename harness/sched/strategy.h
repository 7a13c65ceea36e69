/*
 * The list of strategies, and what they share.
 *
 * A strategy is a file strategy_NAME.c. It defines sched_strategy_NAME, and stands in the list below.
 */
#ifndef HARNESS_SCHED_STRATEGY_H
#define HARNESS_SCHED_STRATEGY_H

#include "sched/sched.h"

#include "base/random.h"
#include "base/report.h"

#include <stdlib.h>

/* The list, in the order in which messages name them. */
#define SCHED_STRATEGIES(EACH) EACH(random) EACH(pct) EACH(exhaustive) EACH(bytes) EACH(replay)

#define STRATEGY_DECLARE(name) extern const struct sched_strategy_kind sched_strategy_##name;
SCHED_STRATEGIES(STRATEGY_DECLARE)
#undef STRATEGY_DECLARE

/* The thread of the bit number `n`, from 0 on, of those that are set. */
static inline uint32_t strategy_nth(uint32_t enabled, uint32_t n)
{
    while (n-- > 0) {
        enabled &= enabled - 1;
    }
    return (uint32_t)__builtin_ctz(enabled);
}

/* The current thread if it can run, else the first that can. */
static inline uint32_t strategy_go_on(const struct sched_choice *choice)
{
    bool can = choice->current != SCHED_NOBODY && (choice->enabled >> choice->current & 1) != 0;
    return can ? choice->current : strategy_nth(choice->enabled, 0);
}

/* For strategies that learn nothing from a run. */
static inline void strategy_end(struct sched_strategy *strategy, uint64_t steps)
{
    (void)strategy;
    (void)steps;
}

/* For strategies that own nothing else. */
static inline void strategy_destroy(struct sched_strategy *strategy)
{
    free(strategy);
}

#endif

/*
 * Shared by the strategies.
 */
#ifndef HARNESS_SCHED_STRATEGY_H
#define HARNESS_SCHED_STRATEGY_H

#include "sched/sched.h"

#include "base/random.h"
#include "base/report.h"

/* The thread of the bit number `n`, from 0 on, of those that are set. */
static inline uint32_t strategy_nth(uint32_t enabled, uint32_t n)
{
    while (n-- > 0) {
        enabled &= enabled - 1;
    }
    return (uint32_t)__builtin_ctz(enabled);
}

/* The current thread if it can go on, else the first that can. */
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

#endif

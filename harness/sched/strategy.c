/*
 * The list of strategies, by name.
 */
#include "sched/strategy.h"

#include <string.h>

#define STRATEGY_ADDRESS(name) &sched_strategy_##name,
static const struct sched_strategy_kind *const strategies[] = {SCHED_STRATEGIES(STRATEGY_ADDRESS)};
#define STRATEGY_COUNT (sizeof strategies / sizeof strategies[0])

void sched_strategy_free(struct sched_strategy *strategy)
{
    strategy->ops->destroy(strategy);
}

const struct sched_strategy_kind *sched_strategy_find(const char *name)
{
    for (size_t i = 0; i < STRATEGY_COUNT; i++) {
        if (strcmp(strategies[i]->name, name) == 0) {
            return strategies[i];
        }
    }
    return NULL;
}

const struct sched_strategy_kind *sched_strategy_at(size_t index)
{
    for (size_t i = 0; i < STRATEGY_COUNT; i++) {
        if (!strategies[i]->needs_input && index-- == 0) {
            return strategies[i];
        }
    }
    return NULL;
}

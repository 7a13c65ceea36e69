/*
 * The scenarios: small workloads of one thread, in which everything that matters to durability happens.
 *
 * Every offset, length and size is a multiple of 512, so that any implementation can do them.
 */
#ifndef HARNESS_SCENARIO_H
#define HARNESS_SCENARIO_H

#include "adapters/protocol.h"
#include "workload/trace.h"

struct scenario {
    const char *name;
    const char *story;   /* what happens, in one line */
    const char *clauses; /* that it judges beyond those of every scenario, separated by spaces */
    struct trace trace;
};

/* The number of scenarios. */
unsigned scenario_count(void);

/* Makes scenario number `index`. */
void scenario_make(unsigned index, struct scenario *scenario);

/*
 * Why an implementation with these abilities cannot do a scenario; "" if it can. Null abilities are all. The text is
 * stored in `why`.
 */
void scenario_problem(const struct scenario *scenario, const struct protocol_abilities *abilities, char *why,
                      size_t why_size);

#endif

/*
 * Judges an implementation from outside: every scenario (scenario.h) by every judge that stands on the observer.
 */
#ifndef HARNESS_OBSERVE_H
#define HARNESS_OBSERVE_H

#include "adapters/protocol.h"
#include "observe/findings.h"
#include "observe/observed.h"

/* Whether programs can be observed here. If not, `why` says why. `how.command` is not used. */
bool observe_is_possible(const struct observed_command *how, char *why, size_t why_size);

struct observe_options {
    struct observed_command how;                /* how.parent: an existing directory, of which everything is removed */
    const struct protocol_abilities *abilities; /* what the adapter declared; null: everything */
    const char *scenario; /* only this one, such as "grow", or by one judge, "grow/faults", or "slow"; null: all */
    unsigned jobs;        /* scenarios at once, from 1 */
    int interruption;     /* a descriptor: the run stops when it becomes readable; or -1 */
};

/* How much was judged. */
struct observe_counts {
    uint64_t scenarios;
    uint64_t states; /* after power cuts */
    uint64_t deaths;
    uint64_t faults;
    uint64_t plans; /* of delays */
};

/* The clauses that the observer is there for, separated by spaces. Static storage. */
const char *observe_clauses(void);

/* The names of the scenarios, one a line with its story. */
void observe_list(FILE *out);

/*
 * Judges. Each scenario runs in a child process, which changes its current directory. This process must be a subreaper
 * without other children; it leaves no process and no file behind. False if the run was interrupted,
 * or no scenario has the name. The caller calls findings_free.
 */
bool observe_judge(const struct observe_options *options, struct observe_counts *counts, struct findings *findings);

#endif

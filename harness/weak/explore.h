/*
 * Searches the executions of a program for a defect: all of them, or random ones.
 *
 * The exhaustive search makes every choice, depth first, and repeats the execution from its beginning for each. Two
 * reductions lose no graph, and so no defect: nothing is chosen before local steps (run.h), and a state that was met
 * before is not run on from again. A state is the graph so far, whatever the order in which it was made; the threads'
 * own states follow from it. With a bound on preemptions it is also who may go on, and a state is met anew with fewer
 * preemptions. What makes steps local is learned while searching; then the search begins again.
 */
#ifndef HARNESS_WEAK_EXPLORE_H
#define HARNESS_WEAK_EXPLORE_H

#include "weak/run.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What executions came to: outcomes, or graphs. Sorted, each once. */
struct weak_set {
    uint64_t *members; /* owned */
    size_t count;
    size_t room;
};

struct weak_options_of_search {
    uint32_t preemptions; /* most switches away from a thread that could go on; WEAK_UNBOUNDED */
    uint64_t executions;  /* most; 0: no limit */
    double seconds;       /* most; 0: no limit */
    bool unreduced;       /* without the reductions */
    bool random;          /* random executions; `seed` decides them */
    uint64_t seed;
    struct weak_set *outcomes; /* of whole executions; may be null */
    struct weak_set *graphs;   /* the same */
};

struct weak_found {
    bool failed;
    bool complete; /* every execution, within the bound, has been covered */
    char message[WEAK_MESSAGE];
    uint64_t executions; /* begun */
    uint64_t whole;      /* of them, run to their end */
    uint64_t steps;
    uint64_t stale;
    uint64_t states;
    uint64_t restarts; /* after learning */
};

/* Searches. If an execution fails, minimises it and tells it on `timeline`, unless that is null. */
void weak_explore(const struct weak_program *program, const struct weak_options_of_search *options, FILE *timeline,
                  struct weak_found *found);

/* Prints the counts on one line. */
void weak_print_found(FILE *out, const struct weak_program *program, const struct weak_options_of_search *options,
                      const struct weak_found *found);

void weak_set_add(struct weak_set *set, uint64_t member);
bool weak_set_has(const struct weak_set *set, uint64_t member);
void weak_set_free(struct weak_set *set);

#endif

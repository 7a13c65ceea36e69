/*
 * Litmus programs: a few atomic operations in each of a few threads, as data. They run under weak memory (litmus.c),
 * and their executions are counted by the definition of the model (axioms.c).
 */
#ifndef TESTS_WEAK_LITMUS_H
#define TESTS_WEAK_LITMUS_H

#include "weak/program.h"

#include <stdbool.h>
#include <stdint.h>

#define LITMUS_THREADS 4u
#define LITMUS_STEPS 4u
#define LITMUS_PLACES 3u /* x, y, z; all 0 at the beginning */

enum litmus_kind { LITMUS_END, LITMUS_LOAD, LITMUS_STORE, LITMUS_ADD, LITMUS_SWAP, LITMUS_FENCE };

enum litmus_order { LITMUS_RELAXED, LITMUS_ACQUIRE, LITMUS_RELEASE, LITMUS_ACQ_REL, LITMUS_SEQ_CST };

struct litmus_step {
    enum litmus_kind kind;
    enum litmus_order order;
    unsigned place;
    unsigned value; /* stored or added, below 4; SWAP: stored if the place holds 0 */
};

struct litmus {
    const char *name;
    unsigned threads;
    struct litmus_step steps[LITMUS_THREADS][LITMUS_STEPS];
};

/*
 * An outcome: three bits for each value read, in the order of threads and steps, the first the lowest, and then for the
 * last value of each place.
 */
#define LITMUS_BITS 3u

/* Runs `litmus_now`. */
extern const struct weak_program litmus_program;
extern const struct litmus *litmus_now;

/* The executions that the model allows, by its definition. */
struct axioms_count {
    uint64_t executions;
    uint64_t outcomes[4096]; /* each once, sorted */
    unsigned outcome_count;
};
void axioms_enumerate(const struct litmus *litmus, struct axioms_count *count);

#endif

/*
 * Pseudo-random numbers (SplitMix64). The same seed gives the same numbers on every machine.
 */
#ifndef HARNESS_RANDOM_H
#define HARNESS_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state; /* any value is a seed */
};

/* A number that depends on all bits of `value`. */
static inline uint64_t random_hash(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
    value = (value ^ value >> 27) * 0x94D049BB133111EBu;
    return value ^ value >> 31;
}

static inline uint64_t random_next(struct random *random)
{
    uint64_t value = random_hash(random->state);
    random->state += 0x9E3779B97F4A7C15u;
    return value;
}

/* A number below `bound`, which must not be 0. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

/* A number in first..last. */
static inline uint64_t random_between(struct random *random, uint64_t first, uint64_t last)
{
    return first + random_below(random, last - first + 1);
}

/* A seed from the system's random numbers, of 32 bits: short enough to type. */
uint64_t random_seed(void);

/* True with probability 1 / times. */
static inline int random_once_in(struct random *random, uint64_t times)
{
    return random_below(random, times) == 0;
}

#endif

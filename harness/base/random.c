/*
 * A seed for runs without a given seed.
 */
#include "base/random.h"

#include "base/clock.h"

#include <sys/random.h>

uint64_t random_seed(void)
{
    uint32_t seed;
    return getrandom(&seed, sizeof seed, 0) == sizeof seed ? seed : (uint32_t)clock_nanoseconds();
}

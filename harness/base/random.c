/*
 * The seed of what nobody has given a seed.
 */
#include "base/random.h"

#include "base/clock.h"

#include <sys/random.h>

uint64_t random_seed(void)
{
    uint32_t seed;
    return getrandom(&seed, sizeof seed, 0) == sizeof seed ? seed : (uint32_t)clock_nanoseconds();
}

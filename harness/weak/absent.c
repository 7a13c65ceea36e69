/*
 * Stands in for the engine under weak memory where the compiler cannot build it (HAS_WEAK in mk/harness.mk). Otherwise
 * the linker does not take this from the library.
 */
#include "weak/programs/programs.h"

struct weak_program weak_random;

bool weak_random_make(uint64_t seed, unsigned threads, unsigned requests)
{
    (void)seed;
    (void)threads;
    (void)requests;
    return false;
}

bool weak_random_remove(unsigned number)
{
    (void)number;
    return false;
}

void weak_random_keep(bool restore)
{
    (void)restore;
}

void weak_random_print(FILE *out)
{
    (void)out;
}

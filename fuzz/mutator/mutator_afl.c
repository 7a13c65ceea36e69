/*
 * The custom mutator as AFL++ calls it: a shared library that AFL_CUSTOM_MUTATOR_LIBRARY names.
 */
#include "mutator/mutator.h"
#include "base/random.h"

#include <stdlib.h>

struct afl_mutator {
    struct random random;
    uint8_t *out;
    size_t room;
};

#pragma GCC visibility push(default)

/* The interface of AFL++, whose own state is not looked at. */
void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *data, uint8_t *buffer, size_t size, uint8_t **out, uint8_t *other, size_t other_size,
                       size_t max_size);
void afl_custom_deinit(void *data);

#pragma GCC visibility pop

void *afl_custom_init(void *afl, unsigned seed)
{
    (void)afl;
    struct afl_mutator *mutator = calloc(1, sizeof *mutator);
    if (mutator) {
        mutator->random.state = seed;
    }
    return mutator;
}

size_t afl_custom_fuzz(void *data, uint8_t *buffer, size_t size, uint8_t **out, uint8_t *other, size_t other_size,
                       size_t max_size)
{
    struct afl_mutator *mutator = data;
    if (max_size > mutator->room) {
        uint8_t *larger = realloc(mutator->out, max_size);
        if (!larger) {
            *out = buffer;
            return size;
        }
        mutator->out = larger;
        mutator->room = max_size;
    }
    uint64_t seed = random_next(&mutator->random);
    *out = mutator->out;
    if (other && seed % 8 == 0) {
        return mutator_cross(&(struct fuzz_part){buffer, size}, &(struct fuzz_part){other, other_size}, *out, max_size,
                             seed);
    }
    return mutator_mutate(buffer, size, *out, max_size, seed);
}

void afl_custom_deinit(void *data)
{
    struct afl_mutator *mutator = data;
    free(mutator->out);
    free(mutator);
}

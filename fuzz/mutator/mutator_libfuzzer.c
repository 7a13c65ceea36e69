/*
 * The custom mutator as libFuzzer calls it.
 */
#include "mutator/mutator.h"

#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size,
                                 uint8_t *out, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (!copy) {
        return size;
    }
    memcpy(copy, data, size);
    size_t made = mutator_mutate(copy, size, data, max_size, seed);
    free(copy);
    return made;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size,
                                 uint8_t *out, size_t max_size, unsigned seed)
{
    return mutator_cross(&(struct fuzz_part){first, first_size}, &(struct fuzz_part){second, second_size}, out,
                         max_size, seed);
}

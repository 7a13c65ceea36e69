/*
 * The custom mutator of the structured targets (mutator.c), for any fuzzing engine. Not thread-safe.
 */
#ifndef FUZZ_MUTATOR_H
#define FUZZ_MUTATOR_H

#include "lib/fuzz.h"

/* Makes out[0, result) from data[0, size), which it must not overlap; result <= max_size. The same seed makes the same.
 */
size_t mutator_mutate(const uint8_t *data, size_t size, uint8_t *out, size_t max_size, uint64_t seed);

/* Makes one input of two. */
size_t mutator_cross(const struct fuzz_part *first, const struct fuzz_part *second, uint8_t *out, size_t max_size,
                     uint64_t seed);

#endif

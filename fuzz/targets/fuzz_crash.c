/*
 * A concurrent workload, its schedule, and power failures: what is left on the disk keeps the durability clauses
 * (crash.h).
 *
 * The first choices select when the power fails and which unsynced sectors have reached the disk; the rest is the
 * schedule.
 */
#include "lib/explore_target.h"

#define SEED_BYTES 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_split(data, size);
    const struct fuzz_part *choices = &input.parts[FUZZ_CHOICES];
    struct explore_options options = {.crash = true};
    for (size_t i = 0; i < SEED_BYTES && i < choices->count; i++) {
        options.seed = options.seed << 8 | choices->bytes[i];
    }
    fuzz_explore(&input, SEED_BYTES, &options);
    return 0;
}

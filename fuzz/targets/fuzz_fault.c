/*
 * A concurrent workload, its schedule, and a call of the storage that fails: the error clauses hold, and so do the
 * durability clauses afterwards.
 *
 * The first choices decide which call fails, in which way, and whether it goes on failing, and the rest is the
 * schedule.
 */
#include "lib/explore_target.h"

#define PLAN_BYTES 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_split(data, size);
    const struct fuzz_part *choices = &input.parts[FUZZ_CHOICES];
    struct explore_options options = {.fault = {.at = 1}};
    if (choices->count >= PLAN_BYTES) {
        options.fault.at = 1 + choices->bytes[0];
        options.fault.kind = (enum fault_kind)(choices->bytes[1] % FAULT_KINDS);
        /* Interruptions and short transfers are continued as often as they come, so they end. */
        options.fault.persistent =
            !fault_injection_is_harmless(&options.fault) && choices->bytes[1] / FAULT_KINDS % 2 == 1;
    }
    fuzz_explore(&input, PLAN_BYTES, &options);
    return 0;
}

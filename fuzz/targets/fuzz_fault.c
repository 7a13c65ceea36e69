/*
 * A concurrent workload, its schedule, and a storage call that fails: the error clauses hold, and so do the durability
 * clauses afterwards.
 *
 * The first choices select the call, how it fails, and whether later calls fail too; the rest is the schedule.
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
        /* The engine continues interrupted and short transfers for as long as they come, so they must end. */
        options.fault.persistent =
            !fault_injection_is_harmless(&options.fault) && choices->bytes[1] / FAULT_KINDS % 2 == 1;
    }
    fuzz_explore(&input, PLAN_BYTES, &options);
    return 0;
}

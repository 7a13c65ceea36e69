/*
 * A concurrent workload and its schedule: linearizable, no deadlock, and the right files are left (explore.h).
 */
#include "lib/explore_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_split(data, size);
    struct explore_options options = {.whole_requests = false};
    fuzz_explore(&input, 0, &options);
    return 0;
}

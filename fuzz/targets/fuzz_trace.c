/*
 * A workload of one thread: the production engine on real files equals the reference engine, byte for byte
 * (differential.h).
 */
#include "lib/fuzz.h"
#include "workload/disk_files.h"
#include "judges/differential.h"
#include "base/report.h"
#include "base/scratch.h"

#include <stdlib.h>

static char directory[SCRATCH_PATH_BYTES];

static void remove_directory(void)
{
    scratch_remove(directory);
}

static void make_directory(void)
{
    fuzz_require(scratch_make(scratch_fast_parent(), "addcow-fuzz", directory), "a directory can be made");
    atexit(remove_directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_bounds bounds = {
        .threads = 1, .operations = 64, .cluster_bits = 16, .clusters = 20, .bytes = 512u << 10, .reopen = true};
    static struct trace trace;
    struct fuzz_input input = fuzz_split(data, size);
    if (!fuzz_trace(&input, &bounds, &trace)) {
        return 0;
    }
    if (directory[0] == '\0') {
        make_directory();
    }
    struct adapter *adapter = adapter_make_fast(NULL);
    struct differential_counts counts = {0};
    if (!differential_judge(&trace, adapter, directory, NULL, &counts, stderr)) {
        fuzz_require(false, "the engine does what the reference engine does");
    }
    adapter->ops->destroy(adapter);
    return 0;
}

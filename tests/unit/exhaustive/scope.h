/*
 * Small scopes, which tests of crashes and faults go through from end to end: the disks, and how much a build gets.
 *
 * What a test goes through never depends on a clock, or a slow machine would test something else than a quick one.
 * Builds and tools that make everything many times slower have a smaller scope, and say so.
 */
#ifndef TESTS_SCOPE_H
#define TESTS_SCOPE_H

#include "sched/addcow_sizes.h" /* not those of fast/ */
#include "workload/generate.h"
#include "workload/trace.h"

#include "addcow_format.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(GENERATE_BLOCK_CLUSTERS == 8 * ADDCOW_BLOCK_BYTES, "small traces have disks of several blocks");

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SCOPE_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCOPE_SANITIZED 1
#endif
#ifndef SCOPE_SANITIZED
#define SCOPE_SANITIZED 0
#endif

/*
 * Whether this build has a sanitizer, or the environment says SCOPE=small, as scripts/run-valgrind and
 * scripts/check-platforms do: valgrind and emulators are slow.
 */
static inline bool scope_is_small(void)
{
    const char *scope = getenv("SCOPE");
    return SCOPE_SANITIZED || (scope != NULL && strcmp(scope, "small") == 0);
}

/* Disks of four clusters, the last one of which is not full. */
static const struct trace_disk scope_disks[] = {
    {.layout = ADDCOW_R20,
     .cluster_bits = 12,
     .size = 15000,
     .has_backing = true,
     .backing_size = 15000,
     .allocation = TRACE_SOME_ALLOCATED,
     .seed = 1},
    {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 15000, .has_backing = true, .backing_size = 25000},
    {.layout = ADDCOW_R20,
     .cluster_bits = 12,
     .size = 15000,
     .has_backing = true,
     .backing_size = 15000,
     .allocation = TRACE_ALL_ALLOCATED},
    {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 15000},
    {.layout = ADDCOW_R20,
     .cluster_bits = 12,
     .size = 15000,
     .has_backing = true,
     .backing_size = 16000,
     .chain = 2,
     .allocation = TRACE_SOME_ALLOCATED,
     .seed = 3},
    {.layout = ADDCOW_R9,
     .cluster_bits = 16,
     .size = 200000,
     .has_backing = true,
     .backing_size = 250000,
     .allocation = TRACE_SOME_ALLOCATED,
     .seed = 2},
};

/*
 * A workload on a disk of three blocks of the bitmap, of which two and three are dirty at once, in this order and in
 * that, before flushes and before they are cut away.
 */
static inline void make_several_blocks(struct trace *trace)
{
    const uint64_t block = GENERATE_BLOCK_CLUSTERS * 4096;
    *trace = (struct trace){
        .disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 2 * block + 9000, .has_backing = true, .seed = 15},
        .threads = 1,
    };
    trace_add(trace, 0, OPERATION_WRITE, block - 512, 1024);
    trace_add(trace, 0, OPERATION_WRITE, 2 * block + 512, 512);
    trace_add(trace, 0, OPERATION_FLUSH, 0, 0);
    trace_add(trace, 0, OPERATION_WRITE, 2 * block - 512, 512);
    trace_add(trace, 0, OPERATION_WRITE, 0, 512);
    trace_add(trace, 0, OPERATION_FLUSH, 0, 0);
    trace_add(trace, 0, OPERATION_WRITE, 2 * block + 4096, 512);
    trace_add(trace, 0, OPERATION_WRITE, block + 4096, 512);
    trace_add(trace, 0, OPERATION_RESIZE, block + 4096, 0);
    trace_add(trace, 0, OPERATION_RESIZE, 2 * block + 9000, 0);
}

#define SCOPE_DISKS (sizeof scope_disks / sizeof scope_disks[0])
#define SCOPE_R9 (SCOPE_DISKS - 1) /* its clusters are large */

#endif

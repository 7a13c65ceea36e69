/*
 * Disks with several bitmap blocks, whose files are nearly all holes.
 */
#ifndef TESTS_SPARSE_DISK_H
#define TESTS_SPARSE_DISK_H

#include "support/faults.h"
#include "support/model.h"
#include "support/probe.h"

#define BLOCK ((uint64_t)32768) /* clusters whose bits share 4 KiB of the bitmap */

/* Makes "disk" with so many clusters of 4 KiB, all of them a hole, and with a bitmap of two blocks. */
static inline void make_sparse_disk(const struct disk_spec *spec, uint64_t clusters)
{
    make_disk("disk", spec);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)(clusters * 4096)), 0);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 2 * 4096), 0);
}

static inline void assert_run(struct addcow *disk, uint64_t first, uint64_t limit, bool expected)
{
    bool allocated;
    uint64_t run;
    uint64_t length = addcow_size(disk) - first * 4096;
    assert_ok(addcow_map(disk, first * 4096, length, &allocated, &run, &reason));
    assert_int_equal(allocated, expected);
    assert_int_equal(run, (limit - first) * 4096);
}

static inline int fail_second_block(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_READ && event->file == 'm' && event->offset >= 4096 + 4096 ? -EIO : 0;
}

#endif

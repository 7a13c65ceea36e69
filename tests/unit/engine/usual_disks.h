/*
 * Disks that many tests of the production engine begin with.
 */
#ifndef TESTS_USUAL_DISKS_H
#define TESTS_USUAL_DISKS_H

#include "support/model.h"
#include "support/probe.h"

/* 10 clusters and a bit of 4 KiB; the backing file ends inside cluster 5; clusters 1, 2 and 8 are allocated. */
static const struct disk_spec usual = {
    .size = 10 * 4096 + 777,
    .backing_name = "base.raw",
    .backing_size = 5 * 4096 + 1234,
    .allocated = 0x106,
};

static const struct disk_spec no_backing = {.size = 10 * 4096 + 777, .allocated = 0x106};

#endif

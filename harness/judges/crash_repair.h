/*
 * Crashes of a repair.
 */
#ifndef HARNESS_CRASH_REPAIR_H
#define HARNESS_CRASH_REPAIR_H

#include "judges/crash_sequence.h"

/* Kinds of damage to a bitmap, which can be combined. */
enum crash_damage {
    CRASH_STRAY_BITS = 1,  /* bits past the last cluster are set (BMP-05) */
    CRASH_SHORT_FILE = 2,  /* the padding is missing, which r9 does not have (BMP-04) */
    CRASH_CLEAR_BITS = 4,  /* bits are clear although all is allocated (VRT-05) */
    CRASH_PADDING_USED = 8 /* bits in the last sector of the padding, or behind what is needed in r9 */
};

/*
 * Damages a disk, repairs it, and judges crashes at every moment. After each, both engines open the disk and read what
 * they read before. A second repair finishes and leaves nothing broken (CHK-02).
 */
bool crash_repair(const struct trace_disk *disk, unsigned damage, struct crash_counts *counts, FILE *out);

/*
 * The same for every possible damage, for disks of both layouts with one byte or several bytes of bitmap, and for a
 * shrink in which the process has died (DUR-12).
 */
bool crash_every_repair(struct crash_counts *counts, FILE *out);

#endif

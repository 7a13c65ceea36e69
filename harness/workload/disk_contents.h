/*
 * What the files of a trace's disk contain before its first operation (disk_files.h), byte for byte.
 *
 * The backing contents are those of the whole chain. Exactly one file supplies each byte of them, or none, where a
 * level ends before the one above it. Every other byte of every file holds a stamp of kind STAMP_HIDDEN, so reading the
 * wrong level is detected.
 *
 * Some of the files are sparse, by the seed. A block of TRACE_BLOCK bytes that is zero becomes a hole in real files,
 * and counts as one in simulated ones.
 *
 *   odd seeds        about a third of the blocks of the backing contents are holes
 *   seed % 4 == 3    in images and in the raw file below, also blocks of allocated clusters are holes, and half of
 * those that nothing shows seed % 16 == 15  all that nothing shows are
 *
 * If seed % 4 is 2 or 3, the disks of a chain differ: in layout, cluster size, length, and in what is allocated.
 */
#ifndef HARNESS_DISK_CONTENTS_H
#define HARNESS_DISK_CONTENTS_H

#include "workload/trace.h"

/* A disk of the chain, or the raw file below all. */
struct disk_level {
    uint32_t layout; /* enum addcow_layout */
    uint32_t cluster_bits;
    uint64_t length; /* bytes, of the disk or the raw file */
    enum trace_allocation allocation;
};

/* Level `level` of the chain: 1 is its top; chain + 1 is the raw file. */
struct disk_level disk_contents_level(const struct trace_disk *disk, unsigned level);

/* Whether that level has its cluster at `offset` allocated. */
bool disk_contents_level_is_allocated(const struct trace_disk *disk, unsigned level, uint64_t offset);

/* Fills all bytes of a level's image, or of the raw file. */
void disk_contents_fill_level(const struct trace_disk *disk, unsigned level, uint8_t *bytes, uint64_t length);

/* Whether cluster `cluster` of the disk itself is allocated. */
bool disk_contents_is_allocated(const struct trace_disk *disk, uint64_t cluster);

/* Fills buffer[0, length) with what the image of the disk itself has at [offset, offset + length). */
void disk_contents_fill_image(const struct trace_disk *disk, uint64_t offset, uint8_t *buffer, uint64_t length);

/* The same with the backing contents, as if they had no end. */
void disk_contents_fill_backing(const struct trace_disk *disk, uint64_t offset, uint8_t *buffer, uint64_t length);

#endif

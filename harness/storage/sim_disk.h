/*
 * The disk that the files of a simulated storage hold, as the reference engine sees it.
 */
#ifndef HARNESS_SIM_DISK_H
#define HARNESS_SIM_DISK_H

#include "addcow_ref.h"
#include "storage/sim_crash.h"
#include "workload/trace.h"

struct sim_disk {
    struct addcow_ref ref; /* points at the bytes of the storage; only for reading */
    uint8_t *below;        /* owned: the contents of the backing file, if that is an add-cow disk itself; else null */
};

/*
 * Opens DISK_METADATA (disk_files.h) with the image and the backing chain that it names, by the rules of the spec.
 * False, with the reason in `problem`, if these refuse it. The caller calls sim_disk_close after a success.
 */
bool sim_disk_open(const struct sim *sim, struct sim_disk *disk, char *problem, size_t problem_size);
void sim_disk_close(struct sim_disk *disk);

/*
 * Opens the disk, reads all of it, and closes it. *bytes has *size bytes, with zeros behind them up to `room` bytes;
 * the caller frees it. False, with the reason in `problem`, if the disk is refused.
 */
bool sim_disk_read(const struct sim *sim, uint64_t room, uint8_t **bytes, uint64_t *size, char *problem,
                   size_t problem_size);

/* Whether a bit past the last cluster is set in the last byte of the bitmap that is in use (BMP-05). */
bool sim_disk_has_stray_bits(const struct sim_disk *disk);

/* Makes the files of a trace's disk in a storage, and keeps that state. They can share storage if the seed is odd. */
void sim_disk_make(struct sim *sim, const struct trace_disk *disk);

/*
 * The crash choices that suffice to judge such a disk. Sectors of the bitmaps tear. For the files with contents, one
 * version is chosen for every sector at once: each sector of the disk is a sector of one of these files, and the
 * bitmaps say of which.
 */
struct sim_crash_options sim_disk_crash_options(const struct trace_disk *disk);

#endif

/*
 * The disk that the files of a simulated storage hold, as the reference engine sees it.
 */
#ifndef HARNESS_SIM_DISK_H
#define HARNESS_SIM_DISK_H

#include "addcow_ref.h"
#include "storage_sim.h"
#include "trace.h"

/*
 * Opens FILES_METADATA (files.h) with the image and the raw backing file that it names by the rules of the spec. False,
 * with the reason in `problem`, if they refuse it. *disk stands on the bytes of the storage and is only for reading.
 */
bool sim_disk_open(const struct sim *sim, struct addcow_ref *disk, char *problem, size_t problem_size);

/* Lays the files of a trace's disk into a storage, and keeps that state. */
void sim_disk_lay(struct sim *sim, const struct trace_disk *disk);

#endif

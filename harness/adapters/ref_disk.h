/*
 * The reference engine on files: each file is mapped into memory, and addcow_ref works on the mappings.
 *
 * The opening rules that need files (sections 4 and 13 of the spec) are written out here a second time, independently
 * of fast/, so that two implementations of them can be compared. Simple, not quick; nothing is done against a storage
 * that fails. Not thread-safe.
 */
#ifndef HARNESS_REF_DISK_H
#define HARNESS_REF_DISK_H

#include "addcow_fast.h"
#include "workload/operation.h"
#include "addcow_ref.h"

struct ref_disk;

/* Whether files of several TiB can be mapped: not where a sanitizer has taken most of the address space. */
bool ref_disk_maps_large(void);

/* Opens the disk whose metadata file is `path`. On success the caller closes *disk. */
enum addcow_status ref_disk_open(const char *path, bool writable, struct ref_disk **disk, struct addcow_error *error);
void ref_disk_close(struct ref_disk *disk);

/* What the disk is at this moment, valid until the next change. */
const struct addcow_ref *ref_disk_state(const struct ref_disk *disk);

/*
 * Does a request: a flush makes the files durable. ADDCOW_READONLY if it changes something and the disk is not opened
 * writable.
 */
enum addcow_status ref_disk_perform(struct ref_disk *disk, struct operation_request *request);

#endif

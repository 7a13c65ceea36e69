/*
 * The reference engine on files: each file is mapped into memory, and addcow_ref works on the mappings.
 *
 * The opening rules that need files (sections 4 and 13 of the spec) are implemented here independently of fast/, so
 * that the two can be compared. The code is simple, not fast, and assumes that storage does not fail. Not thread-safe.
 */
#ifndef HARNESS_REF_DISK_H
#define HARNESS_REF_DISK_H

#include "addcow_fast.h"
#include "workload/operation.h"
#include "addcow_ref.h"

struct ref_disk;

/*
 * Whether files of several TiB can be mapped, and only the pages touched take memory. Not so with 32-bit addresses,
 * under a sanitizer that occupies most of the address space, or under an emulator that keeps a record of each mapped
 * page.
 */
bool ref_disk_maps_large(void);

/* Opens the disk whose metadata file is `path`. On success the caller closes *disk. */
enum addcow_status ref_disk_open(const char *path, bool writable, struct ref_disk **disk, struct addcow_error *error);
void ref_disk_close(struct ref_disk *disk);

/* The current state of the disk, valid until the next change. */
const struct addcow_ref *ref_disk_state(const struct ref_disk *disk);

/*
 * Performs a request. A flush makes the files durable. Fails with ADDCOW_READONLY if the request changes something and
 * the disk is not opened for writing.
 */
enum addcow_status ref_disk_perform(struct ref_disk *disk, struct operation_request *request);

#endif

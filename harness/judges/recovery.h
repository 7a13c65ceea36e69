/*
 * Writes after a fault: the storage works again, and so must the disk (ERR-03).
 */
#ifndef HARNESS_RECOVERY_H
#define HARNESS_RECOVERY_H

#include "adapters/adapter.h"
#include "workload/stamp.h"

#include <stdio.h>

/* Called for each write that has succeeded. */
typedef void recovery_note(void *context, uint64_t offset, uint64_t length, const uint8_t *bytes);

/*
 * Writes a sector of each of the first clusters of the adapter's open disk, allocated or not. The disk has `size`
 * bytes. Prints the first write that fails; true if there is none.
 */
bool recovery_write(struct adapter *adapter, uint64_t size, uint64_t cluster_size, struct stamp stamp,
                    recovery_note *note, void *context, FILE *out);

#endif

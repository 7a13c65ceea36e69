/*
 * Performs one given operation on an adapter.
 *
 * Each function makes a request (workload/operation.h) and lets the adapter perform it. Errors and thread-safety are
 * those of the adapter (adapter.h).
 */
#ifndef HARNESS_PERFORM_H
#define HARNESS_PERFORM_H

#include "adapters/adapter.h"

/* An operation without data and without an answer. Offset and length are 0 where it has none (operation.h). */
enum addcow_status adapter_perform(struct adapter *adapter, enum operation operation, uint64_t offset, uint64_t length,
                                   struct addcow_error *error);

/* Reads `length` bytes from `offset` on into the buffer. */
enum addcow_status adapter_read(struct adapter *adapter, uint64_t offset, uint64_t length, void *buffer,
                                struct addcow_error *error);

/* Writes `length` bytes of data from `offset` on. */
enum addcow_status adapter_write(struct adapter *adapter, uint64_t offset, uint64_t length, const void *data,
                                 struct addcow_error *error);

/* Whether the disk is allocated at `offset`, and for how many bytes, at most `length`, that holds. */
enum addcow_status adapter_map(struct adapter *adapter, uint64_t offset, uint64_t length, bool *allocated,
                               uint64_t *map_length, struct addcow_error *error);

/*
 * Closes the disk and opens it again for writing. *open: whether it is open now. Returns the failure of the open, else
 * that of the close.
 */
enum addcow_status adapter_reopen(struct adapter *adapter, const char *path, bool *open, struct addcow_error *error);

enum addcow_status adapter_flush(struct adapter *adapter, struct addcow_error *error);

#endif

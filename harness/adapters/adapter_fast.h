/*
 * The adapter of the production engine: its state, for the other adapters, and requests on a disk without an adapter.
 */
#ifndef HARNESS_ADAPTER_FAST_H
#define HARNESS_ADAPTER_FAST_H

#include "adapters/adapter.h"

struct fast_adapter {
    struct adapter adapter;
    struct addcow_storage *storage; /* null: POSIX files */
    struct addcow *disk;            /* null: not open */
};

/* Performs a request with the function of addcow_fast.h of the same name. */
enum addcow_status adapter_fast_request(struct addcow *disk, struct operation_request *request,
                                        struct addcow_error *error);

#endif

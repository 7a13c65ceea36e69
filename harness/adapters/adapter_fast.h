/*
 * The state of the adapter of the production engine. Private to the adapters.
 */
#ifndef HARNESS_ADAPTER_FAST_H
#define HARNESS_ADAPTER_FAST_H

#include "adapters/adapter.h"

struct fast_adapter {
    struct adapter adapter;
    struct addcow_storage *storage; /* null: POSIX files */
    struct addcow *disk;            /* null: not open */
};

#endif

/*
 * The adapter "fast" with the production engine compiled for the deterministic scheduler (sched/sched.h).
 *
 * The source is adapter_fast.c; the build prefixes its names.
 */
#ifndef HARNESS_ADAPTER_SCHEDULED_H
#define HARNESS_ADAPTER_SCHEDULED_H

#include "adapters/adapter.h"

struct adapter *sched_adapter_make_fast(struct addcow_storage *storage);

/*
 * The name of a lock or condition of the open disk or of a lower one, such as "allocation". Null for any other object.
 * Static storage.
 */
const char *sched_adapter_lock_name(const struct adapter *adapter, const void *object);

#endif

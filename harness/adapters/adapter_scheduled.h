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

/* What a step of the scheduler is on, if it matters to the protocol of proofs/model. */
enum engine_object {
    ENGINE_OTHER,
    ENGINE_ALLOCATION, /* the lock, or its condition */
    ENGINE_FLUSHING,   /* likewise */
    ENGINE_WORD,       /* of the bitmap: the first one of a block */
    ENGINE_LOST        /* that a sync of the image has failed */
};

/* The same, of the open disk itself. */
enum engine_object sched_adapter_object(const struct adapter *adapter, const void *object);

/* The state of the open disk that the protocol is about. Masks have a bit for each of the first 64 clusters. */
struct engine_state {
    uint64_t bits; /* of the bitmap in memory */
    bool loaded;   /* it is there; otherwise it is that of the file */
    uint64_t flight;
    bool dirty; /* the first block */
    bool running;
    uint64_t started;
    bool lost;
};
void sched_adapter_state(const struct adapter *adapter, struct engine_state *state);

#endif

/*
 * The gate: requests come in side by side, whole-disk operations alone (CON-09).
 *
 * To come in, a request counts itself in the stripe of its thread and then looks whether a whole-disk operation wants
 * to be alone; that one raises its flag and then waits until every stripe is 0. As both do the first before the second,
 * sequentially consistent, at least one of them sees the other: the request then steps back and waits. So in the
 * ordinary case a request takes no lock, and touches no cache line that another thread writes.
 */
#include "addcow_disk.h"

#include <assert.h>

void addcow_quiesce_init(struct addcow_quiesce *quiesce)
{
    sync_mutex_init(&quiesce->lock);
    sync_cond_init(&quiesce->changed);
}

void addcow_quiesce_destroy(struct addcow_quiesce *quiesce)
{
    sync_cond_destroy(&quiesce->changed);
    sync_mutex_destroy(&quiesce->lock);
}

void addcow_quiesce_wait(struct addcow_quiesce *quiesce)
{
    sync_lock(&quiesce->lock);
    while (sync_load(&quiesce->quiesced)) {
        sync_wait(&quiesce->changed, &quiesce->lock);
    }
    sync_unlock(&quiesce->lock);
}

void addcow_quiesce_wake(struct addcow_quiesce *quiesce)
{
    sync_lock(&quiesce->lock);
    sync_broadcast(&quiesce->changed);
    sync_unlock(&quiesce->lock);
}

void addcow_quiesce_begin(struct addcow_quiesce *quiesce)
{
    sync_lock(&quiesce->lock);
    while (sync_load(&quiesce->quiesced)) {
        sync_wait(&quiesce->changed, &quiesce->lock);
    }
    sync_store(&quiesce->quiesced, 1);
    /* A stripe that was 0 once has no request inside any more: who comes now sees the flag and steps back. */
    for (unsigned i = 0; i < ADDCOW_QUIESCE_STRIPES; i++) {
        while (sync_load(&quiesce->stripes[i].requests) != 0) {
            sync_wait(&quiesce->changed, &quiesce->lock);
        }
    }
    sync_unlock(&quiesce->lock);
}

void addcow_quiesce_end(struct addcow_quiesce *quiesce)
{
    sync_lock(&quiesce->lock);
    assert(sync_load(&quiesce->quiesced));
    sync_store(&quiesce->quiesced, 0);
    sync_broadcast(&quiesce->changed);
    sync_unlock(&quiesce->lock);
}

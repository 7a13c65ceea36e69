/*
 * Quiescing: requests run side by side, a resize or a commit alone (CON-09).
 *
 * A request counts itself in the stripe of its thread, and then checks whether the disk is quiesced. A whole-disk
 * operation sets the flag `quiesced`, and then waits until the request count of every stripe is 0. Both store first and
 * load second, sequentially consistent, so at least one of them sees the other; the request then takes itself out of
 * the count and waits. So a request usually takes no lock and touches no cache line that another thread writes.
 */
#include "addcow_quiesce.h"

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
    /* A stripe whose count was 0 once stays without requests: a new one sees the flag and waits. */
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

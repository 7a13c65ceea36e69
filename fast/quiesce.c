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

void addcow_gate_init(struct addcow_gate *gate)
{
    sync_mutex_init(&gate->lock);
    sync_cond_init(&gate->changed);
}

void addcow_gate_destroy(struct addcow_gate *gate)
{
    sync_cond_destroy(&gate->changed);
    sync_mutex_destroy(&gate->lock);
}

void addcow_gate_wait(struct addcow_gate *gate)
{
    sync_lock(&gate->lock);
    while (sync_load(&gate->exclusive)) {
        sync_wait(&gate->changed, &gate->lock);
    }
    sync_unlock(&gate->lock);
}

void addcow_gate_wake(struct addcow_gate *gate)
{
    sync_lock(&gate->lock);
    sync_broadcast(&gate->changed);
    sync_unlock(&gate->lock);
}

void addcow_gate_enter_exclusive(struct addcow_gate *gate)
{
    sync_lock(&gate->lock);
    while (sync_load(&gate->exclusive)) {
        sync_wait(&gate->changed, &gate->lock);
    }
    sync_store(&gate->exclusive, 1);
    /* A stripe that was 0 once has no request inside any more: who comes now sees the flag and steps back. */
    for (unsigned i = 0; i < ADDCOW_GATE_STRIPES; i++) {
        while (sync_load(&gate->stripes[i].inside) != 0) {
            sync_wait(&gate->changed, &gate->lock);
        }
    }
    sync_unlock(&gate->lock);
}

void addcow_gate_leave_exclusive(struct addcow_gate *gate)
{
    sync_lock(&gate->lock);
    assert(sync_load(&gate->exclusive));
    sync_store(&gate->exclusive, 0);
    sync_broadcast(&gate->changed);
    sync_unlock(&gate->lock);
}

/*
 * Requests that run side by side, and what has to run alone meanwhile (quiesce.c).
 *
 * A disk has one, for resize and commit (CON-09), and so has a file whose transfers bypass the cache (direct.c).
 */
#ifndef ADDCOW_QUIESCE_H
#define ADDCOW_QUIESCE_H

#include "addcow_sizes.h"
#include "addcow_sync.h"

/*
 * How many requests are running, and whether one that runs alone has quiesced the others or waits for the last of them
 * to end. Requests are counted in stripes of one cache line each, so that threads do not compete for one.
 */
struct addcow_quiesce {
    struct {
        sync_u64 requests;
        uint8_t padding[64 - sizeof(sync_u64)];
    } stripes[ADDCOW_QUIESCE_STRIPES];
    sync_u64 quiesced; /* 0 or 1; written under the lock */
    sync_mutex lock;
    sync_cond changed;
};

void addcow_quiesce_init(struct addcow_quiesce *quiesce);
void addcow_quiesce_destroy(struct addcow_quiesce *quiesce);

/* Holds new requests back and waits for the running ones. One caller at a time; others wait. */
void addcow_quiesce_begin(struct addcow_quiesce *quiesce);
void addcow_quiesce_end(struct addcow_quiesce *quiesce);

/* The slow paths of the two functions below: waits while the disk is quiesced; wakes who waits for the last request. */
void addcow_quiesce_wait(struct addcow_quiesce *quiesce);
void addcow_quiesce_wake(struct addcow_quiesce *quiesce);

static inline void addcow_request_end(struct addcow_quiesce *quiesce, unsigned stripe)
{
    sync_subtract(&quiesce->stripes[stripe].requests, 1);
    if (sync_load(&quiesce->quiesced)) {
        addcow_quiesce_wake(quiesce);
    }
}

/* Counts a request. Returns its stripe, for addcow_request_end. Inline: it is on the path of every small request. */
static inline unsigned addcow_request_begin(struct addcow_quiesce *quiesce)
{
    unsigned stripe = sync_thread_number() % ADDCOW_QUIESCE_STRIPES;
    for (;;) {
        sync_add(&quiesce->stripes[stripe].requests, 1);
        if (!sync_load(&quiesce->quiesced)) {
            return stripe;
        }
        addcow_request_end(quiesce, stripe);
        addcow_quiesce_wait(quiesce);
    }
}

#endif

/*
 * What an implementation shows of its disk at a moment of rest: every byte, and the status of every cluster.
 */
#ifndef HARNESS_VIEW_H
#define HARNESS_VIEW_H

#include "adapters/adapter.h"
#include "judges/oracle.h"

struct view {
    uint64_t size;      /* of the disk, in bytes */
    uint8_t *bytes;     /* owned; size bytes */
    uint64_t clusters;  /* of the disk */
    uint8_t *allocated; /* owned; one byte a cluster: 0 or 1 */
};

/*
 * Asks the adapter's open disk, whose size must be `size`, for everything. False, with a message, if a request fails or
 * an answer contradicts itself; nothing is to be freed then.
 */
bool view_take(struct adapter *adapter, uint64_t size, uint64_t cluster_size, struct view *view, FILE *out);
void view_free(struct view *view);

/* Compares everything with the oracle, and prints the first difference: true if there is none. */
bool view_judge(const struct view *view, const struct oracle *oracle, FILE *out);

#endif

/*
 * A snapshot of a disk at rest, as an implementation shows it: every byte, and the status of every cluster.
 */
#ifndef HARNESS_SNAPSHOT_H
#define HARNESS_SNAPSHOT_H

#include "judges/execution.h"
#include "judges/oracle.h"

struct snapshot {
    uint64_t size;      /* of the disk, in bytes */
    uint8_t *bytes;     /* owned; size bytes */
    uint64_t clusters;  /* of the disk */
    uint8_t *allocated; /* owned; one byte a cluster: 0 or 1 */
};

/*
 * Reads and maps all of the execution's open disk, whose size must be `size`. False, with a message and nothing to
 * free, if a request fails or an answer contradicts itself.
 */
bool snapshot_take(struct execution *execution, uint64_t size, uint64_t cluster_size, struct snapshot *snapshot,
                   FILE *out);
void snapshot_free(struct snapshot *snapshot);

/* Compares everything with the oracle, and prints the first difference: true if there is none. */
bool snapshot_judge(const struct snapshot *snapshot, const struct oracle *oracle, FILE *out);

#endif

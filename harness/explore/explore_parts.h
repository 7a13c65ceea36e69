/*
 * What the parts of the explorer share: explore.c and explore_end.c. Private to them.
 */
#ifndef HARNESS_EXPLORE_PARTS_H
#define HARNESS_EXPLORE_PARTS_H

#include "base/scratch.h"
#include "explore/explore.h"
#include "judges/crash.h"

struct explore {
    const struct trace *trace;
    struct explore_options options;
    struct sim *sim;
    struct adapter *adapter;
    struct fault_injection fault;
    struct sim *crashed;         /* what is durable after a fault; null without */
    struct crash_judge *crashes; /* null if there are none */
    struct random random;
    char directory[SCRATCH_PATH_BYTES]; /* where history.h finds the files; "" if there is no commit */
    struct sched_run scheduled;
    uint64_t answers;         /* of the last run, and their order, as a hash */
    uint64_t fingerprint;     /* that of its steps too */
    uint64_t wrong_byte;      /* a byte of the disk, or UINT64_MAX */
    uint64_t horizon;         /* crashes are judged up to this moment: before what follows a fault */
    struct crash_span *spans; /* of the operations, on the storage's clock */
};

/* ---- explore_end.c: each prints what is wrong; true if nothing is ---- */

/*
 * The storage works again after a fault: so must the disk. It is written and flushed, and all of it is durable, unless
 * a sync of the image has failed (ERR-03, DUR-06, DUR-07). Nothing without a fault.
 */
bool explore_judge_recovery(const struct explore *explore, struct oracle *oracle, FILE *out);

/* Closes the disk. The close must succeed and leave no file open, and the files must equal the oracle (DUR-10). */
bool explore_judge_close(struct explore *explore, const struct oracle *oracle, FILE *out);

/*
 * Judges some crashes, if any are to be judged: after each flush that returned, with only the synced data; and at
 * moments that the schedule determines, with only the synced data or with any part of the rest.
 */
bool explore_judge_crashes(struct explore *explore, struct explore_counts *counts, FILE *out);

#endif

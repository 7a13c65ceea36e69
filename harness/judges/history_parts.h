/*
 * What the parts of the judge of concurrent phases (history.h) share. Private to history*.c.
 *
 * A resize or a commit excludes all other requests while it works (CON-09), so it takes effect at one moment for all of
 * them. The judge supposes one order of these "exclusive" operations, and for each the moment of the execution's clock
 * after which it took effect. They divide the phase into epochs; in each epoch the disk has one size. Under such a
 * supposition everything else is judged exactly. The phase conforms if it does under one supposition.
 *
 * Moments here are those of the execution's clock, scaled so that the moments of exclusive operations lie between them.
 */
#ifndef HARNESS_HISTORY_PARTS_H
#define HARNESS_HISTORY_PARTS_H

#include "judges/history.h"
#include "judges/snapshot.h"

#define HISTORY_SECTOR 512u
#define HISTORY_NONE UINT32_MAX
#define HISTORY_AT_REST (UINT64_MAX - 1) /* the moment of the snapshot; UINT64_MAX: never */

/* A resize or commit that succeeded. */
struct exclusive {
    uint32_t operation;
    bool is_commit;
    uint64_t after;  /* the moment of the execution's clock after which it is supposed to take effect */
    uint64_t moment; /* that, scaled: it takes effect between this and the next one */
    uint64_t old_size;
    uint64_t new_size;
};

/* A request on bytes [begin, end), not empty, that succeeded or may have had an effect. */
struct access {
    uint32_t operation;
    uint64_t begin;
    uint64_t end;
    uint64_t invoked; /* the request took effect between these two */
    uint64_t returned;
    bool is_write;
    bool may_be_lost; /* a write that failed */
};

/* The effect of a write on one fragment, in witness order. */
struct witness_write {
    uint64_t begin;
    uint64_t end;
    uint32_t operation; /* HISTORY_NONE: not known; the content at rest is taken over */
    uint32_t epoch;
};

struct history {
    const struct execution *execution;
    const struct trace *trace;
    struct oracle *oracle;
    const char *directory; /* of the files */
    uint32_t begin;
    uint32_t end;
    uint64_t old_size;
    uint64_t larger_size; /* the largest of all */
    struct snapshot snapshot;
    struct exclusive *exclusives; /* in the order that is supposed */
    uint32_t exclusive_count;
    uint64_t scale;
    uint32_t commits;   /* that succeeded */
    bool streamed;      /* a stream succeeded */
    bool commit_failed; /* a commit did, and may have changed the backing file under allocated clusters */
    bool flag_known;    /* "all allocated" does not follow from the phase, but was read from the disk: */
    bool flag;          /* this */
    uint8_t *initial;   /* larger_size bytes: virt at the start, zeros behind it */
    uint8_t *committed; /* after a commit: larger_size bytes, the backing file's contents and zeros behind them */
    /* What one supposition leads to. */
    FILE *out;
    struct history_counts counts;
    struct access *accesses;
    uint32_t access_count;
    struct witness_write *witness;
    size_t witness_count;
    size_t witness_room;
};

const struct execution_record *history_record(const struct history *history, uint32_t operation);

/* Whether the storage failed, and an operation with it. */
bool history_has_failed(const struct history *history, uint32_t operation);

/* Prints that a status is wrong; returns false. */
bool history_wrong_status(const struct history *history, uint32_t operation, const char *expected);

/* The epoch that a scaled moment lies in: how many exclusive operations came before. */
uint32_t history_epoch(const struct history *history, uint64_t moment);
uint64_t history_size(const struct history *history, uint32_t epoch);

/*
 * Finds between which scaled moments an operation took effect, by its status and the sizes of the disk. False if there
 * are none. Where it fits into the disk before a shrink and after a growth but not between, the time between is
 * included.
 */
bool history_place(const struct history *history, uint32_t operation, uint64_t *invoked, uint64_t *returned);

/* history_statuses.c: judges all statuses. */
bool history_judge_statuses(const struct history *history);

/* Lists the reads and writes that succeeded or may have done something, with the moments between which they did. */
void history_list_accesses(struct history *history);

/* history_clusters.c: whether "all allocated" may be, or is surely, set just before a scaled moment. */
bool history_flag_may_be_set(const struct history *history, uint64_t moment);
bool history_flag_is_set(const struct history *history, uint64_t moment);

/*
 * Prints that a cluster cannot have a status: one that `operation` reports or, if HISTORY_NONE, at rest. Returns false.
 */
bool history_impossible_status(const struct history *history, uint32_t operation, uint64_t cluster, bool allocated);

/* Judges all maps, the statuses at rest, and those of commits. */
bool history_judge_clusters(const struct history *history);

/* history_sectors.c: judges all contents; makes the witness order. */
bool history_judge_sectors(struct history *history);

/*
 * history_replay.c: leads the oracle through the phase, and compares. If another supposition may follow, it works on a
 * copy, and the oracle becomes that copy only if nothing is wrong.
 */
bool history_replay(struct history *history);

#endif

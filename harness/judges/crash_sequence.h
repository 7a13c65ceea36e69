/*
 * Every crash of a sequence of operations, with one thread.
 */
#ifndef HARNESS_CRASH_SEQUENCE_H
#define HARNESS_CRASH_SEQUENCE_H

#include "judges/crash.h"

/*
 * Does one operation that changes the disk, or a flush, or closes and opens it, as operation `index`; reads and maps do
 * nothing.
 */
enum addcow_status crash_perform(struct adapter *adapter, const struct trace_operation *operation, uint32_t index,
                                 struct addcow_error *error);

struct crash_options {
    bool deaths;     /* also of a process that dies at any of its calls, and another one that goes on (DUR-12) */
    bool second;     /* from each state the disk is used and crashes again */
    uint64_t states; /* at a moment; 0: all. Beyond that many, as many again are chosen by chance */
};

struct crash_counts {
    uint64_t sequences;
    uint64_t deaths;
    uint64_t moments;
    uint64_t sampled; /* of the moments: not all states were judged */
    uint64_t states;
    uint64_t second_states; /* of a second crash, in the first use after the first one */
};

/*
 * Does the operations of a trace with one thread and judges crashes. At which moments: before everything that makes
 * something durable, and at the end; as writes in between only add to what may have reached the disk, that covers all
 * others. In which states: every state of the metadata file and every length of the files, and with each, every version
 * of every sector of image and backing file, one at a time, since what a sector of the disk reads as depends on the
 * metadata and on its own sectors of image and backing file only.
 */
bool crash_sequence(const struct trace *trace, const struct crash_options *options, struct crash_counts *counts,
                    FILE *out);

/* Judges the state after one crash of `subject`; `complete` if it came when all had been done. */
typedef bool crash_state_judge(const void *subject, struct sim *crashed, bool complete, FILE *out);

/* Every state that a crash at any moment of what `sim` has recorded may leave. Explains the first one that is wrong. */
bool crash_every_state(const struct sim *sim, const struct sim_crash_options *options, crash_state_judge *judge,
                       const void *subject, struct crash_counts *counts, FILE *out);

#endif

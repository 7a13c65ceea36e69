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

/*
 * Whether a resize in which the process died has changed the size; either is right (DUR-11). Another process has opened
 * the disk. False for other operations.
 */
bool crash_has_resized(struct adapter *adapter, const struct trace_operation *operation);

struct crash_options {
    bool deaths;     /* also let the process die at each of its calls, and another one continue (DUR-12) */
    bool second;     /* use the disk in each state, and crash it again */
    uint64_t states; /* judged at a moment; 0: all. If there are more, as many again are chosen at random */
};

struct crash_counts {
    uint64_t sequences;
    uint64_t deaths;
    uint64_t moments;
    uint64_t sampled; /* of the moments: those of which not all states were judged */
    uint64_t states;
    uint64_t second_states; /* after a second crash, in the first use after the first one */
};

/*
 * Executes a trace with one thread and judges crashes.
 *
 * Moments: before everything that makes something durable, and at the end. The writes in between only add to what may
 * have reached the disk, so these moments cover all others.
 *
 * States: every state of the metadata file and every length of the files; and with each of them every version of every
 * sector of image and backing file, one at a time. A sector of the disk depends only on the metadata and on its own
 * sectors of image and backing file.
 */
bool crash_sequence(const struct trace *trace, const struct crash_options *options, struct crash_counts *counts,
                    FILE *out);

/*
 * Judges crashes of an execution of the judge's trace whose storage calls are in the log of `from`: at the moments, and
 * in the states, that crash_sequence judges. The spans are those of crash_judge. Stops at the first wrong state, and
 * stores its moment in *wrong, which may be null.
 */
bool crash_judge_log(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                     const struct crash_options *options, struct crash_counts *counts, uint64_t *wrong, FILE *out);

/* Judges the state after one crash of `subject`. `complete`: the crash came after the end. */
typedef bool crash_state_judge(const void *subject, struct sim *crashed, bool complete, FILE *out);

/* Judges every state after a crash at any moment of the log of `sim`. Prints the first one that is wrong. */
bool crash_every_state(const struct sim *sim, const struct sim_crash_options *options, crash_state_judge *judge,
                       const void *subject, struct crash_counts *counts, FILE *out);

#endif

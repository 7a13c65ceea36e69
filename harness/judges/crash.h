/*
 * The crash judge: what is on the disk after a power failure must be a disk that the durability clauses allow.
 *
 * The crashed files are opened with the production engine and with the reference engine; both must accept them and read
 * the same (DUR-11). Then, sector by sector: what a flush that returned has made durable is there, or something that
 * was written later; what was never written is as it was (DUR-01, DUR-02). The size is one that the disk had since then
 * (DUR-11).
 */
#ifndef HARNESS_CRASH_H
#define HARNESS_CRASH_H

#include "adapters/adapter.h"
#include "storage/sim_crash.h"
#include "workload/trace.h"

#include <stdio.h>

/* When an operation was in progress. */
struct crash_span {
    uint64_t begin; /* moments of the storage (sim_moment); UINT64_MAX: not yet */
    uint64_t end;
    uint64_t invoked; /* moments of the run's clock (run.h), each occurring once; UINT64_MAX: not yet */
    uint64_t returned;
    enum addcow_status status;
};

struct crash_judge;

/* Prepares for crashes of a trace, which must live as long. The caller frees. */
struct crash_judge *crash_make(const struct trace *trace);
void crash_free(struct crash_judge *judge);

/*
 * Judges one crash of `from`, whose kept state is the trace's disk at the start, at a moment, in the state that the
 * choices choose. spans[0, trace->count) are the operations', and spans[trace->count] that of the close. Prints what is
 * wrong; true if nothing is.
 */
bool crash_judge(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans, uint64_t moment,
                 struct choices *choices, FILE *out);

/* Whether an operation, if it succeeds, makes durable what was done before it (DUR-01, DUR-10). */
bool crash_is_flush(const struct trace_operation *operation);

/* The first byte of the disk that the last crash was judged wrong for; UINT64_MAX if it is none in particular. */
uint64_t crash_guilty(const struct crash_judge *judge);

/* ---- Every crash of a sequence of operations ---- */

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

/* crash_sequence for every sequence of 1..length operations from a fixed alphabet. Prints the failing trace too. */
bool bounded_crash_check(const struct trace_disk *disk, uint32_t length, const struct crash_options *options,
                         struct crash_counts *counts, FILE *out);

/*
 * Makes the sequence number `number`, from 0 on, of `length` operations from that alphabet; false if there are fewer.
 * After a shrink, some requests are outside of the disk, and refused.
 */
bool bounded_crash_check_trace(const struct trace_disk *disk, uint32_t length, uint32_t number, struct trace *trace);

/* Prints the alphabet for a disk, one operation a line, behind "# ". */
void crash_print_alphabet(const struct trace_disk *disk, FILE *out);

/* ---- What else writes files ---- */

/* Judges the state after one crash of `subject`; `complete` if it came when all had been done. */
typedef bool crash_state_judge(const void *subject, struct sim *crashed, bool complete, FILE *out);

/* Every state that a crash at any moment of what `sim` has recorded may leave. Explains the first one that is wrong. */
bool crash_every_state(const struct sim *sim, const struct sim_crash_options *options, crash_state_judge *judge,
                       const void *subject, struct crash_counts *counts, FILE *out);

struct crash_creation {
    enum addcow_layout layout;
    bool has_backing;
    bool make_image;
    bool replace; /* a disk of the same layout */
};

/*
 * Creates a disk and judges crashes, at every moment: after each the disk is not there, or complete, and its image is
 * as it was or complete (CRE-01, CRE-04); one that is replaced is as it was, or the new one.
 */
bool crash_create(const struct crash_creation *how, struct crash_counts *counts, FILE *out);

/* The same for all ways to create a disk. */
bool crash_every_creation(struct crash_counts *counts, FILE *out);

/* What is wrong with a bitmap; added to one another. */
enum crash_damage {
    CRASH_STRAY_BITS = 1,  /* bits past the last cluster are set (BMP-05) */
    CRASH_SHORT_FILE = 2,  /* the padding is missing, which r9 does not have (BMP-04) */
    CRASH_CLEAR_BITS = 4,  /* bits are clear although all is allocated (VRT-05) */
    CRASH_PADDING_USED = 8 /* bits in the last sector of the padding, or behind what is needed in r9 */
};

/*
 * Damages a disk, repairs it and judges crashes, at every moment: after each, both engines open the disk and read what
 * they read before, and a second repair finishes and leaves nothing broken (CHK-02).
 */
bool crash_repair(const struct trace_disk *disk, unsigned damage, struct crash_counts *counts, FILE *out);

/*
 * The same for all damages that are possible, of disks in both layouts whose bitmap has a byte in use, or several; and
 * for a shrink in which a process has died (DUR-12).
 */
bool crash_every_repair(struct crash_counts *counts, FILE *out);

#endif

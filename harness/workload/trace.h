/*
 * Traces: the one representation of a workload.
 *
 * A trace consists of an initial disk and a list of operations, each with its thread. The hunt, the judges, the fuzz
 * targets and the regressions all use traces. A trace has a compact binary form, in which nearly every byte string is
 * valid, and a text form for people. Each converts exactly into the other.
 *
 * The operations of one thread run one after the other; those of different threads overlap freely between two barriers.
 * The operations between two barriers are a phase. Operation i writes the data of the stamp {STAMP_WRITE, i} (stamp.h).
 */
#ifndef HARNESS_TRACE_H
#define HARNESS_TRACE_H

#include "workload/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_THREADS_MAX 16u
#define TRACE_OPERATIONS_MAX 4096u
#define TRACE_CHAIN_MAX 3u                  /* add-cow files below the disk itself */
#define TRACE_SIZE_MAX ((uint64_t)64 << 20) /* bytes of disk or backing file that a trace may have or resize to */
#define TRACE_SEED_MAX 0xFFFFu
#define TRACE_BLOCK 4096u
#define TRACE_NEAR_MAX 0xFFFFFFFFu /* see struct trace_operation */
#define TRACE_FAR_MIN 0xFFFFFFFF00000000u

/* What a trace has besides operations (operation.h). */
enum trace_control {
    TRACE_REOPEN = OPERATIONS, /* close, then open again */
    TRACE_BARRIER,             /* every thread waits here for every other; thread is 0 */
    TRACE_KINDS
};

/* Which clusters are allocated at the start. */
enum trace_allocation {
    TRACE_NONE_ALLOCATED,
    TRACE_SOME_ALLOCATED, /* about half of them, chosen by the seed */
    TRACE_EVERY_ALLOCATED,
    TRACE_ALL_ALLOCATED, /* every one, and the header's flag "all allocated"; not in layout r9 */
    TRACE_ALLOCATIONS
};

/*
 * The disk at the start. Its image file is full of the stamp {STAMP_IMAGE, seed}, in unallocated clusters too, so that
 * a byte that must not be read is recognised. Its backing contents are the stamp {STAMP_BACKING, seed}. Both have
 * holes, by the seed (disk_contents.h).
 */
struct trace_disk {
    uint32_t layout;         /* enum addcow_layout */
    uint32_t cluster_bits;   /* 12..21; 16 in layout r9 */
    uint64_t size;           /* bytes, at most TRACE_SIZE_MAX */
    bool has_backing;        /* always in layout r9 */
    uint64_t backing_size;   /* bytes, at most TRACE_SIZE_MAX; 0 without a backing file */
    uint32_t chain;          /* 0: the backing file is raw; n: it is an add-cow disk with n - 1 more below it */
    uint32_t allocation;     /* enum trace_allocation */
    bool unknown_compatible; /* the header has unknown compatible feature bits; not in layout r9 */
    uint32_t seed;           /* at most TRACE_SEED_MAX */
};

/*
 * One operation. Offset and length are unused, and 0, where the kind has none; the offset of a resize is the new size.
 * Each is at most TRACE_NEAR_MAX or at least TRACE_FAR_MIN: in reach of the disk, or where sums wrap around.
 */
struct trace_operation {
    uint32_t kind;   /* enum operation or enum trace_control */
    uint32_t thread; /* below the trace's threads */
    uint64_t offset; /* bytes */
    uint64_t length; /* bytes */
};

struct trace {
    struct trace_disk disk;
    uint32_t threads; /* 1..TRACE_THREADS_MAX */
    uint32_t count;   /* operations, barriers included; at most TRACE_OPERATIONS_MAX */
    struct trace_operation operations[TRACE_OPERATIONS_MAX];
};

/* The keyword of a kind, such as "write" or "barrier". Static storage. */
const char *trace_kind_name(uint32_t kind);

/* Null if the trace is valid, else a description of the first broken rule above. Static storage. */
const char *trace_problem(const struct trace *trace);

/* Appends an operation, if there is room. */
void trace_add(struct trace *trace, uint32_t thread, uint32_t kind, uint64_t offset, uint64_t length);

bool trace_equal(const struct trace *left, const struct trace *right);

/* The index after the last operation of the phase that begins at `begin`: that of a barrier or `count`. */
uint32_t trace_phase_end(const struct trace *trace, uint32_t begin);

/* Whether the operations [begin, end) belong to more than one thread. */
bool trace_phase_is_concurrent(const struct trace *trace, uint32_t begin, uint32_t end);

/* The largest size that the disk may have during the trace: the first one, or that of a resize. */
uint64_t trace_capacity(const struct trace *trace);

/* ---- Binary form: a header of TRACE_HEADER_BYTES, then TRACE_OPERATION_BYTES an operation ---- */

#define TRACE_HEADER_BYTES 16u
#define TRACE_OPERATION_BYTES 10u
#define TRACE_BINARY_MAX (TRACE_HEADER_BYTES + TRACE_OPERATIONS_MAX * TRACE_OPERATION_BYTES)

/*
 * Decodes any bytes: false if there are fewer than TRACE_HEADER_BYTES, else *trace is a trace without problem. Values
 * out of range are reduced. An incomplete last record and operations beyond the limit are ignored.
 */
bool trace_decode(const uint8_t *bytes, size_t length, struct trace *trace);

/*
 * Encodes a trace without problem: returns the number of bytes, at most TRACE_BINARY_MAX. Decoding them gives the same
 * trace.
 */
size_t trace_encode(const struct trace *trace, uint8_t bytes[TRACE_BINARY_MAX]);

/* ---- Text form: see the top of trace_text.c ---- */

#define TRACE_FIRST_LINE "add-cow trace 2" /* the format and its version */

void trace_print(FILE *out, const struct trace *trace);

/* The same without the first line. */
void trace_print_body(FILE *out, const struct trace *trace);

/* Prints one operation as trace_print does, without its line's end. */
void trace_print_operation(FILE *out, const struct trace_operation *operation);

/*
 * Other keywords of a text: what else it says beside the trace. They stand before the first operation, as the trace's
 * own do. `parse` gets the words of such a line. It returns null if the line is valid, else the error, which is valid
 * until its next call.
 */
struct trace_keywords {
    const char *(*parse)(void *context, unsigned line, char *const *words, unsigned count);
    void *context;
};

/*
 * Parses the text form. `keywords` may be null: then there are no others. False, with "LINE: what is wrong" in `error`,
 * if it is not the text of a trace without problem; *trace is then unspecified.
 */
bool trace_parse(FILE *in, struct trace *trace, const struct trace_keywords *keywords, char *error, size_t error_size);

#endif

/*
 * What the disk may hold in an execution with a fault.
 *
 * The disk is cut into fragments: ranges within a sector that each operation covers whole or not at all. For each
 * fragment a set of possible contents is kept. An operation that succeeds leaves one; one that fails adds one (ERR-02).
 */
#ifndef HARNESS_FAULT_CONTENTS_H
#define HARNESS_FAULT_CONTENTS_H

#include "workload/trace.h"

/* The possible contents: that of each operation, by its number, and these. */
#define FAULT_OPERATIONS_MAX 60u
#define FAULT_START 60u /* the content at the start */
#define FAULT_ZERO 61u
#define FAULT_AFTER 62u /* what is written after the fault */
#define FAULT_FRAGMENTS_MAX 8192u

struct fault_fragment {
    uint64_t begin; /* bytes of the disk */
    uint64_t end;
    uint64_t possible; /* a bit for each content */
    uint64_t since;    /* and for each that was possible since the last flush that succeeded, and at it */
};

struct fault_contents {
    const struct trace *trace;
    uint8_t *start; /* owned: what the disk reads as at the start, and zeros behind it */
    uint64_t start_size;
    uint64_t size; /* of the disk now */
    uint32_t count;
    struct fault_fragment fragments[FAULT_FRAGMENTS_MAX];
};

/* Returns to the start of the trace. */
void fault_contents_begin(struct fault_contents *contents);

/* Notes that [begin, end) has one content now, or may have one more. */
void fault_contents_change(struct fault_contents *contents, uint64_t begin, uint64_t end, uint32_t content,
                           bool success);

/* Notes that the disk has a new size; what a growth brings is zero. */
void fault_contents_resize(struct fault_contents *contents, uint64_t size);

/* Notes what operation `index` did. */
void fault_contents_operation(struct fault_contents *contents, uint32_t index, bool success);

/* Notes that a flush has succeeded: what was before it does not come back. */
void fault_contents_flush(struct fault_contents *contents);

/* Notes that all that was not flushed may be lost. */
void fault_contents_lose(struct fault_contents *contents);

/* Judges all bytes of the disk. Prints, behind `when`, the first that cannot be; true if there is none. */
bool fault_contents_judge(const struct fault_contents *contents, const uint8_t *bytes, const char *when,
                          const char *clause, FILE *out);

#endif

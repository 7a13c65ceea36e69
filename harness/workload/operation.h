/*
 * Operations: the requests that a disk which is open can be asked.
 *
 * This table says what there is to know about an operation: its name, its operands, its answer, what it changes.
 * Traces, the protocol of corpus/PROTOCOL.md, conformance cases, adapters and judges read it, and none of them has a
 * list of its own. What they know besides are steps of their own kind, numbered from OPERATIONS on: a trace has
 * barriers and reopens (trace.h), the protocol opens and closes disks (protocol.h), a case looks at files (corpus.h).
 * So one number says which operation or other step a record is about.
 *
 * Thread-safety: all is constant.
 */
#ifndef HARNESS_OPERATION_H
#define HARNESS_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

enum operation {
    OPERATION_READ,
    OPERATION_WRITE,
    OPERATION_ZERO,
    OPERATION_DISCARD,
    OPERATION_MAP,
    OPERATION_FLUSH,
    OPERATION_RESIZE,
    OPERATION_STREAM,
    OPERATION_COMMIT,
    OPERATIONS
};

enum operation_operands {
    OPERANDS_NONE,
    OPERANDS_RANGE, /* an offset and a length, in bytes */
    OPERANDS_SIZE,  /* a new size of the disk, in bytes; it stands where others have their offset */
};

/* Which way the bytes of the range go. */
enum operation_data { DATA_NONE, DATA_TO_DISK, DATA_FROM_DISK };

/* What an operation that succeeds changes. */
enum operation_changes {
    CHANGES_NOTHING,
    CHANGES_RANGE, /* the contents of its range */
    CHANGES_DISK,  /* the whole disk: its size, which file its contents are in */
};

struct operation_properties {
    const char *name; /* as traces, the protocol and cases spell it */
    enum operation_operands operands;
    enum operation_data data;
    enum operation_changes changes;
    bool answers_map;   /* it answers whether its range is allocated, and for how many bytes that holds */
    bool is_exclusive;  /* it takes effect at one moment for the whole disk, beside no other operation (CON-09) */
    bool makes_durable; /* what was done before it survives a power failure */
    bool is_declared;   /* an adapter has it only if it declares it */
};

/* One operation that a disk is asked to do, and its answer. */
struct operation_request {
    enum operation operation;
    uint64_t offset;     /* bytes; the new size of a resize */
    uint64_t length;     /* bytes */
    const void *data;    /* DATA_TO_DISK: `length` bytes; the caller's */
    void *buffer;        /* DATA_FROM_DISK: room for `length` bytes; the caller's */
    bool allocated;      /* the answer, after success, of one that answers_map */
    uint64_t map_length; /* bytes */
};

/* The properties of an operation. Any other number is that of a step without operands which changes nothing. */
const struct operation_properties *operation_properties(uint32_t operation);

/* The operation called `name`; OPERATIONS if there is none. */
uint32_t operation_find(const char *name);

/* Whether an operation has an offset, or a new size in its place. */
static inline bool operation_has_offset(uint32_t operation)
{
    return operation_properties(operation)->operands != OPERANDS_NONE;
}

/* Whether an operation has an offset and a length. */
static inline bool operation_has_range(uint32_t operation)
{
    return operation_properties(operation)->operands == OPERANDS_RANGE;
}

/* Whether an operation may change the contents of its range. */
static inline bool operation_changes_range(uint32_t operation)
{
    return operation_properties(operation)->changes == CHANGES_RANGE;
}

#endif

/*
 * Operations: the requests on an open disk.
 *
 * This table is the only list of operations. It has the name of each operation, its operands, its answer and its
 * effect. Traces, the protocol of corpus/PROTOCOL.md, conformance cases, adapters and judges use it. Some of them have
 * further steps, with numbers from OPERATIONS on: a trace has barriers and reopens (trace.h), the protocol opens and
 * closes disks (protocol.h), a case checks files (corpus.h).
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
    OPERANDS_SIZE,  /* a new size of the disk, in bytes, in the place of the offset */
};

/* The direction in which data is transferred. */
enum operation_data { DATA_NONE, DATA_TO_DISK, DATA_FROM_DISK };

/* The effect of a successful operation. */
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
    bool answers_map;   /* the answer is a status (allocated or not), and for how many bytes it holds */
    bool is_exclusive;  /* it takes effect at one moment for the whole disk (CON-09) */
    bool makes_durable; /* all earlier changes survive a power failure */
    bool is_declared;   /* an adapter has it only if it declares it */
};

/* One request, and its answer. */
struct operation_request {
    enum operation operation;
    uint64_t offset;     /* bytes; the new size of a resize */
    uint64_t length;     /* bytes */
    const void *data;    /* DATA_TO_DISK: `length` bytes; the caller's */
    void *buffer;        /* DATA_FROM_DISK: room for `length` bytes; the caller's */
    bool allocated;      /* the answer, after success, of one that answers_map */
    uint64_t map_length; /* bytes */
};

/* The properties of an operation. Any other number gives the properties of a step without operands and effect. */
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

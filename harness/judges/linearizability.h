/*
 * Is a history of one register linearizable?
 *
 * A register is a sector of a disk, or a part of one that every request covers whole or not at all. The history is
 * linearizable if all its operations can be put in one order, consistent with real time, in which every read returns
 * what the last write before it wrote (CON-02).
 *
 * The check is exact for any values, also where several writes wrote the same one. Its time is linear in the history
 * and, in the worst case, exponential in the number of operations that are in progress at one moment; where every value
 * is written once it explores little more than one state for each operation. It gives up, saying so, beyond
 * LINEARIZABILITY_STATES_MAX states at one moment.
 */
#ifndef HARNESS_LINEARIZABILITY_H
#define HARNESS_LINEARIZABILITY_H

#include <stdbool.h>
#include <stdint.h>

#define LINEARIZABILITY_OPEN_MAX 32u /* operations in progress at one moment */
#define LINEARIZABILITY_STATES_MAX 4096u

struct linearizability_operation {
    uint64_t invoked;  /* moments; no invocation is at the same one as a response, */
    uint64_t returned; /* and invoked < returned */
    uint32_t value;    /* written or read: equal numbers for equal contents */
    bool is_write;
    bool may_be_lost; /* a write that failed: it took effect or not */
};

enum linearizability_verdict { LINEARIZABLE, NOT_LINEARIZABLE, LINEARIZABILITY_UNDECIDED };

struct linearizability_result {
    uint32_t *order;      /* room for `count`; the operations in a witness order, lost writes left out */
    uint32_t ordered;     /* how many of them */
    uint32_t unexplained; /* if impossible: the operation at whose response no order was left */
};

/* Judges a history of operations[0, count) in any order; `initial` is the register's first value. */
enum linearizability_verdict linearizability_check(uint32_t initial, const struct linearizability_operation *operations,
                                                   uint32_t count, struct linearizability_result *result);

#endif

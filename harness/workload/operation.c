/*
 * Operations: the table.
 */
#include "workload/operation.h"

#include <string.h>

static const struct operation_properties table[OPERATIONS + 1] = {
    [OPERATION_READ] = {.name = "read", .operands = OPERANDS_RANGE, .data = DATA_FROM_DISK},
    [OPERATION_WRITE] = {.name = "write",
                         .operands = OPERANDS_RANGE,
                         .data = DATA_TO_DISK,
                         .changes = CHANGES_RANGE,
                         .is_declared = true},
    [OPERATION_ZERO] = {.name = "zero", .operands = OPERANDS_RANGE, .changes = CHANGES_RANGE, .is_declared = true},
    [OPERATION_DISCARD] = {.name = "discard",
                           .operands = OPERANDS_RANGE,
                           .changes = CHANGES_RANGE,
                           .is_declared = true},
    [OPERATION_MAP] = {.name = "map", .operands = OPERANDS_RANGE, .answers_map = true, .is_declared = true},
    [OPERATION_FLUSH] = {.name = "flush", .makes_durable = true, .is_declared = true},
    [OPERATION_RESIZE] = {.name = "resize",
                          .operands = OPERANDS_SIZE,
                          .changes = CHANGES_DISK,
                          .is_exclusive = true,
                          .is_declared = true},
    [OPERATION_STREAM] = {.name = "stream", .changes = CHANGES_DISK, .is_declared = true},
    [OPERATION_COMMIT] = {.name = "commit", .changes = CHANGES_DISK, .is_exclusive = true, .is_declared = true},
    [OPERATIONS] = {.name = ""}, /* other steps */
};

const struct operation_properties *operation_properties(uint32_t operation)
{
    return &table[operation < OPERATIONS ? operation : OPERATIONS];
}

uint32_t operation_find(const char *name)
{
    uint32_t operation = 0;
    while (operation < OPERATIONS && strcmp(table[operation].name, name) != 0) {
        operation++;
    }
    return operation;
}

/*
 * Runs a scenario on an observed implementation, and keeps what happened when.
 */
#ifndef HARNESS_SCENARIO_RUN_H
#define HARNESS_SCENARIO_RUN_H

#include "observe/observed.h"
#include "observe/scenario.h"

#define SCENARIO_OPERATIONS_MAX 16u

/* One execution. The moments in the spans are those of the record: numbers of its entries. */
struct scenario_run {
    enum addcow_status open;
    struct addcow_error error; /* of the open */
    uint64_t opened;           /* entries when the open was answered */
    uint32_t done;             /* operations that were answered before the process ended */
    enum addcow_status statuses[SCENARIO_OPERATIONS_MAX + 1]; /* of each operation, and of the close */
    uint64_t begin[SCENARIO_OPERATIONS_MAX + 1];              /* entries before it was asked */
    uint64_t end[SCENARIO_OPERATIONS_MAX + 1];                /* and when it was answered */
    char messages[SCENARIO_OPERATIONS_MAX + 1][128];
};

/*
 * Opens the disk in observed->directory, does the operations of the trace, and closes the disk. Stops where the process
 * ends or the open fails. watch.request is 0 during the open, i + 1 during operation i, and count + 1 in the close.
 */
void scenario_run(struct observed *observed, const struct trace *trace, struct scenario_run *run);

/* Whether the process of the adapter has ended, hung or broken the protocol; then `why` says how. */
bool scenario_has_ended(const struct observed *observed, char *why, size_t why_size);

/* Prints an operation of the trace as a person would, such as "operation 3, write 512 1024"; the close has the number
 * trace->count. */
void scenario_print_operation(FILE *out, const struct trace *trace, uint32_t index);

#endif

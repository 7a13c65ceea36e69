/*
 * A census of workloads: for each dimension of disk and request, which values occurred, and how often.
 *
 * A value that is in the list and never occurred shows what no judge of a run has seen.
 */
#ifndef HARNESS_CENSUS_H
#define HARNESS_CENSUS_H

#include "workload/trace.h"

#include <stdio.h>

#define CENSUS_DIMENSIONS 24u
#define CENSUS_VALUES 12u

struct census {
    uint64_t counts[CENSUS_DIMENSIONS][CENSUS_VALUES];
};

/* Counts the disk and the requests of a trace. `block`: the clusters of a block of the bitmap of the engine that runs.
 */
void census_add(struct census *census, const struct trace *trace, uint64_t block);

/* Prints a table in Markdown: a row for each dimension, with the share of each value in percent. */
void census_print(const struct census *census, FILE *out);

#endif

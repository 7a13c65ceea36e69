/*
 * Following: executions of the engine under the scheduler as lists of events, for the model of proofs/model to accept.
 *
 * Each lock, atomic access and call of the storage that the protocol of allocation and flushes is about becomes an
 * event, with the abstract state of the engine before it. proofs/model/trace.pml says what the numbers mean.
 */
#ifndef HARNESS_FOLLOW_H
#define HARNESS_FOLLOW_H

#include "explore/explore.h"

#include <stdio.h>

#define FOLLOW_CLUSTERS 8u

struct follow;

/* Why the model does not know what happens in a trace; null if it does. Static storage. */
const char *follow_problem(const struct trace *trace, const struct fault_injection *fault);

/* Records executions of the trace, while a call of the storage fails, to `out`. The caller frees. */
struct follow *follow_make(const struct trace *trace, const struct fault_injection *fault, FILE *out);
void follow_free(struct follow *follow);

/* For explore_options: it lives as long as what was made. */
const struct explore_observer *follow_observer(struct follow *follow);

/* Before the first run: what is followed. */
void follow_set(struct follow *follow, const struct explore *explore);

/* Before and after each run, which is written down then. */
void follow_begin(struct follow *follow);
void follow_end(struct follow *follow);

#endif

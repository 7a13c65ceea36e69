/*
 * Random workloads, made to meet the places where an implementation can go wrong.
 */
#ifndef HARNESS_GENERATE_H
#define HARNESS_GENERATE_H

#include "workload/trace.h"

struct generate_options {
    uint32_t threads;      /* 1..TRACE_THREADS_MAX */
    uint32_t operations;   /* about so many; at most TRACE_OPERATIONS_MAX */
    uint32_t cluster_bits; /* 0: any */
    uint32_t layout;       /* 0: any */
    bool raw_backing;      /* no chains */
};

/*
 * Makes the trace of a seed: the same seed and options always give the same trace. It has no problem (trace.h) and
 * every phase can be judged (history.h).
 */
void generate_trace(uint64_t seed, const struct generate_options *options, struct trace *trace);

#endif

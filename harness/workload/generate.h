/*
 * Random workloads, biased towards error-prone cases.
 */
#ifndef HARNESS_GENERATE_H
#define HARNESS_GENERATE_H

#include "workload/trace.h"

struct generate_options {
    uint32_t threads;      /* 1..TRACE_THREADS_MAX */
    uint32_t operations;   /* approximately; at most TRACE_OPERATIONS_MAX */
    uint32_t cluster_bits; /* 0: any */
    uint32_t layout;       /* 0: any */
    bool raw_backing;      /* no chains */
};

/*
 * Makes the trace of a seed: the same seed and options always give the same trace. It has no problem (trace.h) and
 * every phase can be judged (phase.h).
 */
void generate_trace(uint64_t seed, const struct generate_options *options, struct trace *trace);

/* The clusters of a block of the bitmap where small traces run (sched/addcow_sizes.h): now and then a disk has several.
 */
#define GENERATE_BLOCK_CLUSTERS 64u

struct generate_small_options {
    uint32_t threads;    /* 1..TRACE_THREADS_MAX */
    uint32_t operations; /* of each thread */
    bool whole_disk;     /* resize, stream and commit too */
    bool flushes;        /* mostly flushes and writes */
    bool reopens;        /* the disk is closed and opened again, before or after the concurrent phase */
};

/* Makes the small trace of a seed. It has no problem (trace.h, phases_problem): all its schedules can be explored. */
void generate_small_trace(uint64_t seed, const struct generate_small_options *options, struct trace *trace);

#endif

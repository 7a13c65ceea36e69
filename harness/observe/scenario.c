/*
 * The table of the scenarios.
 */
#include "observe/scenario.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define CLUSTER 4096u
#define R9_CLUSTER 65536u
#define OPERATIONS_MAX 10u

#define WRITE(offset, length) {OPERATION_WRITE, offset, length}
#define ZERO(offset, length) {OPERATION_ZERO, offset, length}
#define DISCARD(offset, length) {OPERATION_DISCARD, offset, length}
#define FLUSH {OPERATION_FLUSH, 0, 0}
#define RESIZE(size) {OPERATION_RESIZE, size, 0}
#define STREAM {OPERATION_STREAM, 0, 0}
#define COMMIT {OPERATION_COMMIT, 0, 0}
#define REOPEN {TRACE_REOPEN, 0, 0}
#define END {TRACE_KINDS, 0, 0}

struct row {
    const char *name;
    const char *story;
    const char *clauses;
    struct trace_disk disk;
    struct {
        uint32_t kind;
        uint64_t offset;
        uint64_t length;
    } operations[OPERATIONS_MAX];
};

/* The usual disk: five clusters, the last one partial, over a backing file that ends within the fourth. */
#define DISK(allocated)                                                                                                \
    {.layout = ADDCOW_R20,                                                                                             \
     .cluster_bits = 12,                                                                                               \
     .size = 5 * CLUSTER - 1024,                                                                                       \
     .has_backing = true,                                                                                              \
     .backing_size = 3 * CLUSTER + 1536,                                                                               \
     .allocation = (allocated),                                                                                        \
     .seed = 6}

static const struct row rows[] = {
    {"once", "one write and one flush", "DUR-01 DUR-10", DISK(TRACE_NONE_ALLOCATED), {WRITE(512, 1024), FLUSH, END}},
    {"write-flush",
     "writes allocate clusters, and a flush follows each",
     "DUR-01 DUR-10",
     DISK(TRACE_NONE_ALLOCATED),
     {WRITE(512, 1024), FLUSH, WRITE(CLUSTER + 512, CLUSTER), FLUSH, WRITE(4 * CLUSTER, 1024), END}},
    {"overwrite",
     "writes go to clusters that are allocated",
     "DUR-01 DUR-09 DUR-10",
     DISK(TRACE_EVERY_ALLOCATED),
     {WRITE(0, 2048), FLUSH, WRITE(1024, CLUSTER), FLUSH, WRITE(3 * CLUSTER, 512), END}},
    {"mixed",
     "writes, zeroes and discards meet clusters of both states",
     "DUR-01 DUR-10",
     DISK(TRACE_SOME_ALLOCATED),
     {WRITE(2560, CLUSTER), ZERO(2 * CLUSTER, 512), FLUSH, DISCARD(CLUSTER, CLUSTER), WRITE(0, 512), FLUSH,
      ZERO(3 * CLUSTER + 512, 1024), END}},
    {"again",
     "the disk is closed and opened between writes",
     "DUR-01 DUR-10 DUR-12",
     DISK(TRACE_NONE_ALLOCATED),
     {WRITE(512, 512), REOPEN, WRITE(CLUSTER, 512), FLUSH, WRITE(512, 1024), REOPEN, WRITE(2 * CLUSTER, 512), END}},
    {"grow",
     "the disk grows, its bitmap by a byte, and is written behind its old end",
     "DUR-11 RSZ-04",
     DISK(TRACE_NONE_ALLOCATED),
     {WRITE(3 * CLUSTER + 3584, 1024), RESIZE(11 * CLUSTER), FLUSH, WRITE(9 * CLUSTER + 512, 1024), FLUSH, END}},
    {"grow-flag",
     "the disk grows, and all of its clusters are allocated",
     "DUR-11 RSZ-04 VRT-05",
     {.layout = ADDCOW_R20,
      .cluster_bits = 12,
      .size = CLUSTER + 512,
      .has_backing = true,
      .backing_size = 5 * CLUSTER,
      .allocation = TRACE_ALL_ALLOCATED,
      .seed = 6},
     {RESIZE(4 * CLUSTER), WRITE(2 * CLUSTER, 512), FLUSH, END}},
    {"grow-over-backing",
     "the disk grows to where the backing file has data",
     "DUR-11 RSZ-04",
     {.layout = ADDCOW_R20,
      .cluster_bits = 12,
      .size = CLUSTER + 512,
      .has_backing = true,
      .backing_size = 5 * CLUSTER,
      .allocation = TRACE_NONE_ALLOCATED,
      .seed = 6},
     {WRITE(0, 512), RESIZE(4 * CLUSTER), FLUSH, WRITE(2 * CLUSTER, 512), END}},
    {"shrink",
     "the disk shrinks, and grows again",
     "DUR-11 RSZ-05",
     DISK(TRACE_EVERY_ALLOCATED),
     {WRITE(3 * CLUSTER, 512), RESIZE(CLUSTER + 512), WRITE(0, 512), RESIZE(4 * CLUSTER), FLUSH, END}},
    {"stream",
     "a stream allocates every cluster",
     "DUR-08 DUR-11 VRT-05",
     DISK(TRACE_SOME_ALLOCATED),
     {WRITE(512, 1024), STREAM, WRITE(CLUSTER, 512), FLUSH, END}},
    {"commit",
     "a commit copies what is allocated into the backing file",
     "DUR-11 CMT-03",
     {.layout = ADDCOW_R20,
      .cluster_bits = 12,
      .size = 4 * CLUSTER,
      .has_backing = true,
      .backing_size = 4 * CLUSTER,
      .allocation = TRACE_SOME_ALLOCATED,
      .seed = 6},
     {WRITE(512, 1024), COMMIT, WRITE(2 * CLUSTER, 512), FLUSH, WRITE(0, 512), COMMIT, END}},
    {"commit-flag",
     "a commit of a disk whose clusters all are allocated",
     "DUR-11 CMT-03",
     {.layout = ADDCOW_R20,
      .cluster_bits = 12,
      .size = 3 * CLUSTER,
      .has_backing = true,
      .backing_size = 3 * CLUSTER,
      .allocation = TRACE_ALL_ALLOCATED,
      .seed = 6},
     {WRITE(512, 1024), FLUSH, COMMIT, WRITE(2 * CLUSTER, 512), END}},
    {"commit-chain",
     "a commit into a backing file that is a disk itself",
     "DUR-11 CMT-03 DUR-12",
     {.layout = ADDCOW_R20,
      .cluster_bits = 12,
      .size = 3 * CLUSTER,
      .has_backing = true,
      .backing_size = 3 * CLUSTER,
      .chain = 1,
      .allocation = TRACE_SOME_ALLOCATED,
      .seed = 6},
     {WRITE(512, 1024), COMMIT, WRITE(2 * CLUSTER, 512), FLUSH, END}},
    {"old-layout",
     "writes and a flush on a disk of layout r9",
     "DUR-01 DUR-10",
     {.layout = ADDCOW_R9,
      .cluster_bits = 16,
      .size = 2 * R9_CLUSTER + 512,
      .has_backing = true,
      .backing_size = R9_CLUSTER,
      .allocation = TRACE_NONE_ALLOCATED,
      .seed = 6},
     {WRITE(512, 512), FLUSH, WRITE(2 * R9_CLUSTER, 512), END}},
};

unsigned scenario_count(void)
{
    return sizeof rows / sizeof rows[0];
}

void scenario_make(unsigned index, struct scenario *scenario)
{
    const struct row *row = &rows[index];
    scenario->name = row->name;
    scenario->story = row->story;
    scenario->clauses = row->clauses;
    scenario->trace.disk = row->disk;
    scenario->trace.threads = 1;
    scenario->trace.count = 0;
    for (unsigned i = 0; i < OPERATIONS_MAX && row->operations[i].kind != TRACE_KINDS; i++) {
        trace_add(&scenario->trace, 0, row->operations[i].kind, row->operations[i].offset, row->operations[i].length);
    }
    assert(trace_problem(&scenario->trace) == NULL);
}

void scenario_problem(const struct scenario *scenario, const struct protocol_abilities *abilities, char *why,
                      size_t why_size)
{
    const struct trace *trace = &scenario->trace;
    why[0] = '\0';
    if (abilities == NULL) {
        return;
    }
    for (uint32_t i = 0; i < trace->count; i++) {
        uint32_t kind = trace->operations[i].kind;
        if (kind < OPERATIONS && protocol_is_declared(kind) && (abilities->requests & 1u << kind) == 0) {
            snprintf(why, why_size, "the adapter does not declare %s", protocol_request_name(kind));
        }
    }
    bool has_layout = trace->disk.layout == ADDCOW_R9 ? abilities->r9 : abilities->r20;
    if (!has_layout) {
        snprintf(why, why_size, "the adapter does not declare layout %s",
                 trace->disk.layout == ADDCOW_R9 ? "r9" : "r20");
    } else if (trace->disk.chain > 0 && (abilities->lacks & 1u << PROTOCOL_CHAIN) != 0) {
        snprintf(why, why_size, "the adapter lacks chain");
    }
}

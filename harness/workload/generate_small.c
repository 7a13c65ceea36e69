/*
 * Small random workloads.
 *
 * A disk has few small clusters, requests go to few places, and at most one phase has several threads, so that the
 * schedules of a trace can be explored. Now and then a disk has several blocks of the bitmap; then requests go to the
 * ends of blocks. A trace that cannot be judged is replaced by another one.
 */
#include "workload/generate.h"

#include "addcow_header.h"
#include "workload/phase.h"
#include "base/random.h"

#define SECTOR 512u
#define CLUSTER 4096u
#define CLUSTERS_MAX 4u

/* About `blocks` blocks of the bitmap: whole ones, or a few clusters or bytes more or less. */
static uint64_t generate_near_blocks(struct random *random, uint64_t blocks)
{
    static const uint64_t shifts[] = {0, 1, 2, 7, 8, 9};
    uint64_t shift = shifts[random_below(random, sizeof shifts / sizeof shifts[0])];
    return blocks * GENERATE_BLOCK_CLUSTERS + (random_once_in(random, 2) ? shift : -shift);
}

/*
 * Mostly few small clusters; now and then more than a byte of the bitmap, more than a word of it, or more than a block.
 */
static uint64_t generate_clusters(struct random *random, bool alone)
{
    if (random_once_in(random, alone ? 24 : 16)) {
        return generate_near_blocks(random, random_once_in(random, 4) ? 3 : random_between(random, 1, 2));
    }
    uint64_t most = !random_once_in(random, alone ? 3 : 8) ? CLUSTERS_MAX : random_once_in(random, 4) ? 70 : 20;
    return random_between(random, 1, most);
}

static void generate_backing(struct random *random, struct trace_disk *disk)
{
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    disk->has_backing = true;
    disk->backing_size = random_once_in(random, 2) ? disk->size : random_below(random, disk->size + 2 * cluster);
    disk->chain = random_once_in(random, 5) ? (uint32_t)random_between(random, 1, TRACE_CHAIN_MAX) : 0;
}

static void generate_disk(struct random *random, bool alone, struct trace_disk *disk)
{
    uint64_t cut = random_once_in(random, 3) ? random_below(random, 8) * SECTOR + random_below(random, 2) * 100 : 0;
    *disk = (struct trace_disk){
        .layout = ADDCOW_R20,
        .cluster_bits = 12,
        .size = generate_clusters(random, alone) * CLUSTER - cut,
        .allocation = random_once_in(random, 2)   ? TRACE_NONE_ALLOCATED
                      : random_once_in(random, 6) ? TRACE_ALL_ALLOCATED
                                                  : TRACE_SOME_ALLOCATED,
        .unknown_compatible = random_once_in(random, 4),
        .seed = (uint32_t)random_below(random, TRACE_SEED_MAX),
    };
    if (random_once_in(random, 10)) { /* larger clusters, and few of them */
        disk->cluster_bits = (uint32_t)random_between(random, 13, 16);
        disk->size = (random_between(random, 1, 2) << disk->cluster_bits) - cut;
    }
    if (!random_once_in(random, 6)) {
        generate_backing(random, disk);
    }
    if (random_once_in(random, 16)) {
        disk->layout = ADDCOW_R9;
        disk->cluster_bits = 16;
        disk->size = random_between(random, 1, 2 * 65536 + 5000);
        generate_backing(random, disk);
        disk->chain = 0;
        disk->unknown_compatible = false;
        disk->allocation = disk->allocation == TRACE_ALL_ALLOCATED ? TRACE_EVERY_ALLOCATED : disk->allocation;
    }
}

/* A cluster of the disk: any, or one at the end of a block if there are several. */
static uint64_t generate_place(struct random *random, uint64_t clusters)
{
    if (clusters <= GENERATE_BLOCK_CLUSTERS || random_once_in(random, 4)) {
        return random_below(random, clusters);
    }
    uint64_t blocks = clusters / GENERATE_BLOCK_CLUSTERS;
    return random_between(random, 1, blocks) * GENERATE_BLOCK_CLUSTERS - random_below(random, 3);
}

/* A range near one of few places, so that requests overlap. Few are long: several buffers of the engine, and ragged. */
static void generate_range(struct random *random, const struct trace_disk *disk, uint64_t *offset, uint64_t *length)
{
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    uint64_t size = disk->size;
    const uint64_t lengths[] = {SECTOR, 2 * SECTOR, 300, cluster, cluster + SECTOR, 2 * cluster};
    *offset = generate_place(random, addcow_cluster_count(size, cluster)) * cluster +
              random_below(random, 2) * random_below(random, cluster / SECTOR) * SECTOR;
    *length = lengths[random_below(random, 6)];
    if (random_once_in(random, 12)) {
        *length = random_between(random, 3, 9) * cluster + random_below(random, 3) * 300;
    }
    if (random_once_in(random, 10)) {
        *offset += random_below(random, SECTOR);
    }
    *offset = *offset < size ? *offset : size - 1;
    *length = *length < size - *offset ? *length : size - *offset;
}

static uint32_t generate_kind(struct random *random, const struct generate_small_options *options)
{
    if (options->reopens && options->threads == 1 && random_once_in(random, 6)) {
        return TRACE_REOPEN;
    }
    if (options->whole_disk && random_once_in(random, 4)) {
        static const uint32_t whole[] = {OPERATION_RESIZE, OPERATION_RESIZE, OPERATION_STREAM, OPERATION_COMMIT};
        return whole[random_below(random, 4)];
    }
    if (options->flushes) {
        static const uint32_t durable[] = {OPERATION_WRITE, OPERATION_WRITE, OPERATION_FLUSH,
                                           OPERATION_FLUSH, OPERATION_FLUSH, OPERATION_ZERO};
        return durable[random_below(random, 6)];
    }
    static const uint32_t kinds[] = {OPERATION_WRITE, OPERATION_WRITE,   OPERATION_WRITE, OPERATION_WRITE,
                                     OPERATION_READ,  OPERATION_READ,    OPERATION_READ,  OPERATION_ZERO,
                                     OPERATION_FLUSH, OPERATION_DISCARD, OPERATION_MAP};
    return kinds[random_below(random, sizeof kinds / sizeof kinds[0])];
}

/* A new size: any up to something more than the disk has; of a disk with several blocks often near the end of one. */
static uint64_t generate_size(struct random *random, const struct trace_disk *disk)
{
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    if (disk->size / cluster >= GENERATE_BLOCK_CLUSTERS && !random_once_in(random, 3)) {
        return generate_near_blocks(random, random_between(random, 1, 3)) * cluster - random_below(random, 2) * 100;
    }
    return random_between(random, 1, disk->size + random_below(random, 2) * 2 * cluster);
}

static void generate_operation(struct random *random, const struct generate_small_options *options, uint32_t thread,
                               struct trace *trace)
{
    uint32_t kind = generate_kind(random, options);
    uint64_t offset = 0;
    uint64_t length = 0;
    generate_range(random, &trace->disk, &offset, &length);
    if (kind == OPERATION_RESIZE) {
        offset = generate_size(random, &trace->disk);
    }
    trace_add(trace, thread, kind, operation_has_offset(kind) ? offset : 0, operation_has_range(kind) ? length : 0);
}

/* A phase of one thread, in which the disk is opened again. */
static void generate_reopen(struct random *random, const struct generate_small_options *options, bool first,
                            struct trace *trace)
{
    if (!first) {
        trace_add(trace, 0, TRACE_BARRIER, 0, 0);
    } else if (random_once_in(random, 2)) {
        generate_operation(random, options, 0, trace);
    }
    trace_add(trace, 0, TRACE_REOPEN, 0, 0);
    if (first) {
        trace_add(trace, 0, TRACE_BARRIER, 0, 0);
    } else if (random_once_in(random, 2)) {
        generate_operation(random, options, 0, trace);
    }
}

void generate_small_trace(uint64_t seed, const struct generate_small_options *options, struct trace *trace)
{
    struct random random = {random_hash(seed)};
    do {
        trace->threads = options->threads;
        trace->count = 0;
        generate_disk(&random, options->threads == 1, &trace->disk);
        bool reopens = options->reopens && options->threads > 1;
        bool first = reopens && random_once_in(&random, 2);
        if (first) {
            generate_reopen(&random, options, true, trace);
        }
        for (uint32_t i = 0; i < options->operations * options->threads; i++) {
            generate_operation(&random, options, i % options->threads, trace);
        }
        if (reopens && (!first || random_once_in(&random, 2))) {
            generate_reopen(&random, options, false, trace);
        }
    } while (trace_problem(trace) != NULL || phases_problem(trace) != NULL);
}

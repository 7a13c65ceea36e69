/*
 * Random workloads, biased towards error-prone cases.
 *
 * Disks have few clusters, so that requests overlap. The sizes of the disk and of the backing file are often unaligned.
 * A workload is a series of phases. A phase with one thread has any requests, also unaligned ones and ones out of
 * range. In a phase with several threads the requests go to a few "hot" clusters, in separate or in the same sectors,
 * while a stream, flushes, maps, a resize or a commit may run. Commits between phases make clusters unallocated again.
 */
#include "workload/generate.h"

#include "addcow_format.h"
#include "workload/phase.h"
#include "base/random.h"

#define SECTOR 512u
#define DISK_MAX ((uint64_t)6 << 20)
#define HOT_MAX 3u

struct generator {
    struct random random;
    const struct generate_options *options;
    struct trace *trace;
    uint64_t size; /* of the disk at this point of the trace, if every resize so far succeeded */
    uint64_t cluster;
    uint64_t hot[HOT_MAX]; /* offsets of the hot clusters of the current phase */
    bool aligned;          /* requests of the current phase are in whole sectors */
    bool own_sectors;      /* each thread uses only its own sectors */
};

static uint64_t below(struct generator *generator, uint64_t bound)
{
    return random_below(&generator->random, bound);
}

static bool once_in(struct generator *generator, uint64_t times)
{
    return random_once_in(&generator->random, times) != 0;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- The disk ---- */

/* A length near `base`: often exactly it, or off by an odd amount. */
static uint64_t near(struct generator *generator, uint64_t base)
{
    uint64_t shift = once_in(generator, 2) ? below(generator, generator->cluster) : below(generator, 1024);
    switch (below(generator, 4)) {
    case 0:
        return base;
    case 1:
        return base / SECTOR * SECTOR;
    case 2:
        return base + shift;
    default:
        return base > shift ? base - shift : base;
    }
}

static uint32_t choose_cluster_bits(struct generator *generator)
{
    if (generator->options->cluster_bits != 0) {
        return generator->options->cluster_bits;
    }
    return (uint32_t)(once_in(generator, 10) ? 17 + below(generator, 5) : 12 + below(generator, 5));
}

static uint64_t choose_size(struct generator *generator)
{
    uint64_t most = DISK_MAX / generator->cluster;
    uint64_t clusters = 1 + below(generator, most < 24 ? most : 24);
    if (once_in(generator, 40)) {
        return below(generator, 2) * below(generator, 2000); /* nearly nothing, or nothing */
    }
    return near(generator, clusters * generator->cluster);
}

static uint64_t choose_backing_size(struct generator *generator, uint64_t size)
{
    switch (below(generator, 8)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return near(generator, below(generator, size / generator->cluster + 1) * generator->cluster);
    case 3:
        return size;
    case 4:
        return near(generator, size + generator->cluster);
    default:
        return size + below(generator, 2 * generator->cluster);
    }
}

static void choose_disk(struct generator *generator)
{
    struct trace_disk *disk = &generator->trace->disk;
    uint32_t layout = generator->options->layout;
    *disk = (struct trace_disk){.layout = layout};
    if (layout == 0) {
        bool may_be_r9 = generator->options->cluster_bits == 0 || generator->options->cluster_bits == 16;
        disk->layout = may_be_r9 && once_in(generator, 6) ? ADDCOW_R9 : ADDCOW_R20;
    }
    bool r9 = disk->layout == ADDCOW_R9;
    disk->cluster_bits = r9 ? 16 : choose_cluster_bits(generator);
    generator->cluster = (uint64_t)1 << disk->cluster_bits;
    disk->size = generator->size = choose_size(generator);
    disk->has_backing = r9 || !once_in(generator, 7);
    if (disk->has_backing) {
        disk->backing_size = choose_backing_size(generator, disk->size);
        disk->chain = r9 || generator->options->raw_backing || !once_in(generator, 5)
                          ? 0
                          : (uint32_t)(1 + below(generator, TRACE_CHAIN_MAX));
    }
    static const uint32_t allocations[] = {TRACE_NONE_ALLOCATED, TRACE_NONE_ALLOCATED,  TRACE_NONE_ALLOCATED,
                                           TRACE_SOME_ALLOCATED, TRACE_SOME_ALLOCATED,  TRACE_SOME_ALLOCATED,
                                           TRACE_SOME_ALLOCATED, TRACE_EVERY_ALLOCATED, TRACE_ALL_ALLOCATED};
    disk->allocation = allocations[below(generator, r9 ? 8 : 9)];
    disk->unknown_compatible = !r9 && once_in(generator, 4);
    disk->seed = (uint32_t)below(generator, TRACE_SEED_MAX + 1);
}

/* ---- Requests ---- */

static uint64_t hot_offset(struct generator *generator)
{
    uint64_t base = generator->hot[below(generator, HOT_MAX)];
    uint64_t in_cluster = below(generator, generator->cluster);
    if (once_in(generator, 3)) {
        in_cluster = generator->cluster - lesser(generator->cluster, below(generator, 4 * SECTOR)); /* near its end */
    }
    return base + in_cluster;
}

static uint64_t choose_length(struct generator *generator)
{
    if (once_in(generator, 40)) {
        return 0;
    }
    if (once_in(generator, 20)) {
        return below(generator, generator->size + 1); /* several buffers of the engine, and ragged */
    }
    switch (below(generator, 8)) {
    case 0:
        return below(generator, 3 * generator->cluster);
    case 1:
        return generator->cluster;
    case 2:
        return below(generator, 65536);
    default:
        return below(generator, 8 * SECTOR);
    }
}

/* The range of a request within the disk. */
static void choose_range(struct generator *generator, uint32_t thread, uint64_t *offset, uint64_t *length)
{
    uint64_t size = generator->size;
    *offset = once_in(generator, 5) ? below(generator, size + 1) : hot_offset(generator);
    *length = choose_length(generator);
    if (generator->own_sectors) {
        /* Stripes of a sector or two: the thread's own are those whose number is its own modulo the threads. */
        uint64_t stripe = SECTOR * (1 + generator->cluster / 16384 % 2);
        uint64_t threads = generator->trace->threads;
        *offset = (*offset / (stripe * threads) * threads + thread) * stripe;
        *length = stripe;
    } else if (generator->aligned) {
        *offset = *offset / SECTOR * SECTOR;
        *length = (*length / SECTOR + 1) * SECTOR;
    } else if (once_in(generator, 3)) {
        *offset = *offset / SECTOR * SECTOR;
    }
    *offset = lesser(*offset, size);
    *length = lesser(*length, size - *offset);
}

static enum operation choose_request(struct generator *generator)
{
    static const enum operation requests[] = {
        OPERATION_WRITE, OPERATION_WRITE, OPERATION_WRITE, OPERATION_WRITE, OPERATION_WRITE,   OPERATION_READ,
        OPERATION_READ,  OPERATION_READ,  OPERATION_READ,  OPERATION_ZERO,  OPERATION_DISCARD, OPERATION_MAP,
    };
    return requests[below(generator, sizeof requests / sizeof *requests)];
}

static void add_request(struct generator *generator, uint32_t thread)
{
    uint64_t offset;
    uint64_t length;
    enum operation kind = choose_request(generator);
    choose_range(generator, thread, &offset, &length);
    if (kind == OPERATION_MAP && once_in(generator, 2)) {
        length = generator->size - offset;
    }
    if (once_in(generator, 60)) {
        /* Out of range, by a little or by wrapping around. */
        offset =
            once_in(generator, 2) ? generator->size + 1 + below(generator, 600) : UINT64_MAX - below(generator, 600);
        length = below(generator, 2000);
    } else if (once_in(generator, 60)) {
        length = UINT64_MAX - below(generator, 600);
    }
    trace_add(generator->trace, thread, kind, offset, length);
}

static void add_resize(struct generator *generator, uint32_t thread)
{
    uint64_t limit = DISK_MAX + 2 * generator->cluster;
    uint64_t size = generator->size;
    switch (below(generator, 6)) {
    case 0:
        size = below(generator, size + 1);
        break;
    case 1:
        size = size > generator->cluster ? near(generator, size - generator->cluster) : size / 2;
        break;
    case 2:
        size += below(generator, 600);
        break;
    case 3:
        size -= lesser(size, below(generator, 600));
        break;
    case 4:
        size = generator->trace->disk.backing_size + below(generator, generator->cluster);
        break;
    default:
        size = near(generator, size + 2 * generator->cluster);
        break;
    }
    size = lesser(size, limit);
    if (once_in(generator, 20)) {
        trace_add(generator->trace, thread, OPERATION_RESIZE, UINT64_MAX - below(generator, 1000), 0);
        return;
    }
    trace_add(generator->trace, thread, OPERATION_RESIZE, size, 0);
    generator->size = size;
}

/* ---- Phases ---- */

static void choose_hot(struct generator *generator)
{
    uint64_t clusters = (generator->size + generator->cluster - 1) / generator->cluster;
    for (unsigned i = 0; i < HOT_MAX; i++) {
        generator->hot[i] = clusters == 0 ? 0 : below(generator, clusters) * generator->cluster;
    }
    if (once_in(generator, 3) && clusters > 0) {
        generator->hot[0] = (clusters - 1) * generator->cluster; /* the last one, which may be partial */
    }
}

static void add_alone_phase(struct generator *generator, uint32_t operations)
{
    uint32_t thread = (uint32_t)below(generator, generator->trace->threads);
    generator->aligned = generator->own_sectors = false;
    for (uint32_t i = 0; i < operations; i++) {
        uint64_t choice = below(generator, 40);
        if (i % 16 == 0) {
            choose_hot(generator);
        }
        if (choice < 2) {
            trace_add(generator->trace, thread, OPERATION_FLUSH, 0, 0);
        } else if (choice < 4) {
            add_resize(generator, thread);
        } else if (choice == 4) {
            trace_add(generator->trace, thread, OPERATION_COMMIT, 0, 0);
        } else if (choice == 5) {
            trace_add(generator->trace, thread, TRACE_REOPEN, 0, 0);
        } else if (choice == 6 && once_in(generator, 2)) {
            trace_add(generator->trace, thread, OPERATION_STREAM, 0, 0);
        } else {
            add_request(generator, thread);
        }
    }
}

/* Adds one operation that runs once, concurrently with the requests of a phase, on thread `thread`. False for none. */
static bool add_background(struct generator *generator, uint32_t thread)
{
    switch (below(generator, 8)) {
    case 0:
    case 1:
        trace_add(generator->trace, thread, OPERATION_STREAM, 0, 0);
        return true;
    case 2:
        trace_add(generator->trace, thread, OPERATION_COMMIT, 0, 0);
        return true;
    case 3:
        add_resize(generator, thread);
        return true;
    default:
        return false;
    }
}

static void add_crowded_phase(struct generator *generator, uint32_t operations)
{
    uint32_t threads = generator->trace->threads;
    generator->aligned = !once_in(generator, 8);
    generator->own_sectors = once_in(generator, 3);
    choose_hot(generator);
    uint32_t background_at = (uint32_t)below(generator, operations + 1);
    /* Several resizes and commits are only judged in short phases. */
    uint32_t more = operations <= PHASE_OPERATIONS_MAX / 2 && once_in(generator, 2) ? 2 : 0;
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t thread = (uint32_t)below(generator, threads);
        if (more > 0 && once_in(generator, 4)) {
            more -= add_background(generator, thread);
        }
        if (i == background_at && add_background(generator, thread)) {
            if (once_in(generator, 4)) {
                trace_add(generator->trace, (thread + 1) % threads, OPERATION_STREAM, 0, 0);
            }
            continue;
        }
        if (once_in(generator, 25)) {
            trace_add(generator->trace, thread, OPERATION_FLUSH, 0, 0);
        } else {
            add_request(generator, thread);
        }
    }
}

void generate_trace(uint64_t seed, const struct generate_options *options, struct trace *trace)
{
    struct generator generator = {.random = {random_hash(seed)}, .options = options, .trace = trace};
    trace->threads = options->threads;
    trace->count = 0;
    choose_disk(&generator);
    while (trace->count < options->operations) {
        uint32_t left = options->operations - trace->count;
        bool alone = options->threads == 1 || once_in(&generator, 3);
        uint32_t operations = (uint32_t)lesser(left, random_between(&generator.random, 4, alone ? 20 : 60));
        if (alone) {
            add_alone_phase(&generator, operations);
        } else {
            add_crowded_phase(&generator, operations);
        }
        trace_add(trace, 0, TRACE_BARRIER, 0, 0);
    }
    phases_make_judgeable(trace);
}

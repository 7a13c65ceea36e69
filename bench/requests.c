/*
 * Requests against bare pread and pwrite on the same kind of file in the same state, by the same threads, at the same
 * offsets.
 *
 * Requests to allocated clusters go to one image file, through the engine and directly. First writes need a fresh disk
 * for each slice: both sides get one made in the same way, and the bare side writes directly to its image.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_REQUESTS 512u /* in each thread */
#define FIRST_SIZE (32 * MIB)

struct load {
    struct disk disk; /* first: see disk_prepare */
    unsigned threads;
    uint8_t *data[THREADS_MAX];    /* 1 MiB each */
    uint8_t *cluster[THREADS_MAX]; /* for copying by hand */
};

static void load_new(struct load *load, unsigned threads, const struct disk *disk)
{
    *load = (struct load){.disk = *disk, .threads = threads};
    for (unsigned i = 0; i < threads; i++) {
        load->data[i] = buffer_new(MIB);
        load->cluster[i] = buffer_new(CLUSTER);
    }
}

static void load_free(struct load *load)
{
    for (unsigned i = 0; i < load->threads; i++) {
        free(load->data[i]);
        free(load->cluster[i]);
    }
}

static void race_pair(const struct load *load, struct contestant bare, struct contestant engine, unsigned rounds,
                      struct result *result)
{
    bare.team = engine.team = team_new(load->threads);
    struct contestant pair[] = {bare, engine};
    struct race race = race_run(pair, 2, rounds);
    struct spread ratio = race_ratio(&race, 0, 1);
    *result = (struct result){
        .bare = race_median(&race, 0),
        .engine = race_median(&race, 1),
        .value = ratio.median,
        .low = ratio.low,
        .high = ratio.high,
    };
    race_free(&race);
    team_free(bare.team);
}

/* ---- 4 KiB at random offsets of allocated clusters ---- */

/* The size is a power of two. */
static uint64_t random_offset(const struct load *load, unsigned thread, uint64_t seed, unsigned i)
{
    return random_of(seed, (uint64_t)thread << 32 | i) & (load->disk.size - 1) & ~(REQUEST - 1);
}

static void bare_read(void *context, unsigned thread, uint64_t seed)
{
    struct load *load = context;
    for (unsigned i = 0; i < SLICE_REQUESTS; i++) {
        uint64_t offset = random_offset(load, thread, seed, i);
        check_transfer(pread(load->disk.image, load->data[thread], REQUEST, (off_t)offset), REQUEST, "pread");
    }
}

static void engine_read(void *context, unsigned thread, uint64_t seed)
{
    struct load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < SLICE_REQUESTS; i++) {
        uint64_t offset = random_offset(load, thread, seed, i);
        check_engine(addcow_read(load->disk.handle, offset, REQUEST, load->data[thread], &error), &error);
    }
}

static void bare_write(void *context, unsigned thread, uint64_t seed)
{
    struct load *load = context;
    for (unsigned i = 0; i < SLICE_REQUESTS; i++) {
        uint64_t offset = random_offset(load, thread, seed, i);
        check_transfer(pwrite(load->disk.image, load->data[thread], REQUEST, (off_t)offset), REQUEST, "pwrite");
    }
}

static void engine_write(void *context, unsigned thread, uint64_t seed)
{
    struct load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < SLICE_REQUESTS; i++) {
        uint64_t offset = random_offset(load, thread, seed, i);
        check_engine(addcow_write(load->disk.handle, offset, REQUEST, load->data[thread], &error), &error);
    }
}

static void run_allocated(unsigned threads, const struct settings *settings, slice_function *bare,
                          slice_function *engine, struct result *result)
{
    struct disk disk = {
        .name = "allocated",
        .size = 256 * MIB,
        .backing_size = MIB,
        .storage = storage_cached(),
    };
    disk_create(&disk);
    disk_fill(&disk);
    struct load load;
    load_new(&load, threads, &disk);
    race_pair(&load, (struct contestant){.run = bare, .context = &load},
              (struct contestant){.run = engine, .context = &load}, settings->quick ? 200 : 2000, result);
    result->bare /= SLICE_REQUESTS * threads;
    result->engine /= SLICE_REQUESTS * threads;
    load_free(&load);
    disk_remove(&disk);
}

static void run_reads(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    run_allocated(self->threads, settings, bare_read, engine_read, result);
}

static void run_writes(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    run_allocated(self->threads, settings, bare_write, engine_write, result);
}

/* ---- First writes ---- */

static void run_first(unsigned threads, const struct settings *settings, slice_function *bare, slice_function *engine,
                      struct result *result)
{
    struct disk disk = {
        .name = "first",
        .size = FIRST_SIZE,
        .backing_size = FIRST_SIZE,
        .storage = storage_cached(),
    };
    struct load load;
    load_new(&load, threads, &disk);
    struct contestant side = {.prepare = disk_prepare, .finish = disk_finish, .context = &load};
    struct contestant bare_side = side;
    struct contestant engine_side = side;
    bare_side.run = bare;
    engine_side.run = engine;
    race_pair(&load, bare_side, engine_side, settings->quick ? 20 : 100, result);
    load_free(&load);
}

static void bare_sequential(void *context, unsigned thread, uint64_t seed)
{
    (void)seed;
    struct load *load = context;
    uint64_t share = load->disk.size / load->threads;
    for (uint64_t at = thread * share; at < (thread + 1) * share; at += MIB) {
        check_transfer(pwrite(load->disk.image, load->data[thread], MIB, (off_t)at), MIB, "pwrite");
    }
}

static void engine_sequential(void *context, unsigned thread, uint64_t seed)
{
    (void)seed;
    struct load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint64_t share = load->disk.size / load->threads;
    for (uint64_t at = thread * share; at < (thread + 1) * share; at += MIB) {
        check_engine(addcow_write(load->disk.handle, at, MIB, load->data[thread], &error), &error);
    }
}

static void run_sequential(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    run_first(self->threads, settings, bare_sequential, engine_sequential, result);
    double total = (double)FIRST_SIZE / (double)MIB * 1e9;
    result->bare = total / result->bare;
    result->engine = total / result->engine;
}

/*
 * The i-th cluster of a random order that visits each once: an odd factor permutes the numbers below a power of two.
 */
static uint64_t small_offset(const struct load *load, uint64_t seed, uint64_t i)
{
    uint64_t clusters = load->disk.size / CLUSTER;
    uint64_t cluster = (i * 0x9e3779b1u + seed) & (clusters - 1);
    return cluster * CLUSTER + random_of(seed, i) % (CLUSTER / REQUEST) * REQUEST;
}

/* What an allocating write cannot avoid: pread the rest, one pwrite. */
static void copy_by_hand(const struct disk *disk, uint64_t offset, const uint8_t *data, uint8_t *cluster)
{
    uint64_t head = offset % CLUSTER;
    uint64_t start = offset - head;
    uint64_t tail = head + REQUEST;
    if (head > 0) {
        check_transfer(pread(disk->backing, cluster, (size_t)head, (off_t)start), head, "pread");
    }
    memcpy(cluster + head, data, REQUEST);
    if (tail < CLUSTER) {
        ssize_t got = pread(disk->backing, cluster + tail, (size_t)(CLUSTER - tail), (off_t)(start + tail));
        check_transfer(got, CLUSTER - tail, "pread");
    }
    check_transfer(pwrite(disk->image, cluster, CLUSTER, (off_t)start), CLUSTER, "pwrite");
}

static void bare_small(void *context, unsigned thread, uint64_t seed)
{
    struct load *load = context;
    for (uint64_t i = thread; i < load->disk.size / CLUSTER; i += load->threads) {
        copy_by_hand(&load->disk, small_offset(load, seed, i), load->data[thread], load->cluster[thread]);
    }
}

static void engine_small(void *context, unsigned thread, uint64_t seed)
{
    struct load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (uint64_t i = thread; i < load->disk.size / CLUSTER; i += load->threads) {
        uint64_t offset = small_offset(load, seed, i);
        check_engine(addcow_write(load->disk.handle, offset, REQUEST, load->data[thread], &error), &error);
    }
}

static void run_small(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    run_first(self->threads, settings, bare_small, engine_small, result);
    result->bare /= FIRST_SIZE / CLUSTER;
    result->engine /= FIRST_SIZE / CLUSTER;
}

const struct bench_case request_cases[] = {
    {"4 KiB random reads, allocated", 1, "ns", "", AT_LEAST, 0.95, run_reads},
    {"4 KiB random reads, allocated", 2, "ns", "", AT_LEAST, 0.95, run_reads},
    {"4 KiB random writes, allocated", 1, "ns", "", AT_LEAST, 0.95, run_writes},
    {"4 KiB random writes, allocated", 2, "ns", "", AT_LEAST, 0.95, run_writes},
    {"1 MiB sequential first writes", 1, "MiB/s", "", AT_LEAST, 0.9, run_sequential},
    {"1 MiB sequential first writes", 2, "MiB/s", "", AT_LEAST, 0.9, run_sequential},
    {"first 4 KiB write into each cluster", 1, "ns", "", AT_LEAST, 0.9, run_small},
    {"first 4 KiB write into each cluster", 2, "ns", "", AT_LEAST, 0.9, run_small},
};
const unsigned request_case_count = sizeof request_cases / sizeof request_cases[0];

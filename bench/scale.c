/*
 * What must not grow with the disk: opening, memory, and the time of an operation.
 *
 * A large file is slower by itself: the kernel's trees of pages and extents are deeper, and caches hold less of them.
 * So the time of an operation on a disk of 4 TiB over that on one of 1 GiB, the growth, is compared with the growth of
 * the same bare operation.
 *
 * Both disks are used at the same number of places, 32 neighbouring clusters in each of 64 rows spread over the whole
 * disk. Scattered reads are the worst case beyond that: each place is alone in its 2 GiB, so its bit is alone in a
 * cache line, and looking it up is a cache miss which the small disk, with a bitmap of 2 KiB, and the bare read do not
 * have. No bitmap can avoid it; that row has no target.
 */
#include "bench.h"

#include "base/clock.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Opening ---- */

#define OPENS 40u

/* Every byte of the bitmap is data in the page cache, as on a disk that was in use. */
static void fill_bitmap(const struct disk *disk)
{
    uint64_t bytes = disk->size / CLUSTER / 8;
    uint8_t *ones = buffer_new(bytes);
    memset(ones, 0xff, (size_t)bytes);
    check_transfer(pwrite(disk->metadata, ones, (size_t)bytes, (off_t)CLUSTER), bytes, "bitmap");
    free(ones);
}

static double time_open(const char *path, struct addcow_storage *storage)
{
    struct addcow *handle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    double start = (double)clock_nanoseconds();
    check_engine(addcow_open(path, ADDCOW_OPEN_READWRITE, storage, &handle, &error), &error);
    double end = (double)clock_nanoseconds();
    check_engine(addcow_close(handle, &error), &error);
    return (end - start) / 1e6;
}

static void run_open(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    (void)settings;
    struct disk disk = {.name = "open", .size = TIB, .backing_size = MIB, .storage = storage_cached()};
    disk_create(&disk);
    fill_bitmap(&disk);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_close(disk.handle, &error), &error);
    double times[OPENS];
    for (unsigned i = 0; i < OPENS; i++) {
        times[i] = time_open("open.add-cow", disk.storage);
    }
    check_engine(addcow_open("open.add-cow", ADDCOW_OPEN_READWRITE, disk.storage, &disk.handle, &error), &error);
    disk_remove(&disk);
    struct spread spread = spread_of(times, OPENS);
    *result = (struct result){
        .bare = NAN, .engine = spread.median, .value = spread.median, .low = spread.low, .high = spread.high};
}

/* ---- Memory ---- */

/* Returns the memory that is free to the system, as far as the C library can. */
static void trim_heap(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* NaN if the C library does not report it. */
static double heap_bytes(void)
{
#ifdef __GLIBC__
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
#else
    return NAN;
#endif
}

/* NaN, which misses every target, if the heap cannot be measured: another C library or allocator, or sanitizers. */
static double heap_kib(void)
{
    double before = heap_bytes();
    void *probe = buffer_new(MIB);
    double grown = heap_bytes() - before;
    free(probe);
    return grown >= (double)MIB ? before / (double)KIB : NAN;
}

static double resident_kib(void)
{
    unsigned long long total;
    unsigned long long resident;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%llu %llu", &total, &resident) != 2) {
        fail("/proc/self/statm: cannot be read");
    }
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (double)KIB;
}

/* Reads 4 KiB of every 64 MiB of the disk's first `bytes`: one touch for each 128 bytes of bitmap. */
static void touch(const struct disk *disk, uint64_t bytes)
{
    uint8_t *data = buffer_new(REQUEST);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (uint64_t at = 0; at < bytes; at += 64 * MIB) {
        check_engine(addcow_read(disk->handle, at, REQUEST, data, &error), &error);
    }
    free(data);
}

/* KiB that opening a 4 TiB disk and touching its first `bytes` adds to the heap or the resident memory. */
static double memory_growth(uint64_t bytes, double (*measure)(void))
{
    struct disk disk = {.name = "memory", .size = 4 * TIB, .backing_size = MIB, .storage = storage_cached()};
    disk_create(&disk);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_close(disk.handle, &error), &error);
    trim_heap();
    double before = measure();
    check_engine(addcow_open("memory.add-cow", ADDCOW_OPEN_READWRITE, disk.storage, &disk.handle, &error), &error);
    touch(&disk, bytes);
    double growth = measure() - before;
    disk_remove(&disk);
    return growth;
}

static void run_memory_open(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    (void)settings;
    double growth = memory_growth(0, heap_kib);
    *result = (struct result){.bare = NAN, .engine = growth, .value = growth, .low = NAN, .high = NAN};
}

/* The engine's memory for the bits of the touched clusters, over the size of these bits. */
static void compare_memory(uint64_t touched, double growth, struct result *result)
{
    double bits = (double)(touched / CLUSTER / 8 / KIB);
    *result = (struct result){.bare = bits, .engine = growth, .value = growth / bits, .low = NAN, .high = NAN};
}

static void run_memory_part(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    (void)settings;
    double open = memory_growth(0, heap_kib);
    compare_memory(64 * GIB, memory_growth(64 * GIB, heap_kib) - open, result);
}

static void run_memory_whole(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    (void)settings;
    double open = memory_growth(0, heap_kib);
    compare_memory(4 * TIB, memory_growth(4 * TIB, heap_kib) - open, result);
}

static void run_resident(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    (void)settings;
    compare_memory(4 * TIB, memory_growth(4 * TIB, resident_kib), result);
}

/* ---- Time per operation ---- */

#define PLACES 2048u      /* clusters that are used; a power of two */
#define SLICE_PLACES 512u /* operations of a slice */
#define NEIGHBOURS 32u    /* places in a row */
#define SMALL_DISK GIB
#define LARGE_DISK (4 * TIB)

struct place_load {
    struct disk disk;    /* first: see disk_prepare */
    unsigned neighbours; /* places that lie in a row; the rows are spread evenly over the disk */
    uint8_t *data;
    uint8_t *cluster;
};

static uint64_t place_offset(const struct place_load *load, uint64_t place)
{
    uint64_t rows = PLACES / load->neighbours;
    return place / load->neighbours * (load->disk.size / rows) + place % load->neighbours * CLUSTER;
}

static uint64_t random_place(const struct place_load *load, uint64_t seed, unsigned i)
{
    return place_offset(load, random_of(seed, i) % PLACES);
}

/* As random as random_place, but each place once at most: an odd factor permutes the numbers below a power of two. */
static uint64_t fresh_place(const struct place_load *load, uint64_t seed, unsigned i)
{
    return place_offset(load, (i * 0x9e3779b1u + seed) % PLACES);
}

static void place_load_new(struct place_load *load, const char *name, uint64_t size, unsigned neighbours)
{
    *load = (struct place_load){
        .disk = {.name = name, .size = size, .backing_size = MIB, .storage = storage_cached()},
        .neighbours = neighbours,
        .data = buffer_new(REQUEST),
        .cluster = buffer_new(CLUSTER),
    };
}

static void place_load_free(struct place_load *load)
{
    free(load->data);
    free(load->cluster);
}

static void write_all_places(struct place_load *load)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < PLACES; i++) {
        enum addcow_status code = addcow_write(load->disk.handle, place_offset(load, i), REQUEST, load->data, &error);
        check_engine(code, &error);
    }
}

static void bare_read(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        off_t offset = (off_t)random_place(load, seed, i);
        check_transfer(pread(load->disk.image, load->data, REQUEST, offset), REQUEST, "pread");
    }
}

static void engine_read(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        uint64_t offset = random_place(load, seed, i);
        check_engine(addcow_read(load->disk.handle, offset, REQUEST, load->data, &error), &error);
    }
}

static void bare_write(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        off_t offset = (off_t)random_place(load, seed, i);
        check_transfer(pwrite(load->disk.image, load->data, REQUEST, offset), REQUEST, "pwrite");
    }
}

static void engine_write(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        uint64_t offset = random_place(load, seed, i);
        check_engine(addcow_write(load->disk.handle, offset, REQUEST, load->data, &error), &error);
    }
}

/* Past the end of the backing file: the rest of the cluster is zeros. */
static void first_by_hand(struct place_load *load, uint64_t offset)
{
    memcpy(load->cluster, load->data, REQUEST);
    memset(load->cluster + REQUEST, 0, CLUSTER - REQUEST);
    check_transfer(pwrite(load->disk.image, load->cluster, CLUSTER, (off_t)offset), CLUSTER, "pwrite");
}

static void bare_first(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        first_by_hand(load, fresh_place(load, seed, i));
    }
}

static void engine_first(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        uint64_t offset = fresh_place(load, seed, i);
        check_engine(addcow_write(load->disk.handle, offset, REQUEST, load->data, &error), &error);
    }
}

/* By hand, a flush writes 4 KiB of bitmap. The syncs cost nothing here, on either side. */
static void bare_flush(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        uint64_t offset = fresh_place(load, seed, i);
        uint64_t bitmap = CLUSTER + offset / CLUSTER / 8 / REQUEST * REQUEST;
        first_by_hand(load, offset);
        check_transfer(pwrite(load->disk.metadata, load->data, REQUEST, (off_t)bitmap), REQUEST, "pwrite");
    }
}

static void engine_flush(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct place_load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < SLICE_PLACES; i++) {
        uint64_t offset = fresh_place(load, seed, i);
        check_engine(addcow_write(load->disk.handle, offset, REQUEST, load->data, &error), &error);
        check_engine(addcow_flush(load->disk.handle, &error), &error);
    }
}

enum side { BARE_SMALL, BARE_LARGE, ENGINE_LARGE, ENGINE_SMALL, SIDES };

static void growth_of(const struct race *race, struct result *result)
{
    double *values = calloc(race->rounds, sizeof *values);
    if (!values) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < race->rounds; i++) {
        double bare = race->times[BARE_LARGE][i] / race->times[BARE_SMALL][i];
        double engine = race->times[ENGINE_LARGE][i] / race->times[ENGINE_SMALL][i];
        values[i] = bare / engine;
    }
    struct spread spread = spread_of(values, race->rounds);
    free(values);
    *result = (struct result){
        .bare = race_ratio(race, BARE_LARGE, BARE_SMALL).median,
        .engine = race_ratio(race, ENGINE_LARGE, ENGINE_SMALL).median,
        .value = spread.median,
        .low = spread.low,
        .high = spread.high,
    };
}

/* Both disks stay open for the whole race, all places allocated; or (fresh) each slice gets a new one. */
static void run_growth(slice_function *bare, slice_function *engine, bool fresh, unsigned neighbours, unsigned rounds,
                       struct result *result)
{
    struct place_load small;
    struct place_load large;
    place_load_new(&small, "small", SMALL_DISK, neighbours);
    place_load_new(&large, "large", LARGE_DISK, neighbours);
    struct team *team = team_new(1);
    struct contestant sides[SIDES];
    for (unsigned i = 0; i < SIDES; i++) {
        sides[i] = (struct contestant){
            .team = team,
            .prepare = fresh ? disk_prepare : NULL,
            .run = i == BARE_SMALL || i == BARE_LARGE ? bare : engine,
            .finish = fresh ? disk_finish : NULL,
            .context = i == BARE_SMALL || i == ENGINE_SMALL ? &small : &large,
        };
    }
    if (!fresh) {
        disk_prepare(&small);
        disk_prepare(&large);
        write_all_places(&small);
        write_all_places(&large);
    }
    struct race race = race_run(sides, SIDES, rounds);
    growth_of(&race, result);
    race_free(&race);
    if (!fresh) {
        disk_finish(&small);
        disk_finish(&large);
    }
    team_free(team);
    place_load_free(&small);
    place_load_free(&large);
}

static void run_read_growth(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    run_growth(bare_read, engine_read, false, NEIGHBOURS, settings->quick ? 50 : 400, result);
}

static void run_write_growth(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    run_growth(bare_write, engine_write, false, NEIGHBOURS, settings->quick ? 50 : 400, result);
}

static void run_first_growth(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    run_growth(bare_first, engine_first, true, NEIGHBOURS, settings->quick ? 10 : 40, result);
}

static void run_flush_growth(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    run_growth(bare_flush, engine_flush, true, NEIGHBOURS, settings->quick ? 10 : 40, result);
}

static void run_scattered(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    run_growth(bare_read, engine_read, false, 1, settings->quick ? 50 : 400, result);
}

const struct bench_case scale_cases[] = {
    {"open a 1 TiB disk", 1, "ms", "ms", AT_MOST, 10, run_open},
    {"heap of an open 4 TiB disk", 1, "KiB", "KiB", AT_MOST, 256, run_memory_open},
    {"heap for 64 GiB touched, over its bits", 1, "KiB", "", AT_MOST, 1.25, run_memory_part},
    {"heap for 4 TiB touched, over its bits", 1, "KiB", "", AT_MOST, 1.25, run_memory_whole},
    {"resident for 4 TiB touched, over its bits", 1, "KiB", "", AT_MOST, 1.25, run_resident},
    {"4 KiB reads, 4 TiB over 1 GiB", 1, "x", "", AT_LEAST, 0.9, run_read_growth},
    {"scattered 4 KiB reads, 4 TiB over 1 GiB", 1, "x", "", NO_TARGET, NAN, run_scattered},
    {"4 KiB writes, 4 TiB over 1 GiB", 1, "x", "", AT_LEAST, 0.9, run_write_growth},
    {"first writes, 4 TiB over 1 GiB", 1, "x", "", AT_LEAST, 0.9, run_first_growth},
    {"first write + flush, 4 TiB over 1 GiB", 1, "x", "", AT_LEAST, 0.9, run_flush_growth},
};
const unsigned scale_case_count = sizeof scale_cases / sizeof scale_cases[0];

/*
 * Many requests at once, and long chains: what one request costs must not grow with the number of the others.
 *
 * The storage takes 1 ms for each operation, so that all threads are inside the engine at once, and what is measured is
 * processor time, not the clock: the engine's lists, locks and wake-ups show, and waiting does not. Many threads cost
 * more by themselves, as they spoil each other's caches. So the growth is compared with that of the same writes without
 * the engine. A chain of 16 disks is read by the clock, because there is nothing to wait for.
 */
#include "bench.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUND_OPERATIONS 1024u /* of all threads together */
#define CROWD_SIZE (ROUND_OPERATIONS * CLUSTER)

struct crowd;
typedef void crowd_operation(struct crowd *crowd);

struct crowd {
    struct disk disk; /* first: see disk_prepare */
    uint8_t *data;    /* a cluster; all threads write the same */
    crowd_operation *operation;
    unsigned share; /* operations of one thread */
    atomic_uint_fast64_t next;
    atomic_uint_fast64_t processor; /* nanoseconds of all threads */
};

static uint64_t thread_nanoseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) {
        fail("the processor time of a thread cannot be read");
    }
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whole clusters, so that the copy of the rest of a cluster does not hide what the engine does. */
static void write_cluster(struct crowd *crowd)
{
    uint64_t offset = atomic_fetch_add(&crowd->next, 1) % ROUND_OPERATIONS * CLUSTER;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_write(crowd->disk.handle, offset, CLUSTER, crowd->data, &error), &error);
}

static void write_cluster_bare(struct crowd *crowd)
{
    uint64_t offset = atomic_fetch_add(&crowd->next, 1) % ROUND_OPERATIONS * CLUSTER;
    storage_wait();
    check_transfer(pwrite(crowd->disk.image, crowd->data, CLUSTER, (off_t)offset), CLUSTER, "pwrite");
}

static void write_cluster_and_flush(struct crowd *crowd)
{
    write_cluster(crowd);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_flush(crowd->disk.handle, &error), &error);
}

static void run_share(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    (void)seed;
    struct crowd *crowd = context;
    uint64_t before = thread_nanoseconds();
    for (unsigned i = 0; i < crowd->share; i++) {
        crowd->operation(crowd);
    }
    atomic_fetch_add(&crowd->processor, thread_nanoseconds() - before);
}

/* Microseconds of processor time for one operation, with a fresh disk. */
static double cost_of(crowd_operation *operation, struct team *team, unsigned threads)
{
    struct crowd crowd = {
        .disk = {.name = "crowd", .size = CROWD_SIZE, .backing_size = MIB, .storage = storage_slow()},
        .data = buffer_new(CLUSTER),
        .operation = operation,
        .share = ROUND_OPERATIONS / threads,
    };
    disk_prepare(&crowd);
    team_run(team, run_share, &crowd, 0);
    disk_finish(&crowd);
    free(crowd.data);
    return (double)atomic_load(&crowd.processor) / ROUND_OPERATIONS / 1e3;
}

/* Columns bare and engine: how the processor time of an operation grows from few threads to many. */
static void run_crowd(crowd_operation *operation, unsigned few, unsigned many, unsigned rounds, struct result *result)
{
    struct team *small = team_new(few);
    struct team *large = team_new(many);
    double *values = calloc(3 * (size_t)rounds, sizeof *values);
    if (!values) {
        fail("out of memory");
    }
    double *bare = values + rounds;
    double *engine = bare + rounds;
    for (unsigned i = 0; i < rounds; i++) {
        bare[i] = cost_of(write_cluster_bare, large, many) / cost_of(write_cluster_bare, small, few);
        engine[i] = cost_of(operation, large, many) / cost_of(operation, small, few);
        values[i] = engine[i] / bare[i];
    }
    struct spread spread = spread_of(values, rounds);
    *result = (struct result){
        .bare = spread_of(bare, rounds).median,
        .engine = spread_of(engine, rounds).median,
        .value = spread.median,
        .low = spread.low,
        .high = spread.high,
    };
    free(values);
    team_free(small);
    team_free(large);
}

static void run_allocations(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    run_crowd(write_cluster, 8, self->threads, settings->quick ? 3 : 9, result);
}

static void run_flushers(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    run_crowd(write_cluster_and_flush, 2, self->threads, settings->quick ? 1 : 5, result);
}

/* ---- Chains ---- */

#define LEVELS 16u
#define CHAIN_SIZE (16 * MIB)
#define CHAIN_READS 512u

struct chain {
    struct disk disk; /* the lowest, over a raw file */
    struct addcow *top;
    uint8_t *data;
};

static void level_name(char name[32], unsigned level, const char *ending)
{
    snprintf(name, 32, "chain-%u.%s", level, ending);
}

/* Puts disks with nothing in them on the lowest one, whose name is chain-1, up to LEVELS, and opens the highest. */
static void chain_build(struct chain *chain)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    disk_create(&chain->disk);
    check_engine(addcow_close(chain->disk.handle, &error), &error);
    char name[32];
    char below[32];
    char image[32];
    for (unsigned level = 2; level <= LEVELS; level++) {
        level_name(name, level, "add-cow");
        level_name(below, level - 1, "add-cow");
        level_name(image, level, "raw");
        struct disk_names names = {.metadata = name, .image = image, .backing = below, .format = "add-cow"};
        disk_make(&names, CHAIN_SIZE, chain->disk.storage);
    }
    check_engine(addcow_open(name, 0, chain->disk.storage, &chain->top, &error), &error);
    check_engine(addcow_open("chain-1.add-cow", 0, chain->disk.storage, &chain->disk.handle, &error), &error);
}

static void chain_end(struct chain *chain)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_close(chain->top, &error), &error);
    for (unsigned level = 2; level <= LEVELS; level++) {
        char name[32];
        level_name(name, level, "add-cow");
        unlink(name);
        level_name(name, level, "raw");
        unlink(name);
    }
    disk_remove(&chain->disk);
}

static void read_through(struct addcow *disk, struct chain *chain, uint64_t seed)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < CHAIN_READS; i++) {
        uint64_t offset = random_of(seed, i) % (CHAIN_SIZE / REQUEST) * REQUEST;
        check_engine(addcow_read(disk, offset, REQUEST, chain->data, &error), &error);
    }
}

static void read_low(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct chain *chain = context;
    read_through(chain->disk.handle, chain, seed);
}

static void read_high(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    struct chain *chain = context;
    read_through(chain->top, chain, seed);
}

/* Columns bare and engine: nanoseconds for a read of the raw file at the end, through one disk, and through 16. */
static void run_chain(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)self;
    struct chain chain = {
        .disk = {.name = "chain-1", .size = CHAIN_SIZE, .backing_size = CHAIN_SIZE, .storage = storage_cached()},
        .data = buffer_new(REQUEST),
    };
    chain_build(&chain);
    struct team *team = team_new(1);
    const struct contestant sides[] = {{.team = team, .run = read_low, .context = &chain},
                                       {.team = team, .run = read_high, .context = &chain}};
    struct race race = race_run(sides, 2, settings->quick ? 20 : 200);
    struct spread ratio = race_ratio(&race, 1, 0);
    *result = (struct result){
        .bare = race_median(&race, 0) / CHAIN_READS,
        .engine = race_median(&race, 1) / CHAIN_READS,
        .value = ratio.median,
        .low = ratio.low,
        .high = ratio.high,
    };
    race_free(&race);
    team_free(team);
    chain_end(&chain);
    free(chain.data);
}

const struct bench_case in_flight_cases[] = {
    {"processor time: allocations, 256 at once over 8", 256, "x", "", AT_MOST, 1.25, run_allocations},
    {"processor time: write + flush, 64 at once over 2", 64, "x", "", AT_MOST, 1.25, run_flushers},
    {"4 KiB reads through 16 disks, over 1", 1, "ns", "", AT_MOST, 2, run_chain},
};
const unsigned in_flight_case_count = sizeof in_flight_cases / sizeof in_flight_cases[0];

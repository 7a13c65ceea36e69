/*
 * Requests that wait for storage instead of the processor: allocations must wait concurrently, and flushes must share
 * their syncs.
 */
#include "bench.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#define OPERATIONS 16u /* of one thread in one slice */
#define WAITING 32u    /* threads, at most */
#define DISK_SIZE (WAITING * OPERATIONS * CLUSTER)

struct waiting_load {
    struct disk disk;
    uint8_t *data; /* all threads write the same */
    atomic_uint_fast64_t next;
};

static void waiting_load_new(struct waiting_load *load, struct addcow_storage *storage)
{
    *load = (struct waiting_load){
        .disk = {.name = "waiting", .size = DISK_SIZE, .backing_size = DISK_SIZE, .storage = storage},
        .data = buffer_new(REQUEST),
    };
}

static void waiting_prepare(void *context)
{
    struct waiting_load *load = context;
    atomic_store(&load->next, 0);
    disk_create(&load->disk);
}

static void waiting_finish(void *context)
{
    struct waiting_load *load = context;
    disk_remove(&load->disk);
}

/* Writes to the middle of a cluster of its own; the clusters beside it are other threads'. */
static void write_next(struct waiting_load *load)
{
    uint64_t offset = atomic_fetch_add(&load->next, 1) * CLUSTER + 5 * REQUEST;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_write(load->disk.handle, offset, REQUEST, load->data, &error), &error);
}

/* ---- Concurrent allocations ---- */

static void allocate_slice(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    (void)seed;
    struct waiting_load *load = context;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        write_next(load);
    }
}

/* Columns bare and engine: allocations in a second, of one thread times 32, and of 32 threads. */
static void run_latency(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    struct waiting_load load;
    waiting_load_new(&load, storage_slow());
    struct contestant one = {
        .team = team_new(1),
        .prepare = waiting_prepare,
        .run = allocate_slice,
        .finish = waiting_finish,
        .context = &load,
    };
    struct contestant all = one;
    all.team = team_new(self->threads);
    struct contestant sides[] = {one, all};
    struct race race = race_run(sides, 2, settings->quick ? 4 : 16);
    struct spread ratio = race_ratio(&race, 0, 1);
    double of_all = OPERATIONS * self->threads * 1e9;
    *result = (struct result){
        .bare = of_all / race_median(&race, 0),
        .engine = of_all / race_median(&race, 1),
        .value = ratio.median,
        .low = ratio.low,
        .high = ratio.high,
    };
    race_free(&race);
    team_free(one.team);
    team_free(all.team);
    free(load.data);
}

/* ---- Flushes that join ---- */

static void flush_slice(void *context, unsigned thread, uint64_t seed)
{
    (void)thread;
    (void)seed;
    struct waiting_load *load = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        write_next(load);
        check_engine(addcow_flush(load->disk.handle, &error), &error);
    }
}

/* Columns bare and engine: flushes that were called, and syncs that the storage saw. */
static void run_flushes(const struct bench_case *self, bool allocated, struct result *result)
{
    struct waiting_load load;
    waiting_load_new(&load, storage_counting());
    waiting_prepare(&load);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (allocated) {
        disk_fill(&load.disk);
        check_engine(addcow_flush(load.disk.handle, &error), &error);
    }
    struct team *team = team_new(self->threads);
    uint64_t before = storage_syncs();
    team_run(team, flush_slice, &load, 0);
    double syncs = (double)(storage_syncs() - before);
    double flushes = OPERATIONS * self->threads;
    *result = (struct result){.bare = flushes, .engine = syncs, .value = syncs / flushes, .low = NAN, .high = NAN};
    team_free(team);
    waiting_finish(&load);
    free(load.data);
}

static void run_flushes_allocated(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)settings;
    run_flushes(self, true, result);
}

static void run_flushes_first(const struct bench_case *self, const struct settings *settings, struct result *result)
{
    (void)settings;
    run_flushes(self, false, result);
}

const struct bench_case waiting_cases[] = {
    {"allocations, 1 ms a file operation, over 32 x 1", WAITING, "/s", "", AT_LEAST, 0.8, run_latency},
    {"write + flush, allocated: syncs over flushes", 8, "", "", AT_MOST, 0.5, run_flushes_allocated},
    {"first write + flush: syncs over flushes", 8, "", "", AT_MOST, 0.75, run_flushes_first},
};
const unsigned waiting_case_count = sizeof waiting_cases / sizeof waiting_cases[0];

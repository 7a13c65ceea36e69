/*
 * Random requests through the public interface, for hunts.
 */
#include "programs.h"
#include "rig.h"

#include "base/random.h"

#include <inttypes.h>
#include <string.h>

#define SECTORS 16u /* of the first two clusters: the disk is never shorter */

enum kind { NOTHING, WRITE, READ, FLUSH, MAP, GROW, SHRINK, STREAM };

static const char *const kinds[] = {"nothing", "write", "read", "flush", "map", "grow", "shrink", "stream"};

struct request {
    enum kind kind;
    uint64_t sector;
};

static struct {
    unsigned threads;
    struct rig_options disk;
    struct request requests[RIG_THREADS][WEAK_RANDOM_REQUESTS];
} plan;

/* Few sectors, so that threads meet. */
static uint64_t random_sector(struct random *random)
{
    static const uint64_t sectors[] = {0, 1, 2, 3, 8, 9, 10, 11};
    return sectors[random_below(random, sizeof sectors / sizeof sectors[0])];
}

/* Each sector has one writer. */
static uint64_t own_sector(struct random *random, unsigned self)
{
    uint64_t sector;
    do {
        sector = random_sector(random);
    } while (sector % plan.threads != self);
    return sector;
}

static struct request random_request(struct random *random, unsigned self)
{
    static const enum kind likely[] = {WRITE, WRITE, WRITE, WRITE, READ,   READ,  READ,
                                       FLUSH, FLUSH, MAP,   GROW,  SHRINK, STREAM};
    struct request request = {.kind = likely[random_below(random, sizeof likely / sizeof likely[0])]};
    request.sector = request.kind == WRITE ? own_sector(random, self) : random_sector(random);
    return request;
}

bool weak_random_make(uint64_t seed, unsigned threads, unsigned requests)
{
    struct random random = {seed};
    memset(&plan, 0, sizeof plan);
    plan.threads = threads != 0 ? threads : (unsigned)random_between(&random, 2, 3);
    plan.disk.size = (uint64_t)2 * RIG_CLUSTER + random_below(&random, 3) * (RIG_CLUSTER / 2);
    plan.disk.backing_size = random_between(&random, 1, 5) * (RIG_CLUSTER / 2);
    plan.disk.loaded = !random_once_in(&random, 4);
    for (unsigned t = 0; t < plan.threads; t++) {
        uint64_t count = requests != 0 ? requests : random_between(&random, 1, 3);
        for (uint64_t i = 0; i < count; i++) {
            plan.requests[t][i] = random_request(&random, t);
        }
    }
    weak_random.threads = plan.threads;
    return true;
}

bool weak_random_remove(unsigned number)
{
    struct request *request = &plan.requests[number / WEAK_RANDOM_REQUESTS][number % WEAK_RANDOM_REQUESTS];
    bool removed = request->kind != NOTHING;
    request->kind = NOTHING;
    return removed;
}

void weak_random_keep(bool restore)
{
    static struct request kept[RIG_THREADS][WEAK_RANDOM_REQUESTS];
    if (restore) {
        memcpy(plan.requests, kept, sizeof kept);
    } else {
        memcpy(kept, plan.requests, sizeof kept);
    }
}

void weak_random_print(FILE *out)
{
    fprintf(out, "disk: %" PRIu64 " bytes, clusters of %u; backing file: %" PRIu64 " bytes; bitmap %sloaded\n",
            plan.disk.size, RIG_CLUSTER, plan.disk.backing_size, plan.disk.loaded ? "" : "not ");
    for (unsigned t = 0; t < plan.threads; t++) {
        fprintf(out, "thread %u:", t);
        for (unsigned i = 0; i < WEAK_RANDOM_REQUESTS; i++) {
            const struct request *request = &plan.requests[t][i];
            if (request->kind == WRITE || request->kind == READ) {
                fprintf(out, " %s sector %" PRIu64 ";", kinds[request->kind], request->sector);
            } else if (request->kind != NOTHING) {
                fprintf(out, " %s;", kinds[request->kind]);
            }
        }
        fputc('\n', out);
    }
}

/* ---- The program ---- */

static void setup(void)
{
    rig_begin(&plan.disk);
}

static void map(void)
{
    bool allocated;
    uint64_t run;
    rig_expect(addcow_map(rig->disk, 0, (uint64_t)2 * RIG_CLUSTER, &allocated, &run, NULL));
    if (run == 0) {
        weak_fail("MAP-01: a run is empty");
    }
}

static void perform(unsigned self, const struct request *request)
{
    switch (request->kind) {
    case NOTHING:
        break;
    case WRITE:
        rig_write(self, request->sector);
        break;
    case READ:
        rig_read(self, request->sector);
        break;
    case FLUSH:
        rig_expect(addcow_flush(rig->disk, NULL));
        break;
    case MAP:
        map();
        break;
    case GROW:
        rig_expect(addcow_resize(rig->disk, (uint64_t)RIG_CLUSTERS * RIG_CLUSTER, NULL));
        break;
    case SHRINK:
        rig_expect(addcow_resize(rig->disk, (uint64_t)2 * RIG_CLUSTER, NULL));
        break;
    case STREAM:
        rig_expect(addcow_stream(rig->disk, NULL, NULL, NULL));
        break;
    }
}

static void run_thread(unsigned self)
{
    for (unsigned i = 0; i < WEAK_RANDOM_REQUESTS; i++) {
        perform(self, &plan.requests[self][i]);
    }
}

struct weak_program weak_random = {"random", "random requests", 2, setup, run_thread, rig_finish};

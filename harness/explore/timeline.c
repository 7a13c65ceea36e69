/*
 * The timeline of a schedule.
 *
 * A strategy stands between the scheduler and the replay of the schedule. It lets one step be done at a time, and
 * prints each before it happens.
 */
#include "explore/timeline.h"

#include "workload/disk_files.h"
#include "workload/stamp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A strategy that does what another one says, and tells. */
struct teller {
    struct sched_strategy strategy;
    struct sched_strategy *inner;
    const struct sim *sim;
    FILE *out;
    uint64_t guilty; /* a byte of the disk, or UINT64_MAX */
    uint64_t left;   /* steps until the inner one is asked again */
    uint32_t chosen;
    uint32_t threads;
};

static bool teller_begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct teller *teller = (struct teller *)strategy;
    teller->threads = threads;
    fputs("   step", teller->out);
    for (uint32_t i = 0; i < threads; i++) {
        fprintf(teller->out, "  thread %-22" PRIu32, i);
    }
    fputs("\n", teller->out);
    return teller->inner->ops->begin(teller->inner, threads);
}

/* The step in words; false if it is not worth a row. */
static bool describe(const struct teller *teller, const struct sched_access *access, char text[64])
{
    static const char *const verbs[] = {
        [SCHED_START] = "starts",   [SCHED_READ] = "reads", [SCHED_WRITE] = "writes",    [SCHED_LOCK] = "locks",
        [SCHED_UNLOCK] = "unlocks", [SCHED_WAIT] = "waits", [SCHED_BROADCAST] = "wakes", [SCHED_END] = "ends"};
    const char *name = sim_name_of(teller->sim, access->object);
    if (name == NULL && (access->kind == SCHED_READ || access->kind == SCHED_WRITE)) {
        return false;
    }
    if (name == NULL) {
        snprintf(text, 64, "%s %04x", verbs[access->kind], (unsigned)((uintptr_t)access->object >> 3 & 0xffff));
    } else if (access->last == UINT64_MAX) {
        snprintf(text, 64, "%s %s", access->kind == SCHED_READ ? "asks" : "syncs or cuts", name);
    } else {
        snprintf(text, 64, "%s %s %" PRIu64 "..%" PRIu64, verbs[access->kind], name, access->first, access->last);
    }
    return true;
}

/* The sector of the image that a row tells about; UINT64_MAX if it is none. */
static uint64_t told_sector(const struct teller *teller, const struct sched_access *access)
{
    const char *name = sim_name_of(teller->sim, access->object);
    bool is_image = name != NULL && strcmp(name, DISK_IMAGE) == 0 && access->last != UINT64_MAX;
    return teller->guilty != UINT64_MAX ? teller->guilty / SIM_SECTOR : is_image ? access->first : UINT64_MAX;
}

static void tell_sector(const struct teller *teller, uint64_t sector)
{
    uint64_t length;
    const uint8_t *image = sim_bytes(teller->sim, DISK_IMAGE, &length);
    uint64_t at = teller->guilty != UINT64_MAX ? teller->guilty / 8 * 8 : sector * SIM_SECTOR;
    struct stamp stamp;
    uint64_t offset;
    fprintf(teller->out, "| %s %" PRIu64 ": ", DISK_IMAGE, sector);
    if (at + 8 > length) {
        fputs("behind its end", teller->out);
    } else if (stamp_identify(image + at, &stamp, &offset)) {
        stamp_print(teller->out, stamp);
    } else {
        fputs("other bytes", teller->out);
    }
}

static void tell(const struct teller *teller, const struct sched_choice *choice)
{
    char text[64];
    const struct sched_access *access = choice->pending[teller->chosen];
    if (!describe(teller, access, text)) {
        return;
    }
    fprintf(teller->out, "%7" PRIu64, choice->step);
    fprintf(teller->out, "%*s  %-29s", (int)(31 * teller->chosen), "", text);
    uint64_t sector = told_sector(teller, access);
    if (sector != UINT64_MAX) {
        fprintf(teller->out, "%*s", (int)(31 * (choice->threads - 1 - teller->chosen)), "");
        tell_sector(teller, sector);
    }
    fputs("\n", teller->out);
}

static void teller_end(struct sched_strategy *strategy, uint64_t steps)
{
    struct teller *teller = (struct teller *)strategy;
    teller->inner->ops->end(teller->inner, steps);
    if (teller->guilty != UINT64_MAX) {
        fprintf(teller->out, "%7s%*s", "end", (int)(31 * teller->threads), "");
        tell_sector(teller, teller->guilty / SIM_SECTOR);
        fputs("\n", teller->out);
    }
}

static uint32_t teller_choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *run)
{
    struct teller *teller = (struct teller *)strategy;
    bool goes_on = teller->left > 0 && (choice->enabled >> teller->chosen & 1) != 0;
    if (!goes_on) {
        teller->chosen = teller->inner->ops->choose(teller->inner, choice, &teller->left);
    }
    teller->left--;
    *run = 1;
    tell(teller, choice);
    return teller->chosen;
}

static void teller_destroy(struct sched_strategy *strategy)
{
    sched_strategy_free(((struct teller *)strategy)->inner);
}

enum explore_answer timeline_print(const struct trace *trace, const struct explore_options *options,
                                   const struct sched_schedule *schedule, uint64_t guilty, FILE *out)
{
    static const struct sched_strategy_ops ops = {teller_begin, teller_choose, teller_end, teller_destroy};
    struct explore_counts counts = {0};
    struct explore *explore = explore_make(trace, options);
    struct teller teller = {.strategy = {&ops},
                            .inner = sched_make_replay(schedule),
                            .sim = explore_storage(explore),
                            .out = out,
                            .guilty = guilty};
    enum explore_answer answer = explore_run(explore, &teller.strategy, &counts, out);
    sched_strategy_free(&teller.strategy);
    explore_free(explore);
    return answer;
}

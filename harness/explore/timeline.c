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
#include <string.h>

/* A strategy that follows another one, and prints each step. */
struct printer {
    struct sched_strategy strategy;
    struct sched_strategy *inner;
    const struct explore *explore;
    const struct sim *sim;
    FILE *out;
    uint64_t wrong_byte; /* a byte of the disk, or UINT64_MAX */
    uint64_t left;       /* steps until the inner one is asked again */
    uint32_t chosen;
    uint32_t threads;
};

static bool printer_begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct printer *printer = (struct printer *)strategy;
    printer->threads = threads;
    fputs("   step", printer->out);
    for (uint32_t i = 0; i < threads; i++) {
        fprintf(printer->out, "  thread %-22" PRIu32, i);
    }
    fputs("\n", printer->out);
    return printer->inner->ops->begin(printer->inner, threads);
}

/* Describes the step; false if it needs no row. */
static bool describe(const struct printer *printer, const struct sched_access *access, char text[64])
{
    static const char *const verbs[] = {
        [SCHED_START] = "starts",   [SCHED_READ] = "reads", [SCHED_WRITE] = "writes",    [SCHED_LOCK] = "locks",
        [SCHED_UNLOCK] = "unlocks", [SCHED_WAIT] = "waits", [SCHED_BROADCAST] = "wakes", [SCHED_END] = "ends"};
    const char *name = sim_name_of(printer->sim, access->object);
    if (name == NULL && (access->kind == SCHED_READ || access->kind == SCHED_WRITE)) {
        return false;
    }
    const char *lock = explore_lock_name(printer->explore, access->object);
    if (access->object == NULL) {
        snprintf(text, 64, "%s", verbs[access->kind]);
    } else if (name == NULL) { /* a disk that is being opened has no names yet */
        snprintf(text, 64, "%s %s", verbs[access->kind], lock != NULL ? lock : "a lock");
    } else if (access->last == UINT64_MAX) {
        snprintf(text, 64, "%s %s", access->kind == SCHED_READ ? "asks" : "syncs or cuts", name);
    } else {
        snprintf(text, 64, "%s %s %" PRIu64 "..%" PRIu64, verbs[access->kind], name, access->first, access->last);
    }
    return true;
}

/* The sector of the image that a row shows; UINT64_MAX if none. */
static uint64_t sector_of_step(const struct printer *printer, const struct sched_access *access)
{
    const char *name = sim_name_of(printer->sim, access->object);
    bool is_image = name != NULL && strcmp(name, DISK_IMAGE) == 0 && access->last != UINT64_MAX;
    return printer->wrong_byte != UINT64_MAX ? printer->wrong_byte / SIM_SECTOR : is_image ? access->first : UINT64_MAX;
}

static void print_sector(const struct printer *printer, uint64_t sector)
{
    uint64_t length;
    const uint8_t *image = sim_bytes(printer->sim, DISK_IMAGE, &length);
    uint64_t at = printer->wrong_byte != UINT64_MAX ? printer->wrong_byte / 8 * 8 : sector * SIM_SECTOR;
    struct stamp stamp;
    uint64_t offset;
    fprintf(printer->out, "| %s %" PRIu64 ": ", DISK_IMAGE, sector);
    if (at + 8 > length) {
        fputs("behind its end", printer->out);
    } else if (stamp_identify(image + at, &stamp, &offset)) {
        stamp_print(printer->out, stamp);
    } else {
        fputs("other bytes", printer->out);
    }
}

static void print_step(const struct printer *printer, const struct sched_choice *choice)
{
    char text[64];
    const struct sched_access *access = choice->pending[printer->chosen];
    if (!describe(printer, access, text)) {
        return;
    }
    fprintf(printer->out, "%7" PRIu64, choice->step);
    fprintf(printer->out, "%*s  %-29s", (int)(31 * printer->chosen), "", text);
    uint64_t sector = sector_of_step(printer, access);
    if (sector != UINT64_MAX) {
        fprintf(printer->out, "%*s", (int)(31 * (choice->threads - 1 - printer->chosen)), "");
        print_sector(printer, sector);
    }
    fputs("\n", printer->out);
}

static void printer_end(struct sched_strategy *strategy, uint64_t steps)
{
    struct printer *printer = (struct printer *)strategy;
    printer->inner->ops->end(printer->inner, steps);
    if (printer->wrong_byte != UINT64_MAX) {
        fprintf(printer->out, "%7s%*s", "end", (int)(31 * printer->threads), "");
        print_sector(printer, printer->wrong_byte / SIM_SECTOR);
        fputs("\n", printer->out);
    }
}

static uint32_t printer_choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps)
{
    struct printer *printer = (struct printer *)strategy;
    bool goes_on = printer->left > 0 && (choice->enabled >> printer->chosen & 1) != 0;
    if (!goes_on) {
        printer->chosen = printer->inner->ops->choose(printer->inner, choice, &printer->left);
    }
    printer->left--;
    *steps = 1;
    print_step(printer, choice);
    return printer->chosen;
}

static void printer_destroy(struct sched_strategy *strategy)
{
    sched_strategy_free(((struct printer *)strategy)->inner);
}

struct timeline_result timeline_print(const struct trace *trace, const struct explore_options *options,
                                      const struct sched_schedule *schedule, uint64_t wrong_byte, FILE *out)
{
    static const struct sched_strategy_ops ops = {printer_begin, printer_choose, printer_end, printer_destroy};
    struct explore_counts counts = {0};
    struct explore *explore = explore_make(trace, options);
    struct printer printer = {.strategy = {&ops},
                              .inner = sched_make_replay(schedule),
                              .explore = explore,
                              .sim = explore_storage(explore),
                              .out = out,
                              .wrong_byte = wrong_byte};
    struct timeline_result result = {.answer = explore_run(explore, &printer.strategy, &counts, out)};
    result.fault_hit = counts.faults > 0;
    const struct sched_schedule *done = explore_schedule(explore);
    for (uint32_t i = 0; i < done->count; i++) {
        sched_schedule_append(&result.done, done->segments[i].thread, done->segments[i].steps);
    }
    sched_strategy_free(&printer.strategy);
    explore_free(explore);
    return result;
}

/*
 * What must hold when the operations of a trace have been done.
 *
 * After a fault the storage works again, and so must the disk. Then the disk is closed. Its files must be, for the
 * reference engine, the disk that the oracle has. Last, some crashes of the run are judged.
 */
#include "explore/explore_parts.h"

#include "judges/recovery.h"
#include "base/report.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"
#include "adapters/perform.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CRASHES 4u /* judged of each run, if any are */

/* `bits`: the bitmaps and "all allocated" must be the same too. */
static bool same_disk(const struct addcow_ref *disk, const struct addcow_ref *expected, bool bits)
{
    uint64_t size = expected->size;
    if (disk->size != size || (bits && disk->all_allocated != expected->all_allocated)) {
        return false;
    }
    uint8_t *bytes = report_allocate(2, size);
    addcow_ref_read(expected, 0, size, bytes);
    addcow_ref_read(disk, 0, size, bytes + size);
    bool same = memcmp(bytes, bytes + size, (size_t)size) == 0;
    for (uint64_t k = 0; bits && same && k < addcow_cluster_count(size, expected->cluster_size); k++) {
        same = ((disk->bitmap[k / 8] ^ expected->bitmap[k / 8]) >> k % 8 & 1) == 0;
    }
    free(bytes);
    return same;
}

/* The files in `sim` must be, for the reference engine, the disk that the oracle has. */
static bool judge_files(const struct explore *explore, const struct sim *sim, const struct oracle *oracle,
                        const char *when, FILE *out)
{
    struct sim_disk disk;
    char problem[128];
    if (!sim_disk_open(sim, &disk, problem, sizeof problem)) {
        fprintf(out, "after %s the reference engine refuses the disk: %s\n", when, problem);
        return false;
    }
    /* The bits that a failed stream or resize has set may have reached the file or not. */
    bool same = same_disk(&disk.ref, &oracle->disk, !fault_injection_was_hit(&explore->fault)) &&
                !sim_disk_has_stray_bits(&disk);
    sim_disk_close(&disk);
    if (!same) {
        fprintf(out, "after %s the files hold another disk than the one that was written (%s)\n", when,
                "WR-01, WR-02, BMP-05, DUR-01, DUR-06, DUR-10");
    }
    return same;
}

/* Judges a flush or a close without a fault. With `lost` it must fail all the same. */
static bool judge_undisturbed(const char *what, enum addcow_status code, bool lost, const struct addcow_error *error,
                              FILE *out)
{
    if (lost ? code == ADDCOW_IO : code == ADDCOW_OK) {
        return true;
    }
    fprintf(out, "%s gives %s%s (%s)\n", what, addcow_status_name(code),
            lost ? " although a sync of the image has failed" : "", "DUR-06, DUR-07, DUR-10, ERR-03");
    if (code != ADDCOW_OK) {
        fprintf(out, "  %s\n", error->message);
    }
    return false;
}

static void note_write(void *context, uint64_t offset, uint64_t length, const uint8_t *bytes)
{
    oracle_write(context, offset, length, bytes);
}

static bool write_after(const struct explore *explore, struct oracle *oracle, FILE *out)
{
    const struct stamp stamp = {STAMP_WRITE, explore->trace->count};
    return recovery_write(explore->adapter, oracle->disk.size, oracle->disk.cluster_size, stamp, note_write, oracle,
                          out);
}

bool explore_judge_recovery(const struct explore *explore, struct oracle *oracle, FILE *out)
{
    const struct fault_injection *fault = &explore->fault;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct choices nothing_unsynced = {0};
    struct sim_crash_options options = sim_disk_crash_options(&explore->trace->disk);
    if (fault->at == 0) {
        return true;
    }
    for (uint32_t i = 0; i < explore->trace->count; i++) {
        if (fault->image_lost && explore->trace->operations[i].kind == OPERATION_FLUSH &&
            explore->spans[i].begin > fault->lost && explore->spans[i].status == ADDCOW_OK) {
            fprintf(out, "operation %" PRIu32 ", a flush, succeeds after a sync of the image has failed (DUR-07)\n", i);
            return false;
        }
    }
    if (!write_after(explore, oracle, out)) {
        return false;
    }
    enum addcow_status code = adapter_flush(explore->adapter, &error);
    if (!judge_undisturbed("a flush after the fault", code, fault->image_lost, &error, out)) {
        return false;
    }
    if (code != ADDCOW_OK) {
        return true;
    }
    sim_crash(explore->sim, sim_moment(explore->sim), &options, &nothing_unsynced, explore->crashed);
    return judge_files(explore, explore->crashed, oracle, "a flush after the fault, and a crash,", out);
}

bool explore_judge_close(struct explore *explore, const struct oracle *oracle, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct crash_span *span = &explore->spans[explore->trace->count];
    span->begin = sim_moment(explore->sim);
    enum addcow_status code = explore->adapter->ops->close(explore->adapter, &error);
    *span = (struct crash_span){span->begin, sim_moment(explore->sim), UINT64_MAX - 1, UINT64_MAX, code};
    if (!judge_undisturbed("close", code, explore->fault.image_lost, &error, out)) {
        return false;
    }
    if (sim_open_files(explore->sim) != 0) {
        fprintf(out, "close leaves %" PRIu32 " files open\n", sim_open_files(explore->sim));
        return false;
    }
    return code != ADDCOW_OK || judge_files(explore, explore->sim, oracle, "close", out);
}

/* Something that must not be durable shows best just after a barrier. */
static uint64_t choose_moment(struct explore *explore)
{
    uint64_t end = explore->horizon;
    uint64_t moment = random_below(&explore->random, end + 1);
    if (random_once_in(&explore->random, 2)) {
        return moment;
    }
    while (moment < end && !sim_is_barrier(explore->sim, moment)) {
        moment++;
    }
    return moment < end ? moment + 1 : end;
}

/* Seeds the choice of crashes by the schedule, so that a replay makes the same ones. */
static void seed_crashes(struct explore *explore)
{
    const struct sched_schedule *schedule = &explore->scheduled.schedule;
    explore->random.state = random_hash(explore->options.seed);
    for (uint32_t i = 0; i < schedule->count; i++) {
        explore->random.state =
            random_hash(explore->random.state ^ schedule->segments[i].steps << 8 ^ schedule->segments[i].thread);
    }
}

bool explore_judge_crashes(struct explore *explore, struct explore_counts *counts, FILE *out)
{
    if (explore->crashes == NULL) {
        return true;
    }
    bool fine = true;
    for (uint32_t i = 0; fine && i < explore->trace->count; i++) {
        if (crash_is_flush(&explore->trace->operations[i]) && explore->spans[i].status == ADDCOW_OK) {
            struct choices nothing_unsynced = {0};
            counts->crash_states++;
            fine = crash_judge(explore->crashes, explore->sim, explore->spans, explore->spans[i].end, &nothing_unsynced,
                               out);
        }
    }
    seed_crashes(explore);
    for (uint32_t i = 0; fine && i < CRASHES; i++) {
        struct choices choices = {.random = random_once_in(&explore->random, 2) ? &explore->random : NULL};
        counts->crash_states++;
        fine = crash_judge(explore->crashes, explore->sim, explore->spans, choose_moment(explore), &choices, out);
    }
    return fine;
}

/*
 * Crashes of a repair.
 *
 * A repair writes the bitmap in place. So a power failure may leave any mixture of damaged and repaired sectors, and
 * torn ones. None of these may read as another disk, and the next repair must finish.
 */
#include "judges/crash_repair.h"

#include "workload/disk_files.h"
#include "base/report.h"
#include "storage/sim_disk.h"
#include "adapters/adapter_scheduled.h"
#include "adapters/perform.h"

#include <stdlib.h>
#include <string.h>

#define EXTRA_BYTES 700u /* bytes of bitmap behind what is needed, in r9 */

/* A damaged disk, and what it reads as. */
struct damaged {
    const struct trace_disk *disk;
    uint64_t size;
    uint64_t cut; /* the size after a shrink that was not synced; without one, the same */
    uint8_t *bytes;
};

/* ---- Damage ---- */

static void set_bit(uint8_t *bitmap, uint64_t bit, bool value)
{
    uint8_t mask = (uint8_t)(1u << bit % 8);
    bitmap[bit / 8] = (uint8_t)(value ? bitmap[bit / 8] | mask : bitmap[bit / 8] & ~mask);
}

/* Damages the metadata file that `sim` holds, and keeps that state. */
static void damage_metadata(struct sim *sim, const struct trace_disk *disk, unsigned damage)
{
    uint64_t length;
    struct addcow_header header = disk_files_header(disk);
    uint64_t clusters = addcow_cluster_count(disk->size, addcow_cluster_size(disk->cluster_bits));
    const uint8_t *old = sim_bytes(sim, DISK_METADATA, &length);
    uint8_t *bytes = report_allocate(length + EXTRA_BYTES, 1);
    uint8_t *bitmap = bytes + header.header_size;
    memcpy(bytes, old, (size_t)length);
    if ((damage & CRASH_PADDING_USED) != 0) {
        length += disk->layout == ADDCOW_R9 ? EXTRA_BYTES : 0;
        bytes[length - 1] = 0x81;
    }
    if ((damage & CRASH_SHORT_FILE) != 0) {
        length = header.header_size + (clusters + 7) / 8;
    }
    for (uint64_t bit = clusters; (damage & CRASH_STRAY_BITS) != 0 && bit % 8 != 0; bit++) {
        set_bit(bitmap, bit, true);
    }
    for (uint64_t bit = 0; (damage & CRASH_CLEAR_BITS) != 0 && bit < clusters; bit += 3) {
        set_bit(bitmap, bit, false);
    }
    sim_put(sim, DISK_METADATA, bytes, length);
    sim_keep(sim);
    free(bytes);
}

/* ---- Judging ---- */

static bool is_read_by_reference(const struct damaged *damaged, const struct sim *sim, FILE *out)
{
    uint8_t *got;
    uint64_t size;
    char problem[128];
    if (!sim_disk_read(sim, 0, &got, &size, problem, sizeof problem)) {
        fprintf(out, "after a repair the reference engine refuses the disk: %s (CHK-02)\n", problem);
        return false;
    }
    bool same = (size == damaged->size || size == damaged->cut) && memcmp(got, damaged->bytes, (size_t)size) == 0;
    free(got);
    if (!same) {
        fputs("a repair changes what the reference engine reads (CHK-02)\n", out);
    }
    return same;
}

static bool is_read_by_engine(const struct damaged *damaged, struct sim *sim, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = sched_adapter_make_fast(sim_storage(sim));
    uint8_t *got = report_allocate(damaged->size, 1);
    enum addcow_status code = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READONLY, &error);
    uint64_t size = code == ADDCOW_OK ? adapter->ops->size(adapter) : 0;
    bool same = size == damaged->size || size == damaged->cut;
    if (same) {
        code = adapter_read(adapter, 0, size, got, &error);
        same = code == ADDCOW_OK && memcmp(got, damaged->bytes, (size_t)size) == 0;
    }
    if (!same) {
        fprintf(out, "after a repair the engine reads another disk: %s %s (CHK-02)\n", addcow_status_name(code),
                error.message);
    }
    adapter->ops->destroy(adapter);
    free(got);
    return same;
}

static void ignore_finding(void *context, const struct addcow_finding *finding)
{
    (void)context;
    (void)finding;
}

/* Repairs the disk in `sim`. *repaired, if not null, is the number of findings that were repaired. */
static bool repair(struct sim *sim, unsigned *repaired, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    enum addcow_status code =
        addcow_check(DISK_METADATA, true, sim_storage(sim), ignore_finding, NULL, &result, &error);
    if (repaired != NULL) {
        *repaired = result.repaired;
    }
    if (code == ADDCOW_OK && result.broken == 0) {
        code = addcow_check(DISK_METADATA, false, sim_storage(sim), ignore_finding, NULL, &result, &error);
    }
    if (code != ADDCOW_OK || result.broken > 0) {
        fprintf(out, "a repair gives %s and leaves %u rules broken %s (CHK-02)\n", addcow_status_name(code),
                result.broken, error.message);
    }
    return code == ADDCOW_OK && result.broken == 0;
}

static bool judge_interrupted(const void *subject, struct sim *crashed, bool complete, FILE *out)
{
    const struct damaged *damaged = subject;
    (void)complete; /* a second repair must do no harm either */
    sim_keep(crashed);
    return is_read_by_reference(damaged, crashed, out) && is_read_by_engine(damaged, crashed, out) &&
           repair(crashed, NULL, out) && is_read_by_reference(damaged, crashed, out) &&
           is_read_by_engine(damaged, crashed, out);
}

/* Notes what the disk reads as. */
static void read_damaged(const struct sim *sim, struct damaged *damaged)
{
    char problem[128];
    if (!sim_disk_read(sim, 0, &damaged->bytes, &damaged->size, problem, sizeof problem)) {
        report_fatal("a disk to be repaired: %s", problem);
    }
}

/* Repairs the disk in `sim`, and judges every crash. `repaired` as for repair(). */
static bool judge_repair(struct sim *sim, const struct damaged *damaged, unsigned *repaired,
                         struct crash_counts *counts, FILE *out)
{
    struct sim_crash_options options = sim_disk_crash_options(damaged->disk);
    counts->sequences++;
    return repair(sim, repaired, out) && crash_every_state(sim, &options, judge_interrupted, damaged, counts, out);
}

bool crash_repair(const struct trace_disk *disk, unsigned damage, struct crash_counts *counts, FILE *out)
{
    struct sim *sim = sim_make();
    struct damaged damaged = {.disk = disk, .size = disk->size, .cut = disk->size};
    unsigned repaired = 0;
    sim_disk_make(sim, disk);
    damage_metadata(sim, disk, damage);
    read_damaged(sim, &damaged);
    bool fine = judge_repair(sim, &damaged, &repaired, counts, out);
    if (fine && repaired == 0) {
        fputs("a repair finds nothing to repair (CHK-01)\n", out);
        fine = false;
    }
    free(damaged.bytes);
    sim_free(sim);
    return fine;
}

/* Truncates the image, without a sync. */
static void cut_image(struct sim *sim, uint64_t size)
{
    struct addcow_file *image;
    struct addcow_storage *storage = sim_storage(sim);
    if (storage->ops->open(storage, DISK_IMAGE, ADDCOW_FILE_READWRITE, &image) != 0 ||
        image->ops->truncate(image, size) != 0 || image->ops->close(image) != 0) {
        report_fatal("an image cannot be cut");
    }
}

/*
 * A process died in a shrink after it had truncated the image. The bits past the new end are set, and a repair clears
 * them. If the power fails then, the old end must not come back without its bits (DUR-12).
 */
static bool repair_after_death(const struct trace_disk *disk, struct crash_counts *counts, FILE *out)
{
    struct sim *sim = sim_make();
    struct damaged damaged = {.disk = disk, .size = disk->size, .cut = disk->size / 2};
    sim_disk_make(sim, disk);
    read_damaged(sim, &damaged);
    cut_image(sim, damaged.cut);
    bool fine = judge_repair(sim, &damaged, NULL, counts, out);
    free(damaged.bytes);
    sim_free(sim);
    return fine;
}

/* Every damage that this disk can have. */
static bool repair_all_damages(const struct trace_disk *disk, struct crash_counts *counts, FILE *out)
{
    unsigned possible = CRASH_STRAY_BITS | CRASH_PADDING_USED | (disk->layout == ADDCOW_R9 ? 0 : CRASH_SHORT_FILE) |
                        (disk->allocation == TRACE_ALL_ALLOCATED ? CRASH_CLEAR_BITS : 0);
    const unsigned contradiction = CRASH_PADDING_USED | CRASH_SHORT_FILE;
    for (unsigned damage = 1; damage <= possible; damage++) {
        if ((damage & ~possible) == 0 && (damage & contradiction) != contradiction &&
            !crash_repair(disk, damage, counts, out)) {
            return false;
        }
    }
    return repair_after_death(disk, counts, out);
}

bool crash_every_repair(struct crash_counts *counts, FILE *out)
{
    static const struct trace_disk disks[] = {
        {.layout = ADDCOW_R20, .cluster_bits = 12, .allocation = TRACE_SOME_ALLOCATED},
        {.layout = ADDCOW_R20, .cluster_bits = 12, .allocation = TRACE_ALL_ALLOCATED},
        {.layout = ADDCOW_R9, .cluster_bits = 16, .allocation = TRACE_SOME_ALLOCATED},
    };
    static const uint64_t clusters[] = {3, 20};
    bool fine = true;
    for (size_t i = 0; fine && i < 2 * sizeof disks / sizeof disks[0]; i++) {
        struct trace_disk disk = disks[i / 2];
        disk.size = clusters[i % 2] * addcow_cluster_size(disk.cluster_bits) - 100;
        disk.has_backing = true;
        disk.backing_size = 9000;
        disk.seed = 4;
        fine = repair_all_damages(&disk, counts, out);
    }
    return fine;
}

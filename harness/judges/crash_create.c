/*
 * Crashes of the creation of a disk.
 *
 * After a crash at any moment there is the old disk, or none, or the new one; after the last moment there is the new
 * one.
 */
#include "judges/crash_create.h"

#include "workload/disk_files.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"
#include "adapters/adapter_scheduled.h"

#include <string.h>

#define SIZE 10000u

struct creation {
    struct addcow_create_options options;
    bool replace;
    uint8_t old[SIZE]; /* what the disk reads as before */
    uint8_t new[SIZE]; /* and after */
};

static void prepare(struct sim *sim, struct creation *creation)
{
    struct trace_disk disk = {.layout = (uint32_t)creation->options.layout,
                              .cluster_bits = creation->options.cluster_bits,
                              .size = SIZE,
                              .has_backing = true,
                              .backing_size = SIZE,
                              .allocation = TRACE_EVERY_ALLOCATED};
    struct disk_files files;
    disk_files_make(&disk, &files);
    for (unsigned i = 0; i < files.count; i++) {
        const struct disk_file *file = &files.list[i];
        bool is_metadata = strcmp(file->name, DISK_METADATA) == 0;
        bool is_image = strcmp(file->name, DISK_IMAGE) == 0;
        if ((!is_metadata || creation->replace) && (!is_image || !creation->options.make_image)) {
            sim_put(sim, file->name, file->bytes, file->length);
        }
        if (is_image) {
            memcpy(creation->old, file->bytes, SIZE);
        }
    }
    disk_files_free(&files);
    sim_keep(sim);
    memset(creation->new, 0, SIZE);
    if (creation->options.backing_name != NULL) {
        stamp_fill((struct stamp){STAMP_BACKING, 0}, 0, creation->new, SIZE);
    } else if (!creation->options.make_image) {
        memcpy(creation->new, creation->old, SIZE);
    }
}

/* Judges a crash in a creation. `complete`: it came after the end, and only the new disk is allowed. */
static bool judge_created(const void *subject, struct sim *crashed, bool complete, FILE *out)
{
    const struct creation *creation = subject;
    struct sim_disk disk;
    char problem[128] = "its size is another";
    uint64_t length;
    uint8_t got[SIZE];
    if (sim_bytes(crashed, DISK_METADATA, &length) == NULL) {
        if (complete || creation->replace) {
            fputs("after a crash the disk is gone (CRE-06)\n", out);
        }
        return !complete && !creation->replace;
    }
    if (!sim_disk_open(crashed, &disk, problem, sizeof problem) || disk.ref.size != SIZE) {
        fprintf(out, "after a crash in create the disk is refused: %s (CRE-06)\n", problem);
        return false;
    }
    addcow_ref_read(&disk.ref, 0, SIZE, got);
    sim_disk_close(&disk);
    bool is_new = memcmp(got, creation->new, SIZE) == 0;
    bool is_old = creation->replace && memcmp(got, creation->old, SIZE) == 0;
    if (!is_new && (complete || !is_old)) {
        fputs("after a crash in create the disk is neither the old nor the new one (CRE-02, CRE-03)\n", out);
    }
    return is_new || (!complete && is_old);
}

/* Creates the disk. In layout r9 without a backing file that must be refused, and change nothing (CRE-03). */
static bool create(struct sim *sim, const struct creation *creation, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = sched_adapter_make_fast(sim_storage(sim));
    bool possible = creation->options.layout == ADDCOW_R20 || creation->options.backing_name != NULL;
    enum addcow_status code = adapter->ops->create(adapter, DISK_METADATA, &creation->options, &error);
    bool fine = possible ? code == ADDCOW_OK : code == ADDCOW_UNSUPPORTED && sim_moment(sim) == 0;
    if (!fine) {
        fprintf(out, "create gives %s: %s\n", addcow_status_name(code), code == ADDCOW_OK ? "" : error.message);
    }
    adapter->ops->destroy(adapter);
    return fine;
}

struct addcow_create_options crash_creation_options(const struct crash_creation *how)
{
    return (struct addcow_create_options){.struct_size = sizeof(struct addcow_create_options),
                                          .layout = how->layout,
                                          .cluster_bits = how->layout == ADDCOW_R9 ? 16 : 12,
                                          .image_name = DISK_IMAGE,
                                          .backing_name = how->has_backing ? DISK_BASE : NULL,
                                          .backing_format = how->has_backing ? "raw" : NULL,
                                          .replace = how->replace,
                                          .hide_image_data = true,
                                          .make_image = how->make_image,
                                          .image_size = SIZE};
}

void crash_creation_prepare(const struct crash_creation *how, struct sim *sim)
{
    struct creation creation = {.replace = how->replace, .options = crash_creation_options(how)};
    prepare(sim, &creation);
}

bool crash_creation_judge(const struct crash_creation *how, struct sim *crashed, bool complete, FILE *out)
{
    struct creation creation = {.replace = how->replace, .options = crash_creation_options(how)};
    struct sim *sim = sim_make();
    prepare(sim, &creation);
    sim_free(sim);
    return judge_created(&creation, crashed, complete, out);
}

bool crash_create(const struct crash_creation *how, struct crash_counts *counts, FILE *out)
{
    struct creation creation = {.replace = how->replace, .options = crash_creation_options(how)};
    static const char *const data_files[] = {DISK_IMAGE, DISK_BASE, NULL};
    const struct sim_crash_options options = {.uniform = data_files};
    struct sim *sim = sim_make();
    prepare(sim, &creation);
    counts->sequences++;
    bool fine = create(sim, &creation, out);
    if (fine && sim_moment(sim) > 0) {
        fine = crash_every_state(sim, &options, judge_created, &creation, counts, out);
    }
    sim_free(sim);
    return fine;
}

bool crash_every_creation(struct crash_counts *counts, FILE *out)
{
    static const enum addcow_layout layouts[] = {ADDCOW_R20, ADDCOW_R9};
    bool fine = true;
    for (unsigned i = 0; fine && i < 16; i++) {
        struct crash_creation how = {.layout = layouts[i / 8],
                                     .has_backing = i % 2 != 0,
                                     .make_image = i / 2 % 2 != 0,
                                     .replace = i / 4 % 2 != 0};
        /* The old disk would lack the image that is to be made. */
        fine = (how.make_image && how.replace) || crash_create(&how, counts, out);
    }
    return fine;
}

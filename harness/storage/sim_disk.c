/*
 * The disk that the files of a simulated storage hold. The header is decoded by the reference engine's codec;
 * everything else points at the bytes of the files.
 */
#include "storage/sim_disk.h"

#include "workload/disk_files.h"
#include "base/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16u /* metadata files in one chain (LNK-09) */

static bool refuse(char *problem, size_t size, const char *clause, const char *text)
{
    snprintf(problem, size, "%s (%s)", text, clause);
    return false;
}

/* The name of the header that begins at `offset`, as a string. */
static void copy_name(char name[SIM_NAME_BYTES], const uint8_t *bytes, uint32_t offset, uint32_t size)
{
    size_t length = size < SIM_NAME_BYTES ? size : SIM_NAME_BYTES - 1;
    memcpy(name, bytes + offset, length);
    name[length] = '\0';
}

/* The names in a header, as strings. */
struct names {
    char image[SIM_NAME_BYTES];
    char backing[SIM_NAME_BYTES];
};

static bool open_level(const struct sim *sim, const char *name, uint32_t level, struct sim_disk *disk, char *problem,
                       size_t problem_size);

/* Reads the whole disk `name`, which is the backing file of another one. */
static bool read_below(const struct sim *sim, const char *name, uint32_t level, struct sim_disk *disk, char *problem,
                       size_t problem_size)
{
    struct sim_disk below;
    if (!open_level(sim, name, level, &below, problem, problem_size)) {
        return false;
    }
    disk->below = report_allocate(below.ref.size, 1);
    addcow_ref_read(&below.ref, 0, below.ref.size, disk->below);
    disk->ref.backing = disk->below;
    disk->ref.backing_size = below.ref.size;
    sim_disk_close(&below);
    return true;
}

/* Gives the disk its backing file; `disk` has everything else. */
static bool attach_backing(const struct sim *sim, const struct addcow_header *header, const char *name, uint32_t level,
                           struct sim_disk *disk, char *problem, size_t problem_size)
{
    if (addcow_backing_is_addcow(header)) {
        return read_below(sim, name, level + 1, disk, problem, problem_size);
    }
    disk->ref.backing = (uint8_t *)(uintptr_t)sim_bytes(sim, name, &disk->ref.backing_size);
    return disk->ref.backing != NULL || refuse(problem, problem_size, "LNK-06", "the backing file is missing");
}

static bool open_level(const struct sim *sim, const char *name, uint32_t level, struct sim_disk *disk, char *problem,
                       size_t problem_size)
{
    uint64_t length = 0;
    uint64_t size = 0;
    struct addcow_header header;
    struct names names;
    const uint8_t *file = sim_bytes(sim, name, &length);
    if (file == NULL || level == CHAIN_MAX) {
        return refuse(problem, problem_size, "LNK-06, LNK-09", "a metadata file is missing, or the chain is too long");
    }
    enum addcow_rule rule = addcow_decode(file, length, &header);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse(problem, problem_size, addcow_rule_clause(rule), "the header is refused");
    }
    copy_name(names.image, file, header.image_offset, header.image_size);
    copy_name(names.backing, file, header.backing_offset, header.backing_size);
    const uint8_t *image = sim_bytes(sim, names.image, &size);
    if (image == NULL) {
        return refuse(problem, problem_size, "LNK-06", "the image is missing");
    }
    rule = addcow_check_open(&header, (const uint8_t *)names.backing, (const uint8_t *)names.image, length, size);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse(problem, problem_size, addcow_rule_clause(rule), "the files are refused");
    }
    bool all_allocated = header.layout == ADDCOW_R20 && (header.compatible_features & ADDCOW_ALL_ALLOCATED) != 0;
    disk->below = NULL;
    disk->ref = (struct addcow_ref){
        .image = (uint8_t *)(uintptr_t)image,
        .bitmap = (uint8_t *)(uintptr_t)file + header.header_size,
        .size = size,
        .capacity = size,
        .cluster_size = addcow_cluster_size(header.cluster_bits),
        .has_backing = header.backing_size > 0 && !all_allocated,
        .all_allocated = all_allocated,
    };
    return !disk->ref.has_backing || attach_backing(sim, &header, names.backing, level, disk, problem, problem_size);
}

bool sim_disk_open(const struct sim *sim, struct sim_disk *disk, char *problem, size_t problem_size)
{
    return open_level(sim, DISK_METADATA, 0, disk, problem, problem_size);
}

void sim_disk_close(struct sim_disk *disk)
{
    free(disk->below);
    disk->below = NULL;
}

bool sim_disk_read(const struct sim *sim, uint64_t room, uint8_t **bytes, uint64_t *size, char *problem,
                   size_t problem_size)
{
    struct sim_disk disk;
    if (!sim_disk_open(sim, &disk, problem, problem_size)) {
        return false;
    }
    *size = disk.ref.size;
    *bytes = report_allocate(*size > room ? *size : room, 1);
    addcow_ref_read(&disk.ref, 0, *size, *bytes);
    sim_disk_close(&disk);
    return true;
}

bool sim_disk_has_stray_bits(const struct sim_disk *disk)
{
    uint64_t clusters = addcow_cluster_count(disk->ref.size, disk->ref.cluster_size);
    return clusters % 8 != 0 && disk->ref.bitmap[clusters / 8] >> clusters % 8 != 0;
}

void sim_disk_make(struct sim *sim, const struct trace_disk *disk)
{
    struct disk_files files;
    disk_files_make(disk, &files);
    for (unsigned i = 0; i < files.count; i++) {
        sim_put(sim, files.list[i].name, files.list[i].bytes, files.list[i].length);
    }
    disk_files_free(&files);
    sim_set_shares(sim, disk->seed % 2 == 1);
    sim_keep(sim);
}

struct sim_crash_options sim_disk_crash_options(const struct trace_disk *disk)
{
    static const char *const contents[] = {DISK_IMAGE, DISK_BASE, DISK_CHAIN_TOP_IMAGE, NULL};
    return (struct sim_crash_options){
        .uniform = contents,
        .torn =
            {
                {DISK_METADATA, disk_files_header(disk).header_size},
                {DISK_CHAIN_TOP, disk_files_chain_header(disk)},
            },
    };
}

/*
 * The disk that the files of a simulated storage hold: the header by the reference engine's codec, the rest by pointing
 * at the bytes.
 */
#include "sim_disk.h"

#include "files.h"

#include <stdio.h>
#include <string.h>

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

bool sim_disk_open(const struct sim *sim, struct addcow_ref *disk, char *problem, size_t problem_size)
{
    uint64_t length = 0;
    uint64_t size = 0;
    uint64_t backing_size = 0;
    struct addcow_header header;
    char image_name[SIM_NAME_BYTES];
    char backing_name[SIM_NAME_BYTES];
    const uint8_t *file = sim_bytes(sim, FILES_METADATA, &length);
    if (file == NULL) {
        return refuse(problem, problem_size, "LNK-06", "there is no metadata file");
    }
    enum addcow_rule rule = addcow_decode(file, length, &header);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse(problem, problem_size, addcow_rule_clause(rule), "the header is refused");
    }
    copy_name(image_name, file, header.image_offset, header.image_size);
    copy_name(backing_name, file, header.backing_offset, header.backing_size);
    bool all_allocated = header.layout == ADDCOW_R20 && (header.compatible_features & ADDCOW_ALL_ALLOCATED) != 0;
    const uint8_t *image = sim_bytes(sim, image_name, &size);
    const uint8_t *backing = NULL;
    if (header.backing_size > 0 && !all_allocated) {
        backing = sim_bytes(sim, backing_name, &backing_size);
    }
    if (image == NULL || (header.backing_size > 0 && !all_allocated && backing == NULL)) {
        return refuse(problem, problem_size, "LNK-06", "the image or the backing file is missing");
    }
    rule = addcow_check_open(&header, (const uint8_t *)backing_name, (const uint8_t *)image_name, length, size);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse(problem, problem_size, addcow_rule_clause(rule), "the files are refused");
    }
    *disk = (struct addcow_ref){
        .image = (uint8_t *)(uintptr_t)image,
        .bitmap = (uint8_t *)(uintptr_t)file + header.header_size,
        .backing = (uint8_t *)(uintptr_t)backing,
        .size = size,
        .capacity = size,
        .backing_size = backing_size,
        .cluster_size = addcow_cluster_size(header.cluster_bits),
        .has_backing = header.backing_size > 0 && !all_allocated,
        .all_allocated = all_allocated,
    };
    return true;
}

void sim_disk_lay(struct sim *sim, const struct trace_disk *disk)
{
    struct files files;
    files_make(disk, &files);
    for (unsigned i = 0; i < files.count; i++) {
        sim_put(sim, files.list[i].name, files.list[i].bytes, files.list[i].length);
    }
    files_free(&files);
    sim_keep(sim);
}

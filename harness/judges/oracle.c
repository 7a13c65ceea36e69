/*
 * The oracle: what the disk of a trace must be, kept by the reference engine in memory.
 *
 * It also remembers which clusters' image bytes are still those of the start. They show whether an implementation
 * writes into the image outside the clusters that it was asked to write (WR-05).
 */
#include "judges/oracle.h"

#include "workload/disk_contents.h"
#include "workload/disk_files.h"
#include "adapters/ref_disk.h"
#include "adapters/reference.h"
#include "base/report.h"
#include "workload/stamp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t clusters_in(const struct oracle *oracle, uint64_t size)
{
    return addcow_cluster_count(size, oracle->disk.cluster_size);
}

void oracle_make(const struct trace_disk *disk, uint64_t capacity, struct oracle *oracle)
{
    uint64_t cluster_size = addcow_cluster_size(disk->cluster_bits);
    uint64_t clusters = addcow_cluster_count(capacity, cluster_size);
    struct addcow_header header = disk_files_header(disk);
    assert(capacity >= disk->size);
    *oracle = (struct oracle){
        .start = *disk,
        .disk =
            {
                .image = report_allocate(capacity, 1),
                .bitmap = report_allocate(addcow_bitmap_bytes(capacity, cluster_size), 1),
                .backing = report_allocate(disk->backing_size, 1),
                .size = disk->size,
                .capacity = capacity,
                .backing_size = disk->backing_size,
                .cluster_size = cluster_size,
                .has_backing = disk->has_backing,
                .all_allocated = disk->allocation == TRACE_ALL_ALLOCATED,
            },
        .touched = report_allocate(clusters, 1),
        .metadata_length = addcow_file_length(&header, disk->size),
    };
    disk_contents_fill_image(disk, 0, oracle->disk.image, disk->size);
    disk_contents_fill_backing(disk, 0, oracle->disk.backing, disk->backing_size);
    for (uint64_t k = 0; k < clusters_in(oracle, disk->size); k++) {
        if (disk_contents_is_allocated(disk, k)) {
            oracle->disk.bitmap[k / 8] = (uint8_t)(oracle->disk.bitmap[k / 8] | 1u << k % 8);
            oracle->touched[k] = 1;
        }
    }
}

static void *copy_of(const void *bytes, uint64_t length)
{
    void *copy = report_allocate(length, 1);
    if (length > 0) {
        memcpy(copy, bytes, (size_t)length);
    }
    return copy;
}

void oracle_copy(const struct oracle *from, struct oracle *to)
{
    const struct addcow_ref *disk = &from->disk;
    *to = *from;
    to->disk.image = copy_of(disk->image, disk->capacity);
    to->disk.bitmap = copy_of(disk->bitmap, addcow_bitmap_bytes(disk->capacity, disk->cluster_size));
    to->disk.backing = copy_of(disk->backing, disk->backing_size);
    to->touched = copy_of(from->touched, clusters_in(from, disk->capacity));
}

void oracle_free(struct oracle *oracle)
{
    free(oracle->disk.image);
    free(oracle->disk.bitmap);
    free(oracle->disk.backing);
    free(oracle->touched);
}

/* ---- Changes ---- */

/* Marks the clusters that meet [begin, end), if the request that touched them succeeded. */
static enum addcow_status touch(struct oracle *oracle, enum addcow_status code, uint64_t begin, uint64_t length)
{
    if (code == ADDCOW_OK && length > 0) {
        uint64_t first = begin / oracle->disk.cluster_size;
        memset(oracle->touched + first, 1, (size_t)(clusters_in(oracle, begin + length) - first));
    }
    return code;
}

enum addcow_status oracle_resize(struct oracle *oracle, uint64_t new_size)
{
    uint64_t old_size = oracle->disk.size;
    enum addcow_status code = addcow_ref_resize(&oracle->disk, new_size);
    if (code != ADDCOW_OK) {
        return code;
    }
    struct addcow_header header = disk_files_header(&oracle->start);
    uint64_t needed = addcow_file_length(&header, new_size);
    if (needed > oracle->metadata_length) {
        oracle->metadata_length = needed;
    }
    uint64_t smaller = old_size < new_size ? old_size : new_size;
    uint64_t larger = old_size < new_size ? new_size : old_size;
    return touch(oracle, ADDCOW_OK, smaller, larger - smaller);
}

void oracle_touch_all(struct oracle *oracle)
{
    touch(oracle, ADDCOW_OK, 0, oracle->disk.size);
}

enum addcow_status oracle_perform(struct oracle *oracle, struct operation_request *request)
{
    if (request->operation == OPERATION_RESIZE) {
        return oracle_resize(oracle, request->offset);
    }
    enum addcow_status code = reference_perform(&oracle->disk, oracle->start.layout == ADDCOW_R20, request);
    if (operation_changes_range(request->operation)) {
        touch(oracle, code, request->offset, request->length);
    } else if (request->operation == OPERATION_STREAM) {
        oracle_touch_all(oracle);
    }
    return code;
}

enum addcow_status oracle_write(struct oracle *oracle, uint64_t offset, uint64_t length, const uint8_t *data)
{
    struct operation_request request = {.operation = OPERATION_WRITE, .offset = offset, .length = length, .data = data};
    return oracle_perform(oracle, &request);
}

static uint64_t end_of_cluster(const struct addcow_ref *disk, uint64_t cluster)
{
    uint64_t begin = cluster * disk->cluster_size;
    return disk->size - begin < disk->cluster_size ? disk->size : begin + disk->cluster_size;
}

void oracle_commit_surely(struct oracle *oracle)
{
    struct addcow_ref *disk = &oracle->disk;
    if (addcow_ref_commit(disk) == ADDCOW_OK) {
        return;
    }
    disk->all_allocated = false; /* every bit is set then */
    for (uint64_t k = 0; k < clusters_in(oracle, disk->size); k++) {
        uint64_t begin = k * disk->cluster_size;
        uint64_t end = end_of_cluster(disk, k);
        uint64_t copied = end < disk->backing_size ? end : disk->backing_size;
        if (oracle_is_allocated(oracle, k) && begin < copied) {
            memcpy(disk->backing + begin, disk->image + begin, (size_t)(copied - begin));
        }
        if (end <= disk->backing_size) {
            disk->bitmap[k / 8] = (uint8_t)(disk->bitmap[k / 8] & ~(1u << k % 8));
        }
    }
}

bool oracle_is_allocated(const struct oracle *oracle, uint64_t cluster)
{
    return oracle->disk.all_allocated || (oracle->disk.bitmap[cluster / 8] >> cluster % 8 & 1) != 0;
}

bool oracle_set_status(struct oracle *oracle, uint64_t cluster, bool allocated)
{
    struct addcow_ref *disk = &oracle->disk;
    uint64_t begin = cluster * disk->cluster_size;
    uint64_t end = end_of_cluster(disk, cluster);
    if (oracle_is_allocated(oracle, cluster) == allocated) {
        return true;
    }
    if (allocated) {
        uint8_t byte;
        addcow_ref_read(disk, begin, 1, &byte);
        oracle_write(oracle, begin, 1, &byte);
        return true;
    }
    if (disk->all_allocated) {
        return false;
    }
    for (uint64_t i = begin; i < end; i++) {
        if (disk->image[i] != (i < disk->backing_size ? disk->backing[i] : 0)) {
            return false;
        }
    }
    disk->bitmap[cluster / 8] = (uint8_t)(disk->bitmap[cluster / 8] & ~(1u << cluster % 8));
    return true;
}

/* ---- Files ---- */

/* Compares [begin, begin + length) of a file, which holds got[0, length) there. */
static bool same_bytes(FILE *out, const char *what, const char *clause, uint64_t begin, const uint8_t *expected,
                       const uint8_t *got, uint64_t length)
{
    size_t first = report_first_difference(expected, got, (size_t)length);
    if (first == length) {
        return true;
    }
    fprintf(out, "%s: byte %" PRIu64 " differs (%s)\n", what, begin + first, clause);
    report_hex_window(out, begin, expected, got, (size_t)length);
    return false;
}

static bool same_length(FILE *out, const char *name, const char *clause, uint64_t expected, uint64_t got)
{
    if (expected != got) {
        fprintf(out, "%s: is %" PRIu64 " bytes long instead of %" PRIu64 " (%s)\n", name, got, expected, clause);
    }
    return expected == got;
}

static bool load(FILE *out, const char *directory, const char *name, uint8_t **bytes, uint64_t *length)
{
    if (disk_files_load(directory, name, bytes, length)) {
        return true;
    }
    fprintf(out, "%s/%s: cannot be read: %s\n", directory, name, strerror(errno));
    return false;
}

static bool judge_metadata(const struct oracle *oracle, const char *directory, FILE *out)
{
    uint8_t *got;
    uint64_t length;
    if (!load(out, directory, DISK_METADATA, &got, &length)) {
        return false;
    }
    struct addcow_header header = disk_files_header(&oracle->start);
    header.compatible_features &= ~(uint64_t)ADDCOW_ALL_ALLOCATED;
    header.compatible_features |= oracle->disk.all_allocated ? ADDCOW_ALL_ALLOCATED : 0;
    uint8_t *expected = report_allocate(oracle->metadata_length, 1);
    disk_files_encode_header(&oracle->start, &header, expected);
    memcpy(expected + header.header_size, oracle->disk.bitmap,
           (size_t)addcow_bitmap_bytes(oracle->disk.size, oracle->disk.cluster_size));
    bool same = same_length(out, DISK_METADATA, "BMP-04, RSZ-08", oracle->metadata_length, length);
    if (same) {
        same &= same_bytes(out, "header", "HDR-21", 0, expected, got, header.header_size);
        same &= same_bytes(out, "bitmap", "WR-02", header.header_size, expected + header.header_size,
                           got + header.header_size, length - header.header_size);
    }
    free(expected);
    free(got);
    return same;
}

/* The image bytes of one cluster, which holds image[begin, end). */
static bool judge_image_cluster(const struct oracle *oracle, uint64_t cluster, const uint8_t *image, FILE *out)
{
    uint64_t begin = cluster * oracle->disk.cluster_size;
    uint64_t length = end_of_cluster(&oracle->disk, cluster) - begin;
    bool same = true;
    if (oracle_is_allocated(oracle, cluster)) {
        same = same_bytes(out, "image of an allocated cluster", "VRT-02", begin, oracle->disk.image + begin,
                          image + begin, length);
    } else if (!oracle->touched[cluster]) {
        uint8_t *start = report_allocate(length, 1);
        disk_contents_fill_image(&oracle->start, begin, start, length);
        same = same_bytes(out, "image of a cluster that nothing was written to", "WR-05", begin, start, image + begin,
                          length);
        free(start);
    }
    if (!same) {
        stamp_print_writers(out, begin, image + begin, (size_t)(length < 4096 ? length : 4096));
    }
    return same;
}

static bool judge_image(const struct oracle *oracle, const char *directory, FILE *out)
{
    uint8_t *image;
    uint64_t length;
    if (!load(out, directory, DISK_IMAGE, &image, &length)) {
        return false;
    }
    bool same = same_length(out, DISK_IMAGE, "WR-04, RSZ-01", oracle->disk.size, length);
    for (uint64_t k = 0; same && k < clusters_in(oracle, length); k++) {
        same = judge_image_cluster(oracle, k, image, out);
    }
    free(image);
    return same;
}

/* The contents of a chain's top disk. */
static bool load_chain(const char *directory, uint64_t length, uint8_t *buffer, FILE *out)
{
    char path[4096];
    struct ref_disk *disk;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    snprintf(path, sizeof path, "%s/%s", directory, DISK_CHAIN_TOP);
    if (ref_disk_open(path, false, &disk, &error) != ADDCOW_OK) {
        fprintf(out, "the reference engine cannot open the backing file: %s\n", error.message);
        return false;
    }
    bool same = same_length(out, DISK_CHAIN_TOP, "CMT-02", length, ref_disk_state(disk)->size);
    if (same) {
        addcow_ref_read(ref_disk_state(disk), 0, length, buffer);
    }
    ref_disk_close(disk);
    return same;
}

bool oracle_load_backing(const struct oracle *oracle, const char *directory, uint8_t *buffer, FILE *out)
{
    uint8_t *bytes;
    uint64_t length;
    if (oracle->start.chain > 0) {
        return load_chain(directory, oracle->disk.backing_size, buffer, out);
    }
    if (!load(out, directory, DISK_BASE, &bytes, &length)) {
        return false;
    }
    bool same = same_length(out, DISK_BASE, "CMT-02", oracle->disk.backing_size, length);
    if (same) {
        memcpy(buffer, bytes, (size_t)length);
    }
    free(bytes);
    return same;
}

bool oracle_fail_commit(struct oracle *oracle, uint64_t size, const char *directory, FILE *out)
{
    uint64_t end = size < oracle->disk.backing_size ? size : oracle->disk.backing_size;
    if (oracle->start.chain > 0 && end > oracle->unsure_end) {
        oracle->unsure_end = end;
    }
    return oracle_load_backing(oracle, directory, oracle->disk.backing, out);
}

bool oracle_judge_backing(const struct oracle *oracle, const uint8_t *got, FILE *out)
{
    static const char what[] = "backing contents";
    static const char clauses[] = "WR-05, CMT-01";
    const uint8_t *expected = oracle->disk.backing;
    uint64_t end = oracle->disk.backing_size;
    uint64_t begin = oracle->disk.size < end ? oracle->disk.size : end; /* of what is not known */
    uint64_t rest = oracle->unsure_end > begin ? oracle->unsure_end : begin;
    return same_bytes(out, what, clauses, 0, expected, got, begin) &&
           same_bytes(out, what, clauses, rest, expected + rest, got + rest, end - rest);
}

static bool judge_backing(const struct oracle *oracle, const char *directory, FILE *out)
{
    if (!oracle->disk.has_backing) {
        return true;
    }
    uint8_t *got = report_allocate(oracle->disk.backing_size, 1);
    bool same = oracle_load_backing(oracle, directory, got, out) && oracle_judge_backing(oracle, got, out);
    free(got);
    return same;
}

bool oracle_judge_files(const struct oracle *oracle, const char *directory, FILE *out)
{
    bool metadata = judge_metadata(oracle, directory, out);
    bool image = judge_image(oracle, directory, out);
    bool backing = judge_backing(oracle, directory, out);
    return metadata && image && backing;
}

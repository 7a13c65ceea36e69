/*
 * The files of a trace's disk, as they are before its first operation.
 *
 * In a chain exactly one file supplies each byte of the backing contents. Every other byte of every file holds a stamp
 * of kind STAMP_HIDDEN, so reading the wrong level is detected.
 */
#include "workload/disk_files.h"

#include "addcow_header.h"
#include "base/random.h"
#include "base/report.h"
#include "workload/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHAIN_CLUSTER_BITS 12u /* of the disks in a chain */
#define CHAIN_CLUSTER 4096u
#define PATH_BYTES 4096u
#define UNKNOWN_COMPATIBLE 0x8000000000000006u

bool disk_files_cluster_is_allocated(const struct trace_disk *disk, uint64_t cluster)
{
    if (disk->allocation == TRACE_SOME_ALLOCATED) {
        return random_hash((uint64_t)disk->seed << 40 | cluster) % 2 == 1;
    }
    return disk->allocation != TRACE_NONE_ALLOCATED;
}

/* Whether the block at `offset` of the backing contents is a hole. */
static bool is_hole(const struct trace_disk *disk, uint64_t offset)
{
    return disk->seed % 2 == 1 && random_hash(~((uint64_t)disk->seed << 40 | offset / TRACE_BLOCK)) % 3 == 0;
}

void disk_files_fill_backing(const struct trace_disk *disk, uint64_t offset, uint8_t *buffer, uint64_t length)
{
    while (length > 0) {
        uint64_t left = TRACE_BLOCK - offset % TRACE_BLOCK;
        uint64_t part = length < left ? length : left;
        struct stamp stamp = {is_hole(disk, offset) ? STAMP_ZERO : STAMP_BACKING, disk->seed};
        stamp_fill(stamp, offset, buffer, (size_t)part);
        offset += part;
        buffer += part;
        length -= part;
    }
}

/* Whether level `level` (1 is the top) of the chain has its cluster at `offset` allocated. */
static bool chain_allocated(const struct trace_disk *disk, unsigned level, uint64_t offset)
{
    return random_hash((uint64_t)disk->seed << 40 | (uint64_t)level << 32 | offset / CHAIN_CLUSTER) % 3 == 0;
}

/* The level whose image supplies the byte at `offset`; chain + 1 for the raw file below. */
static unsigned chain_visible_level(const struct trace_disk *disk, uint64_t offset)
{
    unsigned level = 1;
    while (level <= disk->chain && !chain_allocated(disk, level, offset)) {
        level++;
    }
    return level;
}

static struct disk_file *add_file(struct disk_files *files, uint64_t length)
{
    struct disk_file *file = &files->list[files->count++];
    file->bytes = report_allocate(length, 1);
    file->length = length;
    return file;
}

static struct addcow_header make_header(uint32_t layout, uint32_t cluster_bits, const char *backing_name,
                                        const char *backing_format, const char *image_name)
{
    struct addcow_header header = {
        .layout = layout,
        .cluster_bits = cluster_bits,
        .header_size = layout == ADDCOW_R9 ? ADDCOW_HEADER_MIN : (uint32_t)addcow_cluster_size(cluster_bits),
        .backing_size = (uint32_t)strlen(backing_name),
        .image_size = (uint32_t)strlen(image_name),
    };
    if (layout == ADDCOW_R9) {
        header.backing_offset = ADDCOW_R9_BACKING_OFFSET;
        header.image_offset = ADDCOW_R9_IMAGE_OFFSET;
    } else {
        header.backing_offset = header.backing_size > 0 ? ADDCOW_NAMES_OFFSET : 0;
        header.image_offset = ADDCOW_NAMES_OFFSET + header.backing_size;
    }
    memcpy(header.backing_format, backing_format, strlen(backing_format));
    memcpy(header.image_format, "raw", 3);
    return header;
}

static void encode_header(const struct addcow_header *header, const char *backing_name, const char *image_name,
                          uint8_t *bytes)
{
    enum addcow_rule rule =
        addcow_encode(header, (const uint8_t *)backing_name, (const uint8_t *)image_name, bytes, header->header_size);
    if (rule != ADDCOW_RULE_NONE) {
        report_fatal("the reference engine refuses to encode a header: %s", addcow_rule_clause(rule));
    }
}

static const char *backing_name_of(const struct trace_disk *disk)
{
    if (!disk->has_backing) {
        return "";
    }
    return disk->chain > 0 ? DISK_CHAIN_TOP : DISK_BASE;
}

struct addcow_header disk_files_header(const struct trace_disk *disk)
{
    const char *format = !disk->has_backing ? "" : disk->chain > 0 ? "add-cow" : "raw";
    struct addcow_header header =
        make_header(disk->layout, disk->cluster_bits, backing_name_of(disk), format, DISK_IMAGE);
    header.compatible_features = (disk->unknown_compatible ? UNKNOWN_COMPATIBLE : 0) |
                                 (disk->allocation == TRACE_ALL_ALLOCATED ? ADDCOW_ALL_ALLOCATED : 0);
    return header;
}

void disk_files_encode_header(const struct trace_disk *disk, const struct addcow_header *header, uint8_t *bytes)
{
    encode_header(header, backing_name_of(disk), DISK_IMAGE, bytes);
}

static void set_bit(uint8_t *bitmap, uint64_t k)
{
    bitmap[k / 8] = (uint8_t)(bitmap[k / 8] | 1u << k % 8);
}

static void make_disk(const struct trace_disk *disk, struct disk_files *files)
{
    struct addcow_header header = disk_files_header(disk);
    struct disk_file *metadata = add_file(files, addcow_file_length(&header, disk->size));
    snprintf(metadata->name, sizeof metadata->name, DISK_METADATA);
    disk_files_encode_header(disk, &header, metadata->bytes);
    uint64_t clusters = addcow_cluster_count(disk->size, addcow_cluster_size(disk->cluster_bits));
    for (uint64_t k = 0; k < clusters; k++) {
        if (disk_files_cluster_is_allocated(disk, k)) {
            set_bit(metadata->bytes + header.header_size, k);
        }
    }
    struct disk_file *image = add_file(files, disk->size);
    snprintf(image->name, sizeof image->name, DISK_IMAGE);
    stamp_fill((struct stamp){STAMP_IMAGE, disk->seed}, 0, image->bytes, (size_t)disk->size);
}

/* Fills the image of one level, or the raw file below all: backing contents where this file supplies them, else a
 * hidden stamp. */
static void fill_level(const struct trace_disk *disk, unsigned level, struct disk_file *file)
{
    for (uint64_t offset = 0; offset < file->length; offset += CHAIN_CLUSTER) {
        uint64_t left = file->length - offset;
        uint64_t part = left < CHAIN_CLUSTER ? left : CHAIN_CLUSTER;
        if (chain_visible_level(disk, offset) == level) {
            disk_files_fill_backing(disk, offset, file->bytes + offset, part);
        } else {
            stamp_fill((struct stamp){STAMP_HIDDEN, level}, offset, file->bytes + offset, (size_t)part);
        }
    }
}

static void make_level(const struct trace_disk *disk, unsigned level, struct disk_files *files)
{
    char image_name[24];
    char backing_name[24] = DISK_BASE;
    bool last = level == disk->chain;
    snprintf(image_name, sizeof image_name, "base%u.raw", level);
    if (!last) {
        snprintf(backing_name, sizeof backing_name, "base%u.add-cow", level + 1);
    }
    struct addcow_header header =
        make_header(ADDCOW_R20, CHAIN_CLUSTER_BITS, backing_name, last ? "raw" : "add-cow", image_name);
    struct disk_file *metadata = add_file(files, addcow_file_length(&header, disk->backing_size));
    snprintf(metadata->name, sizeof metadata->name, "base%u.add-cow", level);
    encode_header(&header, backing_name, image_name, metadata->bytes);
    for (uint64_t k = 0; k < addcow_cluster_count(disk->backing_size, CHAIN_CLUSTER); k++) {
        if (chain_allocated(disk, level, k * CHAIN_CLUSTER)) {
            set_bit(metadata->bytes + header.header_size, k);
        }
    }
    struct disk_file *image = add_file(files, disk->backing_size);
    memcpy(image->name, image_name, sizeof image->name);
    fill_level(disk, level, image);
}

void disk_files_make(const struct trace_disk *disk, struct disk_files *files)
{
    files->count = 0;
    make_disk(disk, files);
    for (unsigned level = 1; level <= disk->chain; level++) {
        make_level(disk, level, files);
    }
    if (disk->has_backing) {
        struct disk_file *base = add_file(files, disk->backing_size);
        snprintf(base->name, sizeof base->name, DISK_BASE);
        fill_level(disk, disk->chain + 1, base);
    }
}

void disk_files_free(struct disk_files *files)
{
    for (unsigned i = 0; i < files->count; i++) {
        free(files->list[i].bytes);
    }
    files->count = 0;
}

/* ---- Directories ---- */

static void join(char path[PATH_BYTES], const char *directory, const char *name)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    if (length < 0 || (unsigned)length >= PATH_BYTES) {
        report_fatal("%s: the path is too long", directory);
    }
}

static bool is_zero(const uint8_t *bytes, uint64_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)(length - 1)) == 0;
}

/* Where the run of data, or of blocks of zeros, that begins at `begin` ends; *data says which it is. */
static uint64_t find_stretch(const uint8_t *bytes, uint64_t length, uint64_t begin, bool *data)
{
    uint64_t end = begin;
    while (end < length) {
        uint64_t part = length - end < TRACE_BLOCK ? length - end : TRACE_BLOCK;
        bool here = !is_zero(bytes + end, part);
        if (end > begin && here != *data) {
            break;
        }
        *data = here;
        end += part;
    }
    return end;
}

static bool write_all(int descriptor, const uint8_t *bytes, uint64_t begin, uint64_t end)
{
    while (begin < end) {
        ssize_t count = pwrite(descriptor, bytes + begin, (size_t)(end - begin), (off_t)begin);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        begin += count < 0 ? 0 : (uint64_t)count;
    }
    return true;
}

static void store(const char *path, const uint8_t *bytes, uint64_t length)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool stored = descriptor >= 0 && ftruncate(descriptor, (off_t)length) == 0;
    for (uint64_t begin = 0; stored && begin < length;) {
        bool data = false;
        uint64_t end = find_stretch(bytes, length, begin, &data);
        stored = !data || write_all(descriptor, bytes, begin, end);
        begin = end;
    }
    if (!stored || close(descriptor) != 0) {
        report_fatal("%s: cannot write: %s", path, strerror(errno));
    }
}

void disk_files_store(const struct disk_files *files, const char *directory)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < files->count; i++) {
        join(path, directory, files->list[i].name);
        store(path, files->list[i].bytes, files->list[i].length);
    }
}

bool disk_files_load(const char *directory, const char *name, uint8_t **bytes, uint64_t *length)
{
    char path[PATH_BYTES];
    join(path, directory, name);
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    if (fstat(descriptor, &status) != 0) {
        close(descriptor);
        return false;
    }
    *length = (uint64_t)status.st_size;
    *bytes = report_allocate(*length, 1);
    uint64_t done = 0;
    while (done < *length) {
        ssize_t count = read(descriptor, *bytes + done, (size_t)(*length - done));
        if (count == 0 || (count < 0 && errno != EINTR)) {
            free(*bytes);
            close(descriptor);
            return false;
        }
        done += count < 0 ? 0 : (uint64_t)count;
    }
    close(descriptor);
    return true;
}

/*
 * The files of a trace's disk, as they are before its first operation.
 */
#include "workload/disk_files.h"

#include "addcow_header.h"
#include "base/report.h"
#include "workload/disk_contents.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define UNKNOWN_COMPATIBLE 0x8000000000000006u

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
    addcow_place_names(&header);
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
        if (disk_contents_is_allocated(disk, k)) {
            set_bit(metadata->bytes + header.header_size, k);
        }
    }
    struct disk_file *image = add_file(files, disk->size);
    snprintf(image->name, sizeof image->name, DISK_IMAGE);
    disk_contents_fill_image(disk, 0, image->bytes, disk->size);
}

static struct addcow_header level_header(const struct trace_disk *disk, unsigned level, const char *backing_name,
                                         const char *image_name)
{
    struct disk_level drawn = disk_contents_level(disk, level);
    struct addcow_header header = make_header(drawn.layout, drawn.cluster_bits, backing_name,
                                              level == disk->chain ? "raw" : "add-cow", image_name);
    header.compatible_features = drawn.allocation == TRACE_ALL_ALLOCATED ? ADDCOW_ALL_ALLOCATED : 0;
    return header;
}

uint32_t disk_files_chain_header(const struct trace_disk *disk)
{
    return level_header(disk, 1, "", "").header_size;
}

static void make_level(const struct trace_disk *disk, unsigned level, struct disk_files *files)
{
    char image_name[24];
    char backing_name[24] = DISK_BASE;
    snprintf(image_name, sizeof image_name, "base%u.raw", level);
    if (level < disk->chain) {
        snprintf(backing_name, sizeof backing_name, "base%u.add-cow", level + 1);
    }
    struct addcow_header header = level_header(disk, level, backing_name, image_name);
    uint64_t size = disk_contents_level(disk, level).length;
    uint64_t cluster = addcow_cluster_size(header.cluster_bits);
    struct disk_file *metadata = add_file(files, addcow_file_length(&header, size));
    snprintf(metadata->name, sizeof metadata->name, "base%u.add-cow", level);
    encode_header(&header, backing_name, image_name, metadata->bytes);
    for (uint64_t k = 0; k < addcow_cluster_count(size, cluster); k++) {
        if (disk_contents_level_is_allocated(disk, level, k * cluster)) {
            set_bit(metadata->bytes + header.header_size, k);
        }
    }
    struct disk_file *image = add_file(files, size);
    memcpy(image->name, image_name, sizeof image->name);
    disk_contents_fill_level(disk, level, image->bytes, size);
}

void disk_files_make(const struct trace_disk *disk, struct disk_files *files)
{
    files->count = 0;
    make_disk(disk, files);
    for (unsigned level = 1; level <= disk->chain; level++) {
        make_level(disk, level, files);
    }
    if (disk->has_backing) {
        struct disk_file *base = add_file(files, disk_contents_level(disk, disk->chain + 1).length);
        snprintf(base->name, sizeof base->name, DISK_BASE);
        disk_contents_fill_level(disk, disk->chain + 1, base->bytes, base->length);
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

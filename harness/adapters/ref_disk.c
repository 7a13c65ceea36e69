/*
 * The reference engine on files.
 *
 * Each metadata file, image and raw backing file is one shared mapping. So a change that addcow_ref makes to its arrays
 * is in the file at once, and a sparse file of terabytes uses memory only for the pages touched. A backing file of
 * format add-cow is opened as a disk of its own, and its virtual contents are read into memory. Commit writes the
 * allocated clusters to that disk.
 *
 * An empty file cannot be mapped; its mapping is one unused byte.
 */
#include "adapters/ref_disk.h"

#include "adapters/ref_lock.h"
#include "adapters/reference.h"
#include "base/report.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_IN_CHAIN (2 * ADDCOW_CHAIN_MAX + 2)

/* A file and its mapping. */
struct mapped {
    int descriptor; /* -1: not open */
    bool writable;
    uint8_t *bytes; /* null: not mapped */
    uint64_t length;
};

struct ref_disk {
    char *path;
    bool writable;
    struct mapped metadata;
    struct mapped image;
    struct mapped base;     /* the backing file if it is raw */
    struct ref_disk *lower; /* the backing file if it is add-cow */
    uint8_t *lower_bytes;   /* its virtual contents */
    struct addcow_header header;
    char *backing_path; /* null without a backing file */
    struct addcow_ref state;
};

/* The files that a chain has opened so far, by identity (LNK-07). */
struct opened {
    unsigned count;
    unsigned disks;
    struct {
        dev_t device;
        ino_t inode;
    } list[FILES_IN_CHAIN];
};

__attribute__((format(printf, 4, 5))) static enum addcow_status
refuse(struct addcow_error *error, enum addcow_status code, const char *clause, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        *error = (struct addcow_error){.code = code};
        snprintf(error->clause, sizeof error->clause, "%s", clause);
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return code;
}

static enum addcow_status refuse_rule(struct addcow_error *error, const char *path, enum addcow_rule rule)
{
    return refuse(error, addcow_rule_status(rule), addcow_rule_clause(rule), "%s: breaks %s", path,
                  addcow_rule_clause(rule));
}

/* ---- Mapped files ---- */

/* Like mmap with MAP_NORESERVE, but maps at least one byte, and fails with ENOMEM if the length does not fit size_t. */
static void *map(uint64_t length, int protection, int flags, int descriptor)
{
    if (length > SIZE_MAX) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return mmap(NULL, length > 0 ? (size_t)length : 1, protection, flags | MAP_NORESERVE, descriptor, 0);
}

static void unmap(void *bytes, uint64_t length)
{
    if (bytes != NULL) {
        munmap(bytes, length > 0 ? (size_t)length : 1);
    }
}

static bool can_map(uint64_t length)
{
    void *bytes = map(length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (bytes == MAP_FAILED) {
        return false;
    }
    unmap(bytes, length);
    return true;
}

/* In KiB. */
static long most_memory_used(void)
{
    struct rusage usage = {.ru_maxrss = 0};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

bool ref_disk_maps_large(void)
{
    long before = most_memory_used();
    /* With 8 bytes for each page of the first mapping, the second one would take 64 GiB. */
    return can_map((uint64_t)16 << 30) && most_memory_used() - before < 16 * 1024 && can_map((uint64_t)32 << 40);
}

static enum addcow_status map_whole(struct mapped *file, const char *path, struct addcow_error *error)
{
    struct stat status;
    unmap(file->bytes, file->length);
    file->bytes = NULL;
    if (fstat(file->descriptor, &status) != 0) {
        return refuse(error, ADDCOW_IO, "", "%s: %s", path, strerror(errno));
    }
    file->length = (uint64_t)status.st_size;
    int protection = file->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *bytes = file->length == 0 ? map(0, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1)
                                    : map(file->length, protection, MAP_SHARED, file->descriptor);
    if (bytes == MAP_FAILED) {
        return refuse(error, ADDCOW_IO, "", "%s: cannot be mapped: %s", path, strerror(errno));
    }
    file->bytes = bytes;
    return ADDCOW_OK;
}

/* LNK-06: why `path` could not be opened, as errno says. */
static enum addcow_status open_failed(const char *path, bool writable, struct addcow_error *error)
{
    int reason = errno;
    enum addcow_status code = ADDCOW_IO;
    if (reason == ENOENT || reason == ENOTDIR || reason == ELOOP || reason == ENAMETOOLONG || reason == EISDIR ||
        reason == ENXIO) {
        code = ADDCOW_UNLINKABLE;
    } else if (writable && access(path, R_OK) == 0) {
        code = ADDCOW_READONLY;
    }
    return refuse(error, code, "LNK-06", "%s: %s", path, strerror(reason));
}

/* Opens a regular file and adds it to those opened. */
static enum addcow_status open_file(const char *path, bool writable, struct opened *opened, struct mapped *file,
                                    struct addcow_error *error)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return refuse(error, ADDCOW_UNLINKABLE, "LNK-06", "%s: is not a regular file", path);
    }
    file->writable = writable;
    file->descriptor = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0 || fstat(file->descriptor, &status) != 0) {
        return open_failed(path, writable, error);
    }
    for (unsigned i = 0; i < opened->count; i++) {
        if (opened->list[i].device == status.st_dev && opened->list[i].inode == status.st_ino) {
            return refuse(error, ADDCOW_UNLINKABLE, "LNK-07", "%s: occurs twice", path);
        }
    }
    opened->list[opened->count].device = status.st_dev;
    opened->list[opened->count++].inode = status.st_ino;
    return ADDCOW_OK;
}

static enum addcow_status lock_file(const struct mapped *file, const char *path, bool exclusive,
                                    struct addcow_error *error)
{
    struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(file->descriptor, F_OFD_SETLK, &lock) != 0) {
        return refuse(error, ADDCOW_BUSY, "LCK-02", "%s: %s", path, strerror(errno));
    }
    return ADDCOW_OK;
}

/* LCK-05 */
static enum addcow_status lock_data(const struct mapped *file, const char *path, bool exclusive,
                                    struct addcow_error *error)
{
    return ref_lock_data(file->descriptor, exclusive) ? ADDCOW_OK
                                                      : refuse(error, ADDCOW_BUSY, "LCK-05", "%s: in use", path);
}

/* ---- Opening (sections 2 to 5, LCK) ---- */

/* LNK-01. The caller frees. */
static char *resolve(const char *metadata_path, const uint8_t *name, uint32_t size)
{
    char *copy = strdup(metadata_path);
    const char *directory = copy != NULL ? dirname(copy) : NULL;
    char *path = NULL;
    int length = name[0] == '/' ? asprintf(&path, "%.*s", (int)size, (const char *)name)
                                : asprintf(&path, "%s/%.*s", directory, (int)size, (const char *)name);
    free(copy);
    if (length < 0) {
        report_fatal("no memory for a path");
    }
    return path;
}

static enum addcow_status open_level(const char *path, bool writable, struct opened *opened, struct ref_disk **out,
                                     struct addcow_error *error);

/* Reads the whole virtual contents of the lower disk. */
static enum addcow_status read_lower(struct ref_disk *disk, struct addcow_error *error)
{
    const struct addcow_ref *lower = &disk->lower->state;
    void *bytes = map(lower->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (bytes == MAP_FAILED) {
        return refuse(error, ADDCOW_IO, "", "%s: %s", disk->lower->path, strerror(errno));
    }
    disk->lower_bytes = bytes;
    return addcow_ref_read(lower, 0, lower->size, disk->lower_bytes);
}

/* Opens the backing file, even if "all allocated" is set. */
static enum addcow_status attach_backing(struct ref_disk *disk, struct opened *opened, struct addcow_error *error)
{
    enum addcow_status code;
    if (addcow_backing_is_addcow(&disk->header)) {
        code = open_level(disk->backing_path, false, opened, &disk->lower, error);
        if (code == ADDCOW_OK) {
            code = read_lower(disk, error);
        }
        if (code == ADDCOW_OK) {
            disk->state.backing = disk->lower_bytes;
            disk->state.backing_size = disk->lower->state.size;
        }
        return code;
    }
    code = open_file(disk->backing_path, false, opened, &disk->base, error);
    if (code == ADDCOW_OK) {
        code = lock_data(&disk->base, disk->backing_path, false, error);
    }
    if (code == ADDCOW_OK) {
        code = map_whole(&disk->base, disk->backing_path, error);
    }
    if (code == ADDCOW_OK) {
        disk->state.backing = disk->base.bytes;
        disk->state.backing_size = disk->base.length;
    }
    return code;
}

/* Points the reference engine's arrays at the mappings. */
static void point_arrays(struct ref_disk *disk)
{
    disk->state.image = disk->image.bytes;
    disk->state.bitmap = disk->metadata.bytes + disk->header.header_size;
    disk->state.capacity = disk->image.length;
}

static enum addcow_status open_image(struct ref_disk *disk, struct opened *opened, struct addcow_error *error)
{
    const uint8_t *file = disk->metadata.bytes;
    const uint8_t *image_name = file + disk->header.image_offset;
    const uint8_t *backing_name = file + disk->header.backing_offset;
    /* Check names and formats first: they decide whether the image may be opened, lengths do not. */
    enum addcow_rule rule = addcow_check_open(&disk->header, backing_name, image_name, UINT64_MAX, 0);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse_rule(error, disk->path, rule);
    }
    char *image_path = resolve(disk->path, image_name, disk->header.image_size);
    enum addcow_status code = open_file(image_path, disk->writable, opened, &disk->image, error);
    if (code == ADDCOW_OK) {
        code = lock_data(&disk->image, image_path, disk->writable, error);
    }
    if (code == ADDCOW_OK) {
        code = map_whole(&disk->image, image_path, error);
    }
    free(image_path);
    if (code != ADDCOW_OK) {
        return code;
    }
    rule = addcow_check_open(&disk->header, backing_name, image_name, disk->metadata.length, disk->image.length);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse_rule(error, disk->path, rule);
    }
    if (disk->header.backing_size > 0) {
        disk->backing_path = resolve(disk->path, backing_name, disk->header.backing_size);
    }
    return ADDCOW_OK;
}

static enum addcow_status open_files(struct ref_disk *disk, struct opened *opened, struct addcow_error *error)
{
    enum addcow_status code = open_file(disk->path, disk->writable, opened, &disk->metadata, error);
    if (code == ADDCOW_OK) {
        code = lock_file(&disk->metadata, disk->path, disk->writable, error);
    }
    if (code == ADDCOW_OK) {
        code = map_whole(&disk->metadata, disk->path, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    enum addcow_rule rule = addcow_decode(disk->metadata.bytes, disk->metadata.length, &disk->header);
    if (rule != ADDCOW_RULE_NONE) {
        return refuse_rule(error, disk->path, rule);
    }
    code = open_image(disk, opened, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    disk->state = (struct addcow_ref){
        .size = disk->image.length,
        .cluster_size = addcow_cluster_size(disk->header.cluster_bits),
        .has_backing = disk->backing_path != NULL,
        .all_allocated = (disk->header.compatible_features & ADDCOW_ALL_ALLOCATED) != 0,
    };
    point_arrays(disk);
    if (disk->backing_path != NULL && !disk->state.all_allocated) { /* LNK-10 */
        code = attach_backing(disk, opened, error);
    }
    return code;
}

static enum addcow_status open_level(const char *path, bool writable, struct opened *opened, struct ref_disk **out,
                                     struct addcow_error *error)
{
    if (opened->disks == ADDCOW_CHAIN_MAX) {
        return refuse(error, ADDCOW_UNSUPPORTED, "LNK-09", "%s: the chain is too long", path);
    }
    opened->disks++;
    struct ref_disk *disk = report_allocate(1, sizeof *disk);
    disk->writable = writable;
    disk->metadata.descriptor = disk->image.descriptor = disk->base.descriptor = -1;
    disk->path = strdup(path);
    if (disk->path == NULL) {
        report_fatal("no memory for a path");
    }
    enum addcow_status code = open_files(disk, opened, error);
    if (code != ADDCOW_OK) {
        ref_disk_close(disk);
        return code;
    }
    *out = disk;
    return ADDCOW_OK;
}

enum addcow_status ref_disk_open(const char *path, bool writable, struct ref_disk **disk, struct addcow_error *error)
{
    struct opened opened = {.count = 0};
    return open_level(path, writable, &opened, disk, error);
}

static void close_file(struct mapped *file)
{
    unmap(file->bytes, file->length);
    if (file->descriptor >= 0) {
        close(file->descriptor);
    }
}

void ref_disk_close(struct ref_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    if (disk->lower != NULL) {
        unmap(disk->lower_bytes, disk->lower->state.size);
    }
    ref_disk_close(disk->lower);
    close_file(&disk->metadata);
    close_file(&disk->image);
    close_file(&disk->base);
    free(disk->backing_path);
    free(disk->path);
    free(disk);
}

const struct addcow_ref *ref_disk_state(const struct ref_disk *disk)
{
    return &disk->state;
}

/* ---- Requests (section 6) ---- */

static enum addcow_status flush(struct ref_disk *disk)
{
    bool done = fsync(disk->image.descriptor) == 0 && fsync(disk->metadata.descriptor) == 0;
    return done ? ADDCOW_OK : ADDCOW_IO;
}

/* ---- Whole-disk operations (sections 8 and 9) ---- */

/* Truncates or extends a file, and maps it again. */
static enum addcow_status set_length(struct mapped *file, uint64_t length)
{
    if (ftruncate(file->descriptor, (off_t)length) != 0) {
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ADDCOW_NOSPACE : ADDCOW_IO;
    }
    return map_whole(file, "", NULL);
}

static enum addcow_status resize(struct ref_disk *disk, uint64_t new_size)
{
    if (new_size > ADDCOW_SIZE_MAX) {
        return ADDCOW_RANGE;
    }
    uint64_t file_length = addcow_file_length(&disk->header, new_size);
    enum addcow_status code = ADDCOW_OK;
    if (file_length > disk->metadata.length) { /* RSZ-08 */
        code = set_length(&disk->metadata, file_length);
    }
    if (code == ADDCOW_OK && new_size > disk->image.length) {
        code = set_length(&disk->image, new_size);
    }
    if (code == ADDCOW_OK) {
        point_arrays(disk);
        code = addcow_ref_resize(&disk->state, new_size);
    }
    if (code == ADDCOW_OK && new_size < disk->image.length) {
        code = set_length(&disk->image, new_size);
        point_arrays(disk);
    }
    return code;
}

/* HDR-21: only the eight bytes of the compatible features change. */
static void store_flag(struct ref_disk *disk)
{
    if (disk->header.layout != ADDCOW_R20) {
        return;
    }
    uint8_t *byte = disk->metadata.bytes + ADDCOW_COMPATIBLE_OFFSET;
    *byte = (uint8_t)((*byte & ~ADDCOW_ALL_ALLOCATED) | (disk->state.all_allocated ? ADDCOW_ALL_ALLOCATED : 0));
}

static enum addcow_status stream(struct ref_disk *disk)
{
    addcow_ref_stream(&disk->state, disk->header.layout == ADDCOW_R20);
    store_flag(disk);
    return ADDCOW_OK;
}

/* CMT-02: reopens the raw backing file for writing. */
static enum addcow_status make_base_writable(struct ref_disk *disk)
{
    struct opened opened = {.count = 0};
    struct mapped again = {.descriptor = -1};
    enum addcow_status code = open_file(disk->backing_path, true, &opened, &again, NULL);
    if (code == ADDCOW_OK) {
        code = map_whole(&again, disk->backing_path, NULL);
    }
    if (code == ADDCOW_OK) {
        code = lock_data(&disk->base, disk->backing_path, true, NULL);
    }
    if (code != ADDCOW_OK) {
        close_file(&again);
        return code;
    }
    close_file(&disk->base); /* and its lock, which would conflict with the other one's */
    disk->base = again;
    disk->state.backing = again.bytes;
    return lock_data(&disk->base, disk->backing_path, true, NULL);
}

/* Writes the content of the clusters that were allocated `before` the commit to the lower disk. */
static void write_lower(const struct addcow_ref *before, struct ref_disk *lower)
{
    uint64_t at = 0;
    while (at < before->size) {
        uint32_t allocated = 0;
        uint64_t run = 0;
        addcow_ref_map(before, at, before->size - at, &allocated, &run);
        if (allocated != 0) {
            addcow_ref_write(&lower->state, at, run, before->image + at);
        }
        at += run;
    }
}

/* Commits into a backing file of format add-cow: reopens it for writing, with an exclusive lock (LCK-03). */
static enum addcow_status commit_to_lower(struct ref_disk *disk)
{
    struct opened opened = {.count = 0};
    struct ref_disk *lower = NULL;
    /* The shared locks of the first opening conflict with the exclusive ones. */
    ref_unlock(disk->lower->metadata.descriptor);
    ref_unlock(disk->lower->image.descriptor);
    enum addcow_status code = open_level(disk->backing_path, true, &opened, &lower, NULL);
    if (code == ADDCOW_OK) {
        struct addcow_ref before = disk->state;
        uint64_t bytes = addcow_bitmap_bytes(before.size, before.cluster_size);
        before.bitmap = report_allocate(bytes, 1);
        memcpy(before.bitmap, disk->state.bitmap, (size_t)bytes);
        code = addcow_ref_commit(&disk->state);
        if (code == ADDCOW_OK) {
            write_lower(&before, lower);
        }
        free(before.bitmap);
        ref_disk_close(lower);
    }
    lock_file(&disk->lower->metadata, disk->backing_path, false, NULL);
    lock_data(&disk->lower->image, disk->backing_path, false, NULL);
    return code;
}

static enum addcow_status commit(struct ref_disk *disk)
{
    struct opened opened = {.count = 0};
    enum addcow_status code = ADDCOW_OK;
    if (disk->backing_path == NULL) {
        return ADDCOW_UNSUPPORTED;
    }
    if (disk->lower == NULL && disk->base.descriptor < 0) { /* LNK-10 left it closed */
        code = attach_backing(disk, &opened, NULL);
    }
    if (code == ADDCOW_OK && disk->lower != NULL) {
        code = commit_to_lower(disk);
    } else if (code == ADDCOW_OK) {
        code = make_base_writable(disk);
        if (code == ADDCOW_OK) {
            code = addcow_ref_commit(&disk->state);
        }
        lock_data(&disk->base, disk->backing_path, false, NULL);
    }
    store_flag(disk);
    return code;
}

enum addcow_status ref_disk_perform(struct ref_disk *disk, struct operation_request *request)
{
    if (!disk->writable && operation_properties(request->operation)->changes != CHANGES_NOTHING) {
        return ADDCOW_READONLY;
    }
    switch (request->operation) {
    case OPERATION_FLUSH:
        return flush(disk);
    case OPERATION_RESIZE:
        return resize(disk, request->offset);
    case OPERATION_STREAM:
        return stream(disk);
    case OPERATION_COMMIT:
        return commit(disk);
    default:
        return reference_perform(&disk->state, disk->header.layout == ADDCOW_R20, request);
    }
}

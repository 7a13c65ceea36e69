/*
 * Opening and closing, in the order of LNK-11, and what lies below.
 */
#include "second.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t disk_clusters(const struct disk *disk, uint64_t size)
{
    return size / disk->header.cluster + (size % disk->header.cluster != 0); /* BMP-02 */
}

uint64_t disk_cluster_end(const struct disk *disk, uint64_t cluster)
{
    uint64_t begin = cluster * disk->header.cluster;
    return disk->size - begin < disk->header.cluster ? disk->size : begin + disk->header.cluster;
}

bool disk_has_all(struct disk *disk)
{
    return (atomic_load(&disk->compatible) & ALL_ALLOCATED) != 0;
}

uint64_t disk_size(struct disk *disk)
{
    pthread_rwlock_rdlock(&disk->gate);
    uint64_t size = disk->size;
    pthread_rwlock_unlock(&disk->gate);
    return size;
}

/* LNK-07: no file of this disk, or of those above it, is this one. */
static bool is_new(const struct disk *disk, struct identity identity, struct problem *problem)
{
    for (; disk != NULL; disk = disk->above) {
        bool metadata = disk->metadata >= 0 && disk->metadata_identity.device == identity.device &&
                        disk->metadata_identity.inode == identity.inode;
        bool image = disk->image >= 0 && disk->image_identity.device == identity.device &&
                     disk->image_identity.inode == identity.inode;
        if (metadata || image) {
            return fail(problem, "unlinkable", "LNK-07", "one file stands twice in the disk");
        }
    }
    return true;
}

static bool has_protocol(const char *name)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');
    return colon != NULL && (slash == NULL || colon < slash);
}

static bool check_links(const struct header *header, struct problem *problem)
{
    if ((header->backing != NULL && has_protocol(header->backing)) || has_protocol(header->image)) {
        return fail(problem, "unsupported", "LNK-02", "a name has a protocol prefix");
    }
    if (strcmp(header->image_format, "raw") != 0) {
        return fail(problem, "unsupported", "LNK-03", "the image is not raw");
    }
    if (header->backing != NULL && strcmp(header->backing_format, "raw") != 0 &&
        strcmp(header->backing_format, "add-cow") != 0) {
        return fail(problem, "unsupported", "LNK-04", "an unknown backing format");
    }
    return true;
}

static bool open_metadata(struct disk *disk, uint64_t *length, struct problem *problem)
{
    unsigned levels = 0;
    for (const struct disk *level = disk; level != NULL; level = level->above) {
        levels++;
    }
    if (levels > CHAIN_MAX) {
        return fail(problem, "unsupported", "LNK-09", "the chain is too long");
    }
    int fd;
    struct identity identity;
    if (!file_open(disk->path, disk->writable, &fd, problem)) {
        return false;
    }
    bool good = file_identify(fd, &identity, length, problem) && is_new(disk, identity, problem);
    disk->metadata = fd;
    disk->metadata_identity = identity;
    return good && file_lock_metadata(fd, disk->path, disk->writable, problem);
}

static bool read_header(struct disk *disk, uint64_t length, struct problem *problem)
{
    uint64_t bytes = length < HEADER_MAX ? length : HEADER_MAX;
    uint8_t *head = calloc(1, bytes < HEADER_MIN ? HEADER_MIN : (size_t)bytes);
    if (head == NULL) {
        return fail(problem, "io", "-", "no memory");
    }
    bool good = file_read(disk->metadata, 0, bytes, head, problem) &&
                header_decode(head, length, &disk->header, problem) && check_links(&disk->header, problem);
    free(head);
    atomic_store(&disk->compatible, disk->header.compatible);
    return good;
}

static bool open_image(struct disk *disk, struct problem *problem)
{
    char *path = file_resolve(disk->path, disk->header.image);
    int fd = -1;
    struct identity identity;
    bool good = file_open(path, disk->writable, &fd, problem) && file_identify(fd, &identity, &disk->size, problem) &&
                is_new(disk, identity, problem);
    if (fd >= 0) {
        disk->image = fd;
    }
    if (good) {
        disk->image_identity = identity;
        good = file_lock_data(fd, path, disk->writable, problem);
    }
    free(path);
    if (good && disk->size > SIZE_MAXIMUM) {
        return fail(problem, "unsupported", "VRT-01", "the image is too long");
    }
    return good;
}

static bool open_all(struct disk *disk, struct problem *problem)
{
    uint64_t length;
    if (!open_metadata(disk, &length, problem) || !read_header(disk, length, problem) || !open_image(disk, problem)) {
        return false;
    }
    uint64_t needed = header_bitmap_bytes(&disk->header, disk->size);
    if (length < disk->header.size + needed) {
        return fail(problem, "malformed", "BMP-03", "the bitmap is cut");
    }
    if (!bitmap_reserve(disk, needed, problem)) {
        return false;
    }
    if (disk->header.backing != NULL && !disk_has_all(disk) && !below_need(disk, problem)) { /* LNK-10 */
        return false;
    }
    /* DUR-12: a process that died may have left something that is not durable. */
    return !disk->writable || (file_sync(disk->image, problem) && file_sync(disk->metadata, problem));
}

static void release(struct disk *disk)
{
    struct problem ignored;
    below_close(&disk->below, &ignored);
    if (disk->image >= 0) {
        close(disk->image);
    }
    if (disk->metadata >= 0) {
        close(disk->metadata);
    }
    bitmap_free(disk);
    header_free(&disk->header);
    pthread_rwlock_destroy(&disk->gate);
    free(disk->path);
    free(disk);
}

bool disk_open(const char *path, bool writable, const struct disk *above, struct disk **opened, struct problem *problem)
{
    pthread_rwlockattr_t fair;
    struct disk *disk = calloc(1, sizeof *disk);
    char *copy = strdup(path);
    if (disk == NULL || copy == NULL) {
        free(disk);
        free(copy);
        return fail(problem, "io", "-", "no memory");
    }
    *disk = (struct disk){.path = copy, .writable = writable, .above = above, .metadata = -1, .image = -1};
    disk->below.fd = -1;
    pthread_rwlockattr_init(&fair);
    /* Else requests that overlap without end would keep a resize waiting for ever (CON-12). */
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&disk->gate, &fair);
    pthread_rwlockattr_destroy(&fair);
    pthread_mutex_init(&disk->flushes.mutex, NULL);
    pthread_cond_init(&disk->flushes.ended, NULL);
    pthread_mutex_init(&disk->claims_mutex, NULL);
    pthread_cond_init(&disk->claims_change, NULL);
    pthread_mutex_init(&disk->below_mutex, NULL);
    if (!open_all(disk, problem)) {
        release(disk);
        return false;
    }
    *opened = disk;
    return true;
}

bool disk_close(struct disk *disk, struct problem *problem)
{
    bool good = disk_flush(disk, problem); /* DUR-10 */
    release(disk);
    return good;
}

/* ---- Below ---- */

static bool open_raw(struct disk *disk, const char *path, bool writable, struct below *below, struct identity *identity,
                     struct problem *problem)
{
    if (!file_open(path, writable, &below->fd, problem)) {
        below->fd = -1;
        return false;
    }
    return file_identify(below->fd, identity, &below->length, problem) && is_new(disk, *identity, problem) &&
           file_lock_data(below->fd, path, writable, problem);
}

bool below_open(struct disk *disk, bool writable, struct below *below, struct problem *problem)
{
    char *path = file_resolve(disk->path, disk->header.backing);
    struct identity identity;
    *below = (struct below){.fd = -1};
    bool good;
    if (strcmp(disk->header.backing_format, "raw") == 0) {
        good = open_raw(disk, path, writable, below, &identity, problem);
    } else {
        good = path != NULL && disk_open(path, writable, disk, &below->disk, problem);
        if (good) {
            identity = below->disk->metadata_identity;
            below->length = below->disk->size;
        }
    }
    free(path);
    if (good && disk->below_known &&
        (identity.device != disk->below_identity.device || identity.inode != disk->below_identity.inode)) {
        good = fail(problem, "unlinkable", "CMT-02", "the backing file is another one by now");
    }
    if (good) {
        disk->below_identity = identity;
        disk->below_known = true;
    } else {
        struct problem ignored;
        below_close(below, &ignored);
    }
    return good;
}

bool below_need(struct disk *disk, struct problem *problem)
{
    pthread_mutex_lock(&disk->below_mutex);
    bool is_open = disk->below.fd >= 0 || disk->below.disk != NULL;
    bool good = is_open || disk->header.backing == NULL || below_open(disk, false, &disk->below, problem);
    pthread_mutex_unlock(&disk->below_mutex);
    return good;
}

bool below_read(struct disk *disk, uint64_t offset, uint64_t length, uint8_t *bytes, struct problem *problem)
{
    if (!below_need(disk, problem)) {
        return false;
    }
    const struct below *below = &disk->below;
    uint64_t there = offset < below->length ? below->length - offset : 0; /* VRT-02, VRT-03 */
    there = there < length ? there : length;
    memset(bytes + there, 0, (size_t)(length - there));
    if (below->disk != NULL) {
        return disk_read(below->disk, offset < below->length ? offset : 0, there, bytes, problem);
    }
    return there == 0 || file_read(below->fd, offset, there, bytes, problem);
}

bool below_close(struct below *below, struct problem *problem)
{
    bool good = true;
    if (below->fd >= 0) {
        close(below->fd);
    }
    if (below->disk != NULL) {
        good = disk_close(below->disk, problem);
    }
    *below = (struct below){.fd = -1};
    return good;
}

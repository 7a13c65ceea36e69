/*
 * Commit copies the allocated clusters into the backing file and then clears their bits. The disk is quiesced.
 *
 * All conditions are checked before anything is written (CMT-02). Then the order is (CMT-03): copy the clusters; make
 * the backing file durable; clear "all allocated", durably; clear the bits in the file, durably; free the storage of
 * the clusters in the image (CMT-04); clear the bits in memory. Once the backing file is durable, a cluster reads the
 * same whether its bit is set or not. So from then on, any mix of old and new bits is the same disk, after a crash as
 * well as after a failure.
 *
 * The backing file is open for reading. Commit opens it again for writing and uses that in its place while it runs,
 * under an exclusive lock (LCK-05). An add-cow backing file is written like any disk, and is locked as such (LCK-03).
 */
#include "addcow_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- The range to copy ---- */

/* The end of the last allocated cluster, clipped at the size; 0 if there is none. */
static enum addcow_status find_allocated_end(struct addcow *disk, uint64_t *end, struct addcow_error *error)
{
    uint64_t count = disk->bitmap.cluster_count;
    uint64_t size = sync_load_acquire(&disk->size);
    *end = 0;
    for (uint64_t position = 0; position < count;) {
        bool allocated;
        enum addcow_status code = addcow_bitmap_run(disk, position, count, &allocated, &position, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        if (allocated) {
            *end = position << disk->cluster_bits;
        }
    }
    if (*end > size) {
        *end = size;
    }
    return ADDCOW_OK;
}

/* ---- The backing file, opened for writing ---- */

/* The file that commit writes to: the raw backing file, or the image of the add-cow one. */
static struct addcow_io *target_of(struct addcow *disk)
{
    return disk->lower ? &disk->lower->image : &disk->raw_backing;
}

static void swap(struct addcow_io *a, struct addcow_io *b)
{
    struct addcow_io saved = *a;
    *a = *b;
    *b = saved;
}

/* Opens the target again, for writing. */
static enum addcow_status reopen(struct addcow *disk, struct addcow_io *writable, struct addcow_error *error)
{
    struct addcow_io *target = target_of(disk);
    enum addcow_status code = addcow_io_open(disk->storage, target->path, ADDCOW_FILE_READWRITE, writable, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    bool same = false;
    code = addcow_io_same(target, writable, &same, error);
    if (code == ADDCOW_OK && !same) {
        code = addcow_fail(error, ADDCOW_UNLINKABLE, 0, "LNK-07", "%s: is another file than when the disk was opened",
                           target->path);
    }
    if (code == ADDCOW_OK) {
        code = addcow_disk_bypass_cache(disk, writable, error);
    }
    if (code != ADDCOW_OK) {
        addcow_io_close(writable, NULL);
    }
    return code;
}

static enum addcow_status lock_lower(struct addcow *disk, bool exclusive, struct addcow_error *error)
{
    if (!disk->lower) {
        return ADDCOW_OK;
    }
    if (!disk->lower->file_writable) {
        return addcow_fail(error, ADDCOW_READONLY, 0, "CMT-02", "%s: the backing file cannot be written",
                           disk->lower->file.path);
    }
    return addcow_io_lock(&disk->lower->file, exclusive, error);
}

/*
 * Changes the locks on the target. They are those of the file that is open for reading: one of the file that is opened
 * for writing would conflict with them.
 */
static enum addcow_status lock_target(struct addcow *disk, bool exclusive, struct addcow_error *error)
{
    enum addcow_status code = lock_lower(disk, exclusive, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_io_lock_data(target_of(disk), exclusive, error);
    if (code != ADDCOW_OK && exclusive) {
        lock_lower(disk, false, NULL);
    }
    return code;
}

/* Locks the target and puts a writable opening in its place; *original is what close_target puts back. */
static enum addcow_status open_target(struct addcow *disk, struct addcow_io *original, struct addcow_error *error)
{
    enum addcow_status code = lock_target(disk, true, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    if (disk->lower) {
        code = addcow_disk_sync_on_open(disk->lower, error);
    }
    if (code == ADDCOW_OK) {
        code = reopen(disk, original, error);
    }
    if (code != ADDCOW_OK) {
        lock_target(disk, false, NULL);
    } else {
        swap(target_of(disk), original);
    }
    return code;
}

static enum addcow_status close_target(struct addcow *disk, struct addcow_io *original, struct addcow_error *error)
{
    swap(target_of(disk), original);
    enum addcow_status code = addcow_io_close(original, error);
    enum addcow_status lock_code = lock_target(disk, false, code == ADDCOW_OK ? error : NULL);
    return code != ADDCOW_OK ? code : lock_code;
}

/* Writes to an add-cow backing file. Whole clusters of zeros take no storage where its image can have holes. */
static enum addcow_status write_lower(struct addcow *lower, uint64_t offset, uint64_t length, const uint8_t *data,
                                      struct addcow_error *error)
{
    uint64_t cluster = addcow_disk_cluster_size(lower);
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t at = 0, run; at < length && code == ADDCOW_OK; at += run) {
        bool zeros = false;
        run = addcow_zero_run(data + at, length - at, cluster < LOWER_BYTES ? LOWER_BYTES : cluster, &zeros);
        code = addcow_disk_write(lower, offset + at, run, zeros ? NULL : data + at, error);
    }
    return code;
}

/* Writes data, or zeros if it is null: these take no storage where the file can have holes. */
static enum addcow_status write_target(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                       struct addcow_error *error)
{
    if (disk->lower) {
        return data ? write_lower(disk->lower, offset, length, data, error)
                    : addcow_disk_write(disk->lower, offset, length, NULL, error);
    }
    if (data) {
        return addcow_io_write_sparse(&disk->raw_backing, data, length, offset, error);
    }
    return addcow_io_zero(&disk->raw_backing, length, offset, error);
}

static enum addcow_status sync_target(struct addcow *disk, struct addcow_error *error)
{
    return disk->lower ? addcow_disk_flush(disk->lower, error) : addcow_io_sync(&disk->raw_backing, error);
}

/* ---- Copying ---- */

struct copying {
    uint8_t *buffer; /* COPY_BYTES */
    uint64_t total;
    addcow_progress *progress;
    void *context;
};

/* Copies a part of the allocated run [offset, limit), and sets *part to its length. What is zeros stays a hole. */
static enum addcow_status copy_part(struct addcow *disk, const struct copying *copying, uint64_t offset, uint64_t limit,
                                    uint64_t *part, struct addcow_error *error)
{
    uint64_t hole = addcow_io_hole_end(&disk->image, offset);
    uint64_t most = hole > offset ? HOLE_BYTES : COPY_BYTES;
    uint64_t end = hole > offset && hole < limit ? hole : limit;
    *part = end - offset < most ? end - offset : most;
    if (hole > offset) {
        return write_target(disk, offset, *part, NULL, error);
    }
    if (!disk->lower) {
        uint64_t most_shared = end - offset < COMMIT_SHARE_BYTES ? end - offset : COMMIT_SHARE_BYTES;
        uint64_t shared = addcow_disk_share(disk, &disk->raw_backing, &disk->image, most_shared, offset);
        if (shared > 0) {
            *part = shared;
            return ADDCOW_OK;
        }
    }
    enum addcow_status code = addcow_io_read(&disk->image, copying->buffer, *part, offset, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    return write_target(disk, offset, *part, copying->buffer, error);
}

/* Copies the allocated run [offset, limit). */
static enum addcow_status copy_run(struct addcow *disk, const struct copying *copying, uint64_t offset, uint64_t limit,
                                   struct addcow_error *error)
{
    while (offset < limit) {
        uint64_t part;
        enum addcow_status code = copy_part(disk, copying, offset, limit, &part, error);
        addcow_io_begin_sync(target_of(disk), offset, offset + part);
        offset += part;
        if (code == ADDCOW_OK) {
            code =
                addcow_disk_report_progress(disk, copying->progress, copying->context, offset, copying->total, error);
        }
        if (code != ADDCOW_OK) {
            return code;
        }
    }
    return ADDCOW_OK;
}

static enum addcow_status copy_all(struct addcow *disk, const struct copying *copying, struct addcow_error *error)
{
    uint64_t count = disk->bitmap.cluster_count;
    for (uint64_t position = 0; position < count;) {
        bool allocated;
        uint64_t end;
        enum addcow_status code = addcow_bitmap_run(disk, position, count, &allocated, &end, error);
        if (code == ADDCOW_OK && allocated) {
            uint64_t limit = end << disk->cluster_bits;
            code = copy_run(disk, copying, position << disk->cluster_bits,
                            limit < copying->total ? limit : copying->total, error);
        }
        if (code != ADDCOW_OK) {
            return code;
        }
        position = end;
    }
    return sync_target(disk, error);
}

/* ---- Clearing ---- */

/*
 * Frees the storage of the clusters that were allocated, all of them or those whose bits are set in memory, up to
 * `total` (CMT-04). The bits in the file are durably clear: nothing reads these bytes any more, also after a crash.
 */
static enum addcow_status free_clusters(struct addcow *disk, bool all, uint64_t total, struct addcow_error *error)
{
    uint64_t count = addcow_cluster_count(total, addcow_disk_cluster_size(disk));
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t position = 0, end; position < count && code == ADDCOW_OK; position = end) {
        bool allocated = true;
        end = count;
        if (!all) {
            code = addcow_bitmap_run(disk, position, count, &allocated, &end, error);
        }
        if (code == ADDCOW_OK && allocated) {
            uint64_t start = position << disk->cluster_bits;
            uint64_t limit = end << disk->cluster_bits;
            code = addcow_io_free(&disk->image, (limit < total ? limit : total) - start, start, error);
        }
    }
    return code;
}

static enum addcow_status clear_bits(struct addcow *disk, uint64_t total, struct addcow_error *error)
{
    bool all = addcow_disk_all_allocated(disk);
    enum addcow_status code = ADDCOW_OK;
    /* Even if the flag is clear in memory: a stream that failed late may have left it set in the file. */
    if (disk->metadata.header.layout == ADDCOW_R20) {
        code = addcow_disk_set_all_allocated(disk, false, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_io_zero(&disk->file, (disk->bitmap.cluster_count + 7) / 8, disk->metadata.header.header_size, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_sync(&disk->file, error);
    }
    if (code == ADDCOW_OK) {
        code = free_clusters(disk, all, total, error);
        addcow_bitmap_forget(disk);
    } else {
        addcow_bitmap_touch_all(disk);
    }
    return code;
}

/* ---- The whole ---- */

/* Refuses what cannot be committed (CMT-02); *total is how far the copying goes. */
static enum addcow_status prepare(struct addcow *disk, uint64_t *total, struct addcow_error *error)
{
    enum addcow_status code = addcow_disk_check_image(disk, error);
    if (code == ADDCOW_OK && !disk->lower && !disk->raw_backing.file) {
        code = addcow_disk_open_backing(disk, error);
    }
    if (code == ADDCOW_OK) {
        code = find_allocated_end(disk, total, error);
    }
    if (code == ADDCOW_OK && *total > disk->backing_length) {
        code = addcow_fail(error, ADDCOW_RANGE, 0, "CMT-02",
                           "%s: at %" PRIu64 ": the backing file ends before the allocated clusters",
                           disk->metadata.backing_path, disk->backing_length);
    }
    return code;
}

static enum addcow_status commit(struct addcow *disk, struct copying *copying, struct addcow_error *error)
{
    struct addcow_io original;
    enum addcow_status code = prepare(disk, &copying->total, error);
    if (code == ADDCOW_OK) {
        code = open_target(disk, &original, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    /*
     * First, all set bits go to the file. Otherwise, if this process dies, a cluster could be read from the backing
     * file, from bytes that no later writer would sync.
     */
    code = addcow_disk_flush(disk, error);
    if (code == ADDCOW_OK) {
        code = copy_all(disk, copying, error);
    }
    if (code == ADDCOW_OK) {
        code = clear_bits(disk, copying->total, error);
    }
    enum addcow_status close_code = close_target(disk, &original, code == ADDCOW_OK ? error : NULL);
    return code != ADDCOW_OK ? code : close_code;
}

enum addcow_status addcow_disk_commit(struct addcow *disk, addcow_progress *progress, void *context,
                                      struct addcow_error *error)
{
    struct copying copying = {.progress = progress, .context = context, .buffer = malloc(COPY_BYTES)};
    if (!copying.buffer) {
        return addcow_fail_memory(error, disk->file.path);
    }
    enum addcow_status code = commit(disk, &copying, error);
    free(copying.buffer);
    return code;
}

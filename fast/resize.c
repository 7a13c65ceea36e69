/*
 * Resize. The disk is quiesced.
 *
 * The length of the image is the size of the disk, so a resize happens when that length is set. Everything before is
 * invisible, and nothing after it may make the resize fail (RSZ-07).
 *
 * Growing prepares everything first (RSZ-04). The new part of the bitmap is zeroed, durably. If the backing file would
 * become visible past the old end, the cluster that holds the old end is copied up and the bits of the other such
 * clusters are set. All that is flushed, and then the image is extended. A crash before that leaves bits past the end,
 * which readers ignore.
 *
 * Whether the files may become so long at all is asked first, and a failure gives the metadata file its length back.
 * Only bits of the block in which the first new cluster lies go through memory; all others are written to the file at
 * once.
 *
 * Shrinking truncates first and clears bits afterwards (RSZ-05). With the other order, a crash could revert written
 * clusters to the backing file. Bits past the end that could not be cleared are harmless: readers ignore them, and
 * growing zeroes them.
 */
#include "addcow_disk.h"

#include <string.h>

static uint64_t cluster_count(const struct addcow *disk, uint64_t size)
{
    return addcow_cluster_count(size, addcow_disk_cluster_size(disk));
}

static void set_bits(struct addcow *disk, uint64_t first, uint64_t limit)
{
    sync_lock(&disk->allocation.lock);
    addcow_bitmap_set(disk, first, limit);
    sync_unlock(&disk->allocation.lock);
}

/* The block in which the last of `count` clusters lies will be written by the next flush. It is loaded. */
static void touch_last(struct addcow *disk, uint64_t count)
{
    if (count == 0) {
        return;
    }
    sync_lock(&disk->allocation.lock);
    addcow_bitmap_touch(disk, count - 1);
    sync_unlock(&disk->allocation.lock);
}

/* Loads the block in which the last of `count` clusters lies. */
static enum addcow_status load_last(struct addcow *disk, uint64_t count, struct addcow_error *error)
{
    return count == 0 ? ADDCOW_OK : addcow_bitmap_load(disk, count - 1, count, error);
}

/* Zeroes the bytes of the bitmap that hold no cluster any more. The last one that does is written by a flush. */
static enum addcow_status clear_unused_bytes(struct addcow *disk, uint64_t old_count, uint64_t new_count)
{
    uint64_t used = (new_count + 7) / 8;
    uint64_t end = (old_count + 7) / 8;
    return end > used ? addcow_io_zero(&disk->file, end - used, disk->metadata.header.header_size + used, NULL)
                      : ADDCOW_OK;
}

/* ---- Growing ---- */

/* The first block of the bitmap behind the one in which cluster `first` lies, as the number of its first cluster. */
static uint64_t next_block(uint64_t first)
{
    return (first / ADDCOW_BLOCK_BITS + 1) * ADDCOW_BLOCK_BITS;
}

/*
 * Sets the bits of [first, limit) in the file, past the old end and in no block that is loaded: `first` begins a block.
 * The bits behind them in the last byte are 0.
 */
static enum addcow_status write_ones(struct addcow *disk, uint64_t first, uint64_t limit, struct addcow_error *error)
{
    uint8_t *ones = addcow_buffer_get(disk);
    if (!ones) {
        return addcow_fail_memory(error, disk->file.path);
    }
    const uint64_t most = addcow_disk_cluster_size(disk);
    memset(ones, 0xff, (size_t)most);
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t at = first / 8, part; at < limit / 8 && code == ADDCOW_OK; at += part) {
        part = limit / 8 - at < most ? limit / 8 - at : most;
        code = addcow_io_write(&disk->file, ones, part, disk->metadata.header.header_size + at, error);
    }
    if (code == ADDCOW_OK && limit % 8 != 0) {
        ones[0] = (uint8_t)((1u << limit % 8) - 1);
        code = addcow_io_write(&disk->file, ones, 1, disk->metadata.header.header_size + limit / 8, error);
    }
    addcow_buffer_put(disk, ones);
    return code;
}

/*
 * Makes the bitmap's bytes past those in use zero, gives the metadata file its new length (RSZ-08), and makes that
 * durable; with it the bits of the clusters to allocate, [first, limit), except for those in the block of `first`.
 * `length` is that of the file.
 */
static enum addcow_status prepare_file(struct addcow *disk, uint64_t old_count, uint64_t new_size, uint64_t length,
                                       uint64_t first, uint64_t limit, struct addcow_error *error)
{
    uint64_t used = disk->metadata.header.header_size + (old_count + 7) / 8;
    uint64_t wanted = addcow_file_length(&disk->metadata.header, new_size);
    enum addcow_status code = ADDCOW_OK;
    uint64_t stale = length < wanted ? length : wanted;
    if (stale > used) {
        code = addcow_io_zero(&disk->file, stale - used, used, error);
    }
    if (code == ADDCOW_OK && length < wanted) {
        code = addcow_io_truncate(&disk->file, wanted, error);
    }
    if (code == ADDCOW_OK && next_block(first) < limit) {
        code = write_ones(disk, next_block(first), limit, error);
    }
    return code == ADDCOW_OK ? addcow_io_sync(&disk->file, error) : code;
}

/*
 * The clusters that growing allocates: from the one in which the old end lies to the last one over which the backing
 * file would show (RSZ-03). With "all allocated" they are all new ones.
 */
static void clusters_to_allocate(const struct addcow *disk, uint64_t old_size, uint64_t new_size, uint64_t *first,
                                 uint64_t *limit)
{
    uint64_t shown = new_size < disk->backing_length ? new_size : disk->backing_length;
    *first = old_size >> disk->cluster_bits;
    *limit = shown > old_size ? cluster_count(disk, shown) : *first;
    if (addcow_disk_all_allocated(disk)) {
        *first = cluster_count(disk, old_size);
        *limit = cluster_count(disk, new_size);
    }
}

/* Copies up the cluster in which the old end lies, if it is one of those to allocate and is not yet. */
static enum addcow_status copy_up_boundary(struct addcow *disk, uint64_t old_size, struct addcow_error *error)
{
    uint64_t start = old_size >> disk->cluster_bits << disk->cluster_bits;
    if (start == old_size) {
        return ADDCOW_OK;
    }
    uint64_t cluster = start >> disk->cluster_bits;
    bool allocated;
    uint64_t run_end;
    enum addcow_status code = addcow_bitmap_run(disk, cluster, cluster + 1, &allocated, &run_end, error);
    if (code != ADDCOW_OK || allocated) {
        return code;
    }
    uint8_t *buffer = addcow_buffer_get(disk);
    if (!buffer) {
        return addcow_fail_memory(error, disk->image.path);
    }
    code = addcow_disk_read_backing(disk, start, old_size - start, buffer, error);
    if (code == ADDCOW_OK) {
        code = addcow_disk_put(disk, start, old_size - start, buffer, error);
    }
    addcow_buffer_put(disk, buffer);
    return code;
}

/* The last part of growing, once the bitmap covers the new clusters: sets bits, flushes, extends the image. */
static enum addcow_status extend(struct addcow *disk, uint64_t new_size, uint64_t first, uint64_t limit,
                                 struct addcow_error *error)
{
    limit = limit < next_block(first) ? limit : next_block(first); /* the others are in the file */
    enum addcow_status code = addcow_bitmap_load(disk, first, limit, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    set_bits(disk, first, limit);
    code = addcow_disk_flush(disk, error);
    return code == ADDCOW_OK ? addcow_io_truncate(&disk->image, new_size, error) : code;
}

/*
 * Restores the bitmap after growing failed, and the length that its file had. The next attempt would otherwise take a
 * length that was not synced for durable, and no later sync has to cover it. Bits that cannot be cleared in the file
 * lie past the end: harmless.
 */
static void undo_growing(struct addcow *disk, uint64_t old_size, uint64_t new_size, uint64_t length)
{
    uint64_t old_count = cluster_count(disk, old_size);
    uint64_t new_count = cluster_count(disk, new_size);
    uint64_t covered = 8 * (length - disk->metadata.header.header_size);
    addcow_bitmap_resize(disk, old_count, NULL);
    touch_last(disk, old_count);
    clear_unused_bytes(disk, covered < new_count ? covered : new_count, old_count);
    /* An image that is longer after all needs the longer bitmap (BMP-03). */
    uint64_t image_length;
    if (length < addcow_file_length(&disk->metadata.header, new_size) &&
        addcow_io_length(&disk->image, &image_length, NULL) == ADDCOW_OK && image_length <= old_size) {
        addcow_io_truncate(&disk->file, length, NULL);
    }
}

/* Does all of growing; what fails is undone by the caller. The last block of the bitmap is loaded. */
static enum addcow_status grow_files(struct addcow *disk, uint64_t old_size, uint64_t new_size, uint64_t length,
                                     struct addcow_error *error)
{
    uint64_t old_count = cluster_count(disk, old_size);
    uint64_t first, limit;
    clusters_to_allocate(disk, old_size, new_size, &first, &limit);
    enum addcow_status code = prepare_file(disk, old_count, new_size, length, first, limit, error);
    if (code == ADDCOW_OK && first < limit) {
        code = copy_up_boundary(disk, old_size, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_bitmap_resize(disk, cluster_count(disk, new_size), error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    /* Stale bits in the last byte that was in use go with the block that shares it. */
    touch_last(disk, old_count);
    return extend(disk, new_size, first, limit, error);
}

static enum addcow_status grow(struct addcow *disk, uint64_t old_size, uint64_t new_size, struct addcow_error *error)
{
    uint64_t length;
    enum addcow_status code = addcow_io_may_grow(&disk->image, new_size, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_may_grow(&disk->file, addcow_file_length(&disk->metadata.header, new_size), error);
    }
    if (code == ADDCOW_OK) {
        code = load_last(disk, cluster_count(disk, old_size), error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_length(&disk->file, &length, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    code = grow_files(disk, old_size, new_size, length, error);
    if (code != ADDCOW_OK) {
        undo_growing(disk, old_size, new_size, length);
        return code;
    }
    sync_store_release(&disk->size, new_size);
    return ADDCOW_OK;
}

/* ---- Shrinking ---- */

static enum addcow_status shrink(struct addcow *disk, uint64_t old_size, uint64_t new_size, struct addcow_error *error)
{
    uint64_t old_count = cluster_count(disk, old_size);
    uint64_t new_count = cluster_count(disk, new_size);
    enum addcow_status code = load_last(disk, new_count, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_truncate(&disk->image, new_size, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    /* The disk has its new size. What fails from here on is reported or repeated by the next flush. */
    sync_store_release(&disk->size, new_size);
    addcow_bitmap_resize(disk, new_count, NULL);
    touch_last(disk, new_count);
    if (addcow_disk_sync_image(disk, NULL) == ADDCOW_OK &&
        clear_unused_bytes(disk, old_count, new_count) == ADDCOW_OK) {
        addcow_disk_flush(disk, NULL);
    }
    return ADDCOW_OK;
}

/* ---- Both ---- */

enum addcow_status addcow_disk_resize(struct addcow *disk, uint64_t old_size, uint64_t new_size,
                                      struct addcow_error *error)
{
    enum addcow_status code = addcow_disk_check_image(disk, error);
    if (code == ADDCOW_OK && new_size > old_size) {
        code = grow(disk, old_size, new_size, error);
    } else if (code == ADDCOW_OK && new_size < old_size) {
        code = shrink(disk, old_size, new_size, error);
    }
    return code;
}

/*
 * Flush: makes requests durable, in the right order.
 *
 * A flush *cycle* (1) takes the dirty blocks of the bitmap and snapshots them, (2) syncs the image, (3) writes the
 * snapshots to the metadata file, (4) syncs that. A snapshot holds no bit that was set later, so every bit that is
 * written exposes data that step 2 has made durable (DUR-03). Without a dirty block the cycle ends after step 2
 * (DUR-09).
 *
 * Flushes join. Each needs a cycle that starts after it was called (DUR-05). A flush that finds no cycle running runs
 * one for all that wait by then; later ones wait for the next cycle. All of them get the result of the cycle (DUR-06).
 *
 * If the metadata file cannot be written or synced, its blocks become dirty again, and the next flush writes them
 * again. The same holds for the features: a failed change of "all allocated" may be in the file without being durable.
 * If the image cannot be synced, no flush succeeds any more (image.c).
 *
 * All this needs bits that are set in the file, and the length of the image, to be durable. A process that died between
 * a write and its sync may have left them otherwise. So a writer syncs both files when it opens them (DUR-12).
 */
#include "addcow_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A flush that waits for a cycle. On the stack of its thread; protected by the flushing lock. */
struct addcow_flush_waiter {
    uint64_t cycle; /* the first one that covers it */
    bool done;
    enum addcow_status code;
    struct addcow_error error;
    struct addcow_flush_waiter *next;
};

void addcow_flushing_init(struct addcow *disk)
{
    sync_mutex_init(&disk->flushing.lock);
    sync_cond_init(&disk->flushing.finished);
}

void addcow_flushing_destroy(struct addcow *disk)
{
    sync_cond_destroy(&disk->flushing.finished);
    sync_mutex_destroy(&disk->flushing.lock);
}

/* ---- On open ---- */

enum addcow_status addcow_disk_sync_on_open(struct addcow *disk, struct addcow_error *error)
{
    enum addcow_status code = addcow_disk_sync_image(disk, error);
    return code == ADDCOW_OK ? addcow_io_sync(&disk->file, error) : code;
}

/* ---- The bitmap ---- */

static void snapshot_block(const struct addcow_block *block, uint64_t *snapshot)
{
    for (size_t i = 0; i < ADDCOW_BLOCK_WORDS; i++) {
        snapshot[i] = addcow_le64(sync_load_acquire(&block->words[i]));
    }
}

/* One snapshot after another, in the order of the list. Null: no memory. */
static uint64_t *take_snapshots(const struct addcow_block *taken, uint64_t count)
{
    if (count > SIZE_MAX / ADDCOW_BLOCK_BYTES) {
        return NULL;
    }
    uint64_t *snapshots = malloc((size_t)count * ADDCOW_BLOCK_BYTES);
    if (!snapshots) {
        return NULL;
    }
    uint64_t *next = snapshots;
    for (const struct addcow_block *block = taken; block; block = block->next_taken) {
        snapshot_block(block, next);
        next += ADDCOW_BLOCK_WORDS;
    }
    return snapshots;
}

static enum addcow_status write_snapshots(struct addcow *disk, const struct addcow_block *taken,
                                          const uint64_t *snapshots, struct addcow_error *error)
{
    uint64_t bitmap_bytes = (disk->bitmap.cluster_count + 7) / 8;
    for (const struct addcow_block *block = taken; block; block = block->next_taken) {
        uint64_t start = block->index * ADDCOW_BLOCK_BYTES;
        uint64_t rest = bitmap_bytes - start;
        enum addcow_status code =
            addcow_io_write(&disk->file, snapshots, rest < ADDCOW_BLOCK_BYTES ? rest : ADDCOW_BLOCK_BYTES,
                            disk->metadata.header.header_size + start, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        snapshots += ADDCOW_BLOCK_WORDS;
    }
    return addcow_io_sync(&disk->file, error);
}

static enum addcow_status flush_blocks(struct addcow *disk, const struct addcow_block *taken, uint64_t count,
                                       struct addcow_error *error)
{
    uint64_t *snapshots = take_snapshots(taken, count);
    if (!snapshots) {
        return addcow_fail_memory(error, disk->file.path);
    }
    enum addcow_status code = addcow_disk_sync_image(disk, error);
    if (code == ADDCOW_OK) {
        code = write_snapshots(disk, taken, snapshots, error);
    }
    free(snapshots);
    return code;
}

/* ---- Cycles ---- */

/* The caller has set `running`. */
static enum addcow_status write_features(struct addcow *disk, uint64_t features, struct addcow_error *error)
{
    uint64_t stored = addcow_le64(features);
    enum addcow_status code = addcow_io_write(&disk->file, &stored, sizeof stored, ADDCOW_COMPATIBLE_OFFSET, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_sync(&disk->file, error);
    }
    disk->flushing.features_unsure = code != ADDCOW_OK;
    return code;
}

static enum addcow_status run_cycle(struct addcow *disk, struct addcow_error *error)
{
    uint64_t count;
    struct addcow_block *taken = addcow_bitmap_take_dirty(disk, &count);
    enum addcow_status code = taken ? flush_blocks(disk, taken, count, error) : addcow_disk_sync_image(disk, error);
    if (taken && code != ADDCOW_OK) {
        addcow_bitmap_give_back(disk, taken);
    }
    if (code == ADDCOW_OK && disk->flushing.features_unsure) {
        code = write_features(disk, sync_load_acquire(&disk->compatible_features), error);
    }
    return code;
}

/* Runs a cycle for all waiters. The caller holds the flushing lock, before and after. */
static void lead_cycle(struct addcow *disk)
{
    struct addcow_flushing *flushing = &disk->flushing;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    flushing->running = true;
    uint64_t cycle = ++flushing->started;
    sync_unlock(&flushing->lock);
    enum addcow_status code = run_cycle(disk, &error);
    sync_lock(&flushing->lock);
    flushing->running = false;
    struct addcow_flush_waiter **link = &flushing->waiters;
    while (*link) {
        struct addcow_flush_waiter *waiter = *link;
        if (waiter->cycle > cycle) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        waiter->code = code;
        if (code != ADDCOW_OK) {
            waiter->error = error;
        }
        waiter->done = true;
    }
    sync_broadcast(&flushing->finished);
}

enum addcow_status addcow_disk_flush(struct addcow *disk, struct addcow_error *error)
{
    struct addcow_flushing *flushing = &disk->flushing;
    struct addcow_flush_waiter self;
    sync_lock(&flushing->lock);
    self.cycle = flushing->started + 1;
    self.done = false;
    self.next = flushing->waiters;
    flushing->waiters = &self;
    while (!self.done) {
        if (flushing->running) {
            sync_wait(&flushing->finished, &flushing->lock);
        } else {
            lead_cycle(disk);
        }
    }
    sync_unlock(&flushing->lock);
    if (self.code != ADDCOW_OK) {
        addcow_give_error(error, &self.error);
    }
    return self.code;
}

enum addcow_status addcow_disk_checkpoint(struct addcow *disk, struct addcow_checkpoints *checkpoints,
                                          struct addcow_error *error)
{
    if (checkpoints->copied < checkpoints->distance) {
        return ADDCOW_OK;
    }
    checkpoints->copied = 0;
    if (checkpoints->distance < CHECKPOINT_BYTES_MAX) {
        checkpoints->distance *= 2;
    }
    return addcow_disk_flush(disk, error);
}

/* ---- "All allocated" ---- */

enum addcow_status addcow_disk_set_all_allocated(struct addcow *disk, bool value, struct addcow_error *error)
{
    struct addcow_flushing *flushing = &disk->flushing;
    assert(disk->metadata.header.layout == ADDCOW_R20);
    /* Excludes cycles, as they may write the features too. */
    sync_lock(&flushing->lock);
    while (flushing->running) {
        sync_wait(&flushing->finished, &flushing->lock);
    }
    flushing->running = true;
    sync_unlock(&flushing->lock);
    uint64_t features = sync_load_acquire(&disk->compatible_features) & ~(uint64_t)ADDCOW_ALL_ALLOCATED;
    if (value) {
        features |= ADDCOW_ALL_ALLOCATED;
    }
    enum addcow_status code = write_features(disk, features, error);
    if (code == ADDCOW_OK) {
        sync_store_release(&disk->compatible_features, features);
    }
    sync_lock(&flushing->lock);
    flushing->running = false;
    sync_broadcast(&flushing->finished);
    sync_unlock(&flushing->lock);
    return code;
}

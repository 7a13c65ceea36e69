/*
 * An opened disk, as the parts of the engine see it.
 *
 *   gate.c      requests come in side by side, whole-disk operations alone
 *   bitmap.c    the COW bitmap in memory, loaded on demand
 *   allocate.c  clusters that are being allocated, and filling them
 *   open.c      opening a disk with all files below it, and closing
 *   request.c   read, write, zero, discard, map
 *   flush.c     making things durable
 *   resize.c, stream.c, commit.c
 *
 * Functions without a word on the gate are called inside it. Locks are taken in no order, as no function holds two of
 * them.
 */
#ifndef ADDCOW_DISK_H
#define ADDCOW_DISK_H

#include "addcow_internal.h"
#include "addcow_sync.h"

/* ---- The gate (CON-09) ---- */

#define ADDCOW_QUIESCE_STRIPES 64

/*
 * How many requests are inside, counted in stripes, so that threads do not fight for one cache line; and whether a
 * whole-disk operation is, or waits to be, inside alone.
 */
struct addcow_quiesce {
    struct {
        sync_u64 requests;
        uint8_t padding[64 - sizeof(sync_u64)];
    } stripes[ADDCOW_QUIESCE_STRIPES];
    sync_u64 quiesced; /* 0 or 1; written under the lock */
    sync_mutex lock;
    sync_cond changed;
};

void addcow_quiesce_init(struct addcow_quiesce *quiesce);
void addcow_quiesce_destroy(struct addcow_quiesce *quiesce);
void addcow_quiesce_begin(struct addcow_quiesce *quiesce);
void addcow_quiesce_end(struct addcow_quiesce *quiesce);

/* The slow paths of the two below: waiting until nobody is inside alone, and waking who waits to be. */
void addcow_quiesce_wait(struct addcow_quiesce *quiesce);
void addcow_quiesce_wake(struct addcow_quiesce *quiesce);

static inline void addcow_request_end(struct addcow_quiesce *quiesce, unsigned stripe)
{
    sync_subtract(&quiesce->stripes[stripe].requests, 1);
    if (sync_load(&quiesce->quiesced)) {
        addcow_quiesce_wake(quiesce);
    }
}

/* Returns the stripe to leave by. Inline, as it is a good part of what a small request costs beyond its I/O. */
static inline unsigned addcow_request_begin(struct addcow_quiesce *quiesce)
{
    unsigned stripe = sync_thread_number() % ADDCOW_QUIESCE_STRIPES;
    for (;;) {
        sync_add(&quiesce->stripes[stripe].requests, 1);
        if (!sync_load(&quiesce->quiesced)) {
            return stripe;
        }
        addcow_request_end(quiesce, stripe);
        addcow_quiesce_wait(quiesce);
    }
}

/* ---- The COW bitmap (section 3) ---- */

#define ADDCOW_BLOCK_BYTES 4096u
#define ADDCOW_BLOCK_WORDS (ADDCOW_BLOCK_BYTES / 8u)
#define ADDCOW_BLOCK_BITS (ADDCOW_BLOCK_BYTES * 8u)

/* 4 KiB of the bitmap. Bits past the last cluster of the disk are 0. */
struct addcow_block {
    sync_u64 words[ADDCOW_BLOCK_WORDS];
    uint64_t index;
    bool dirty;                      /* in the dirty list; under the allocation lock */
    struct addcow_block *next_dirty; /* under the allocation lock */
    struct addcow_block *next_taken; /* the flush cycle's own */
};

struct addcow_bitmap {
    sync_pointer *blocks; /* struct addcow_block, or null until it is loaded */
    uint64_t capacity;    /* of the array */
    uint64_t cluster_count;
    struct addcow_block *dirty; /* blocks with bits that are not in the file; under the allocation lock */
};

/* ---- Allocation (CON-04..08) ---- */

/* A range of clusters that one request is allocating. Lives on that request's stack. */
struct addcow_inflight {
    uint64_t first;
    uint64_t last;
    struct addcow_inflight *next;
};

struct addcow_allocation {
    sync_mutex lock;
    sync_cond range_ended;
    struct addcow_inflight *inflight; /* no two overlap */
    unsigned waiters;
};

/* Unused buffers of one cluster each, chained through their first bytes. */
struct addcow_buffers {
    sync_mutex lock;
    void *unused;
    unsigned count;
};

/* ---- Flush (DUR) ---- */

struct addcow_flush_waiter;

struct addcow_flushing {
    sync_mutex lock;
    sync_cond finished;
    uint64_t started;     /* cycles */
    bool running;         /* a cycle, or a change of "all allocated" */
    bool features_unsure; /* in the file: the last change of them failed; for who is running */
    struct addcow_flush_waiter *waiters;
    sync_u64 image_lost; /* the errno of the first failed sync of the image, or 0 (DUR-07) */
};

/* ---- The disk ---- */

struct addcow {
    struct addcow_quiesce quiesce;
    struct addcow_storage *storage;
    bool read_only;
    bool file_writable;    /* the metadata file is open for writing: always, or below a writable disk if possible */
    struct addcow_io file; /* the metadata file */
    struct addcow_io image;
    struct addcow_metadata metadata;
    struct addcow_io raw_backing; /* open if there is one that is used and it is raw */
    struct addcow *lower;         /* open if there is one that is used and it is add-cow */
    uint64_t backing_length;      /* 0 if neither is open; changed only by commit */
    uint32_t cluster_bits;
    sync_u64 size;                /* virtual size; changed only by resize */
    sync_u64 compatible_features; /* as in the header; changed only by stream and commit */
    struct addcow_bitmap bitmap;
    struct addcow_allocation allocation;
    struct addcow_buffers buffers;
    struct addcow_flushing flushing;
};

static inline uint64_t addcow_disk_cluster_size(const struct addcow *disk)
{
    return (uint64_t)1 << disk->cluster_bits;
}

/* Whether "all allocated" is set (VRT-04; never in r9, HR9-08). */
static inline bool addcow_disk_all_allocated(const struct addcow *disk)
{
    return (sync_load_acquire(&disk->compatible_features) & ADDCOW_ALL_ALLOCATED) != 0;
}

/* ---- bitmap.c ---- */

/* A bitmap of which nothing is loaded. */
enum addcow_status addcow_bitmap_init(struct addcow *disk, uint64_t cluster_count, struct addcow_error *error);
void addcow_bitmap_destroy(struct addcow *disk);

/*
 * The status of cluster `first`, and where the longest run of it ends, at most at `limit` (exclusive, at most the
 * cluster count). The blocks of the run are loaded afterwards. Heeds "all allocated".
 */
enum addcow_status addcow_bitmap_run(struct addcow *disk, uint64_t first, uint64_t limit, bool *allocated,
                                     uint64_t *run_end, struct addcow_error *error);

/* Loads the blocks of the clusters [first, limit). */
enum addcow_status addcow_bitmap_load(struct addcow *disk, uint64_t first, uint64_t limit, struct addcow_error *error);

/* Sets the bits of [first, limit), whose blocks are loaded, and marks these dirty. The caller holds the allocation
 * lock. */
void addcow_bitmap_set(struct addcow *disk, uint64_t first, uint64_t limit);

/* Marks the block of a cluster, which is loaded, dirty. The caller holds the allocation lock. */
void addcow_bitmap_touch(struct addcow *disk, uint64_t cluster);

/* Marks all loaded blocks dirty. */
void addcow_bitmap_touch_all(struct addcow *disk);

/* Empties the dirty list; the blocks come chained by next_taken. One caller at a time, until it has written them or
 * gives them back. */
struct addcow_block *addcow_bitmap_take_dirty(struct addcow *disk, uint64_t *count);
void addcow_bitmap_give_back(struct addcow *disk, struct addcow_block *taken);

/*
 * Makes the bitmap cover more or fewer clusters, alone in the gate. New bits are whatever the file holds. Bits that go
 * are forgotten. Never fails when it shrinks.
 */
enum addcow_status addcow_bitmap_resize(struct addcow *disk, uint64_t cluster_count, struct addcow_error *error);

/* Forgets everything that was loaded, alone in the gate: what the file holds counts. */
void addcow_bitmap_forget(struct addcow *disk);

/* ---- allocate.c ---- */

void addcow_allocation_init(struct addcow *disk);
void addcow_allocation_destroy(struct addcow *disk);

/*
 * Begins to allocate clusters from `first` on: all of [first, last], which have been seen unallocated, or as many of
 * them from the first on as nobody else has or had in range. Waits while another request allocates `first`. False if
 * that one has allocated it: then there is nothing to land.
 */
bool addcow_inflight_begin(struct addcow *disk, struct addcow_inflight *range, uint64_t first, uint64_t last);

/* Ends a range; publishes its clusters as allocated if `filled`: then their whole content is in the image. */
void addcow_inflight_end(struct addcow *disk, struct addcow_inflight *range, bool filled);

/*
 * Puts data (zeros if it is null) at [offset, offset + length) into the image, and what virt has around it in the same
 * clusters. These are unallocated and the caller's.
 */
enum addcow_status addcow_fill(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                               struct addcow_error *error);

/* Puts data (zeros if it is null) into the image, as it is. */
enum addcow_status addcow_disk_put(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                   struct addcow_error *error);

/* A buffer of one cluster, to be given back. Null: no memory. */
uint8_t *addcow_buffer_get(struct addcow *disk);
void addcow_buffer_put(struct addcow *disk, uint8_t *buffer);

/* ---- open.c ---- */

/* Opens the backing file that the header names, which is not open yet, alone in the gate. */
enum addcow_status addcow_disk_open_backing(struct addcow *disk, struct addcow_error *error);

/* ---- request.c ---- */

/*
 * addcow_read and addcow_write (null data: zeros), for a disk that is used through another one, or through its own
 * gate. The range lies within the disk.
 */
enum addcow_status addcow_disk_read(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                    struct addcow_error *error);
enum addcow_status addcow_disk_write(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                     struct addcow_error *error);

/* What the disk reads as where it is not allocated: the backing file, zeros past its end (VRT-02). */
enum addcow_status addcow_disk_read_backing(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                            struct addcow_error *error);

/* A refusal if the disk was opened read-only (REQ-03). */
enum addcow_status addcow_disk_check_writable(const struct addcow *disk, struct addcow_error *error);

/* ---- stream.c ---- */

/* Calls progress, if there is one, and fails with ECANCELED if that says so. */
enum addcow_status addcow_disk_report_progress(const struct addcow *disk, addcow_progress *progress, void *context,
                                               uint64_t done, uint64_t total, struct addcow_error *error);

/* ---- flush.c ---- */

void addcow_flushing_init(struct addcow *disk);
void addcow_flushing_destroy(struct addcow *disk);

/* addcow_flush without the gate. */
enum addcow_status addcow_disk_flush(struct addcow *disk, struct addcow_error *error);

/* Syncs the image. A failure is final (DUR-07). */
enum addcow_status addcow_disk_sync_image(struct addcow *disk, struct addcow_error *error);

/* Makes durable what the last writer left in the files, for who is about to write to them (DUR-12). */
enum addcow_status addcow_disk_sync_on_open(struct addcow *disk, struct addcow_error *error);

/* The error of an earlier failed sync of the image, if there was one (DUR-07). */
enum addcow_status addcow_disk_check_image(struct addcow *disk, struct addcow_error *error);

/* Sets or clears "all allocated" in the header of an r20 file, durably, and in memory [HDR-21]. */
enum addcow_status addcow_disk_set_all_allocated(struct addcow *disk, bool value, struct addcow_error *error);

#endif

/*
 * An opened disk, as the parts of the engine see it. This header is the map of the engine: one concern a file.
 *
 *   addcow_fast.c   the front door: the public functions on an opened disk
 *   quiesce.c       requests run side by side, resize and commit alone
 *   open.c          opening a disk with all files below it, and closing
 *   request.c       read, write, map
 *   allocate.c      in-flight ranges, and what goes into the clusters of one
 *   bitmap.c        the COW bitmap in memory, loaded on demand
 *   image.c         writing to the image, syncing it, and what is done with it when the disk is opened
 *   backing.c       reading the backing file
 *   share.c         sharing the storage of the backing file instead of copying it
 *   flush.c         making things durable
 *   resize.c, stream.c, commit.c   the operations on the whole disk
 *
 * Below these, without an opened disk: addcow_internal.h (files, errors, metadata files), addcow_links.h, create.c and
 * check.c. Beside them rebase.c, which opens a disk itself. Calls go down: front door, whole-disk operations and flush,
 * request, allocate, then share, backing, image and bitmap. Two calls go up: a backing file of format add-cow is read,
 * or searched for bytes to share, by the request.c of the level below.
 *
 * Functions of this header run as part of a request or while the disk is quiesced, unless they say more. No function
 * holds two locks at once, so locks have no order.
 */
#ifndef ADDCOW_DISK_H
#define ADDCOW_DISK_H

#include "addcow_internal.h"
#include "addcow_quiesce.h"
#include "addcow_sync.h"

/* ---- The COW bitmap (section 3) ---- */

#define ADDCOW_BLOCK_WORDS (ADDCOW_BLOCK_BYTES / 8u)
#define ADDCOW_BLOCK_BITS ((uint64_t)ADDCOW_BLOCK_BYTES * 8)
_Static_assert(ADDCOW_BLOCK_BYTES % 8u == 0, "a block is a whole number of words");

/* A part of the bitmap. Bits past the last cluster of the disk are 0. */
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

/* An in-flight range: clusters that one request is allocating. On the stack of that request. */
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
};

/* ---- The disk ---- */

struct addcow {
    struct addcow_quiesce quiesce;
    struct addcow_storage *storage;
    bool read_only;
    bool direct;           /* transfers of image and raw backing file bypass the cache */
    bool file_writable;    /* the metadata file is open for writing: always, or below a writable disk if possible */
    struct addcow_io file; /* the metadata file */
    struct addcow_io image;
    sync_u64 image_lost; /* the errno of the first failed sync of the image, or 0 (DUR-07) */
    struct addcow_metadata metadata;
    struct addcow_io raw_backing; /* open if there is one that is used and it is raw */
    struct addcow *lower;         /* open if there is one that is used and it is add-cow */
    bool backing_left_out;        /* there is one that is used, and the caller wanted it not to be opened */
    uint64_t backing_length;      /* 0 if neither is open; changed only by commit */
    uint32_t cluster_bits;
    sync_u64 size;                /* virtual size; changed only by resize */
    sync_u64 compatible_features; /* as in the header; changed only by stream and commit */
    sync_u64 sharing;             /* enum addcow_sharing */
    struct addcow_bitmap bitmap;
    struct addcow_allocation allocation;
    struct addcow_buffers buffers;
    struct addcow_flushing flushing;
};

/*@ // What every opened disk keeps to.
    predicate sane_disk{L}(struct addcow *d) =
      \valid_read(d) && 12 <= d->cluster_bits <= 21 && d->size <= ADDCOW_SIZE_MAX;
*/

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
 * Makes the bitmap cover more or fewer clusters. The disk is quiesced. New bits are what the file holds; bits past the
 * new end are forgotten. Shrinking never fails.
 */
enum addcow_status addcow_bitmap_resize(struct addcow *disk, uint64_t cluster_count, struct addcow_error *error);

/* Drops all loaded blocks, so that they are read from the file again. The disk is quiesced. */
void addcow_bitmap_forget(struct addcow *disk);

/* ---- image.c ---- */

/*
 * Makes transfers of `io`, which has just been opened and holds data of the disk, bypass the cache if those of the disk
 * do. ADDCOW_UNSUPPORTED: its storage cannot do that.
 */
enum addcow_status addcow_disk_bypass_cache(const struct addcow *disk, const struct addcow_io *io,
                                            struct addcow_error *error);

/* Writes data (zeros if it is null) to [offset, offset + length) of the image. */
enum addcow_status addcow_disk_put(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                   struct addcow_error *error);

/* Syncs the image. A failure is final: every later call fails with the same errno (DUR-07). */
enum addcow_status addcow_disk_sync_image(struct addcow *disk, struct addcow_error *error);

/*
 * While the disk is opened: cuts an image of *length bytes to what the bitmap covers, and sets *length to that. Fails
 * with ADDCOW_RANGE if `old_length` is not covered, or if the image is shorter or holds data past it.
 */
enum addcow_status addcow_disk_shorten_image(struct addcow *disk, uint64_t old_length, uint64_t *length,
                                             struct addcow_error *error);

/* The error of an earlier failed sync of the image, if there was one (DUR-07). */
enum addcow_status addcow_disk_check_image(struct addcow *disk, struct addcow_error *error);

/* ---- backing.c ---- */

/* Refuses what needs a backing file that was left out. */
enum addcow_status addcow_disk_check_backing(const struct addcow *disk, struct addcow_error *error);

/* Reads what the disk shows where it is not allocated: the backing file, and zeros past its end (VRT-02). */
enum addcow_status addcow_disk_read_backing(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                            struct addcow_error *error);

/*
 * Up to where the bytes of the backing file from `offset` on are known to be zeros without reading them: in a hole of a
 * raw backing file, and past the end of any (then UINT64_MAX). `offset` itself if there may be data.
 */
uint64_t addcow_backing_zeros_end(const struct addcow *disk, uint64_t offset);

/* ---- allocate.c ---- */

void addcow_allocation_init(struct addcow *disk);
void addcow_allocation_destroy(struct addcow *disk);

/*
 * Begins to allocate clusters from `first` on, which the caller has seen unallocated up to `last`. Waits while another
 * request allocates `first`. The range becomes [first, last], cut before the first cluster that is in flight or
 * allocated by now. False, and no range, if that is `first`.
 */
bool addcow_inflight_begin(struct addcow *disk, struct addcow_inflight *range, uint64_t first, uint64_t last);

/* Ends a range. `filled`: the whole content of its clusters is in the image; they become allocated. */
void addcow_inflight_end(struct addcow *disk, struct addcow_inflight *range, bool filled);

/*
 * Writes data (zeros if it is null) to [offset, limit), which the caller has seen unallocated, and allocates these
 * clusters; perhaps only the first ones. *end is how far it got: `offset` if another request has allocated the first
 * cluster meanwhile.
 */
enum addcow_status addcow_allocate(struct addcow *disk, uint64_t offset, uint64_t limit, const uint8_t *data,
                                   uint64_t *end, struct addcow_error *error);

/* A buffer of one cluster, to be given back. Null: no memory. */
uint8_t *addcow_buffer_get(struct addcow *disk);
void addcow_buffer_put(struct addcow *disk, uint8_t *buffer);

/* ---- request.c ---- */

/*
 * addcow_read, addcow_write (null data: zeros), addcow_map and addcow_map_chain, for a range within the disk. Also used
 * on the disk of a lower level, which has no requests of its own. With `data`, addcow_disk_map_chain is
 * addcow_map_data.
 */
enum addcow_status addcow_disk_read(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                    struct addcow_error *error);
enum addcow_status addcow_disk_write(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                     struct addcow_error *error);
enum addcow_status addcow_disk_map(struct addcow *disk, uint64_t offset, uint64_t length, bool *allocated,
                                   uint64_t *run, struct addcow_error *error);
enum addcow_status addcow_disk_map_chain(struct addcow *disk, uint64_t offset, uint64_t length,
                                         struct addcow_extent *extent, bool *data, struct addcow_error *error);

/*
 * Where the first bytes of [offset, offset + length), which is within the disk, come from: *file is the file that has
 * them, at the same offset, or is left alone if they are zeros. extent->length is how many they are.
 */
enum addcow_status addcow_disk_find_bytes(struct addcow *disk, uint64_t offset, uint64_t length,
                                          struct addcow_extent *extent, const struct addcow_io **file,
                                          struct addcow_error *error);

/* ---- share.c ---- */

/* Whether the storage of a disk can share; changes when it is tried, and ends at the first refusal. */
enum addcow_sharing { ADDCOW_SHARING_UNKNOWN, ADDCOW_SHARING_WORKS, ADDCOW_SHARING_REFUSED };

enum addcow_sharing addcow_disk_sharing(const struct addcow *disk);

/*
 * Shares the first bytes of [offset, offset + length), and returns how many: whole blocks, or none. Behind these, `to`
 * may have anything in the range. Remembers a refusal.
 */
uint64_t addcow_disk_share(struct addcow *disk, const struct addcow_io *to, const struct addcow_io *from,
                           uint64_t length, uint64_t offset);

/*
 * Puts what the backing file has in [offset, limit) into the image, whose clusters there are in flight, by sharing.
 * *end is how far it got: up to there the image has the bytes, and behind it may have anything. That nothing can be
 * shared is no failure.
 */
enum addcow_status addcow_disk_share_backing(struct addcow *disk, uint64_t offset, uint64_t limit, uint64_t *end,
                                             struct addcow_error *error);

/* ---- open.c ---- */

/* Opens the backing file that the header names, which is not open yet. The disk is quiesced. */
enum addcow_status addcow_disk_open_backing(struct addcow *disk, struct addcow_error *error);

/* Opens a disk for writing without its backing file, for what needs only its header. */
enum addcow_status addcow_disk_open_alone(const char *path, struct addcow_storage *storage, struct addcow **disk,
                                          struct addcow_error *error);

/* Closes the files of the disk and of all levels below it, without a flush, and frees the handle. Reports the first
 * error. */
enum addcow_status addcow_disk_close(struct addcow *disk, struct addcow_error *error);

/* addcow_get_info. */
void addcow_disk_describe(const struct addcow *disk, struct addcow_info *info);

/* ---- flush.c ---- */

void addcow_flushing_init(struct addcow *disk);
void addcow_flushing_destroy(struct addcow *disk);

/* addcow_flush, for a disk that is open for writing. */
enum addcow_status addcow_disk_flush(struct addcow *disk, struct addcow_error *error);

/* Of long work: when to make durable what was done. */
struct addcow_checkpoints {
    uint64_t copied;   /* bytes since the last one, which a crash would undo; who copies adds to it */
    uint64_t distance; /* bytes from the last one to the next; CHECKPOINT_BYTES at first */
};

/*
 * Flushes a disk if enough was copied since the last time. Long work calls it from time to time, so that a process that
 * dies has not worked in vain.
 */
enum addcow_status addcow_disk_checkpoint(struct addcow *disk, struct addcow_checkpoints *checkpoints,
                                          struct addcow_error *error);

/* Syncs what the last writer left in image and metadata file, before this disk writes to them (DUR-12). */
enum addcow_status addcow_disk_sync_on_open(struct addcow *disk, struct addcow_error *error);

/* Sets or clears "all allocated" in the header of an r20 file, durably, and in memory [HDR-21]. */
enum addcow_status addcow_disk_set_all_allocated(struct addcow *disk, bool value, struct addcow_error *error);

/* ---- resize.c ---- */

/* Changes the size from `old_size`, which it is now, to `new_size`, at most ADDCOW_SIZE_MAX. The disk is quiesced. */
enum addcow_status addcow_disk_resize(struct addcow *disk, uint64_t old_size, uint64_t new_size,
                                      struct addcow_error *error);

/* ---- progress.c ---- */

/* Calls progress, if there is one, and fails with ECANCELED if that returns false. */
enum addcow_status addcow_disk_report_progress(const struct addcow *disk, addcow_progress *progress, void *context,
                                               uint64_t done, uint64_t total, struct addcow_error *error);

/* ---- stream.c ---- */

/* addcow_stream, for a writable disk. Called outside any request: it enters as one for each of its steps. */
enum addcow_status addcow_disk_stream(struct addcow *disk, addcow_progress *progress, void *context,
                                      struct addcow_error *error);

/* ---- commit.c ---- */

/* addcow_commit, for a writable disk whose header names a backing file. The disk is quiesced. */
enum addcow_status addcow_disk_commit(struct addcow *disk, addcow_progress *progress, void *context,
                                      struct addcow_error *error);

#endif

/*
 * The engine's internal sizes: those of its buffers, blocks and steps, which no format and no interface prescribes.
 *
 * They stand in one header, so that another header with the same guard and names can replace it and make them small:
 * then small disks have several blocks of the bitmap, and short requests take several buffers (harness/sched).
 */
#ifndef ADDCOW_SIZES_H
#define ADDCOW_SIZES_H

#include <stddef.h>
#include <stdint.h>

/* ---- The whole disk ---- */

/* The counters of running requests. */
#define ADDCOW_QUIESCE_STRIPES 64

/* A part of the bitmap that is loaded and written as a whole. A multiple of 8. */
#define ADDCOW_BLOCK_BYTES 4096u

/* ---- Allocation (allocate.c) ---- */

/* How many unused buffers of a cluster are kept. */
#define UNUSED_BUFFERS_MAX 8

/* The most clusters that one in-flight range covers, at least one: no request waits for a whole huge one. */
#define INFLIGHT_CLUSTERS_MAX(cluster_bits) (((uint64_t)64 << 20) >> (cluster_bits))

/* A copy of less than this costs no more than sharing it. */
#define SHARE_LEAST ((uint64_t)128 << 10)

/* ---- Transfers, zeros and holes (file_io.c) ---- */

/* One call of the table of storage functions moves at most this many bytes: within ssize_t everywhere. */
#define TRANSFER_MAX ((uint64_t)1 << 30)

/* Runs of zeros from this length on become holes also where there is data: shorter ones would only make extents. */
#define PUNCH_LEAST ((uint64_t)64 << 10)

/* A search for data, and the filling of a new file, go by pieces of this size. */
#define PIECE_BYTES ((uint64_t)1 << 20)

/* A run of zeros is at least so long: a block of most file systems. */
#define ZERO_BLOCK 4096u

/* How many zeros are written at once where nothing can be punched. More than a sector. */
#define ZEROS_BYTES 65536u

/* What goes through a buffer on its way around the cache, in one call (direct.c). */
#define DIRECT_BUFFER_BYTES ((size_t)1 << 20)

/* ---- Stream (stream.c), rebase (rebase.c), commit (commit.c) ---- */

/* How much a step copies, if a cluster is not larger: enough to be fast, and little enough for a guest to wait for. */
#define STREAM_STEP_BYTES ((uint64_t)256 << 10)

/* How much a step shares: that takes less time than the copy of a step, and can be done again as fast. */
#define STREAM_SHARE_BYTES ((uint64_t)16 << 20) /* a cluster at least */
#define SHARED_PER_COPIED 64

/* How much a step compares, if a cluster is not larger. */
#define REBASE_STEP_BYTES ((uint64_t)1 << 20)

/*
 * After so many bytes the work is made durable, then after twice as many, up to a maximum. A process that dies later
 * has not done these in vain.
 */
#define CHECKPOINT_BYTES ((uint64_t)32 << 20)
#define CHECKPOINT_BYTES_MAX ((uint64_t)256 << 20)

/* The storage begins to make that much durable at once, beside the copying. */
#define BEGIN_SYNC_BYTES ((uint64_t)4 << 20)

/* How far ahead one step looks for the end of a run. */
#define STEP_CLUSTERS_MAX 32768u

/* Of a commit: how much is copied at once: what stays in the caches of a processor, */
#define COPY_BYTES ((uint64_t)256 << 10)
#define COMMIT_SHARE_BYTES ((uint64_t)64 << 20) /* or shared at once, */
#define LOWER_BYTES ((uint64_t)64 << 10)        /* how many zeros are worth a request of their own, */
#define HOLE_BYTES ((uint64_t)1 << 30)          /* how much of a hole lies between two reports of progress */

/* ---- Files that are not open (create.c, check.c), and opening (open.c) ---- */

#define CHUNK_SIZE (1u << 20) /* of the bitmap, that is read or written at once */

/*
 * Temporary names that are tried. They hold the number of the process, so these are only what processes with the same
 * number left behind when they died, or what threads of this one are making.
 */
#define TEMPORARY_NAMES 100000u

#define REPLACED_MAX 16 /* how often a file may be replaced while it is being opened */

#endif

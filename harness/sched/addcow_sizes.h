/*
 * Replaces fast/addcow_sizes.h when the engine is compiled for the scheduler, as addcow_sync.h does: the same names,
 * but small sizes.
 *
 * So the small disks that are judged there have several blocks of the bitmap, of a word each. A few clusters of 4 KiB
 * are more than a buffer, a step or an in-flight range takes, and two threads may share a counter of requests. What
 * limits attempts is as in fast/.
 */
#ifndef ADDCOW_SIZES_H
#define ADDCOW_SIZES_H

#include <stddef.h>
#include <stdint.h>

#define ADDCOW_QUIESCE_STRIPES 2
#define ADDCOW_BLOCK_BYTES 8u

#define UNUSED_BUFFERS_MAX 1
#define INFLIGHT_CLUSTERS_MAX(cluster_bits) ((uint64_t)3 + 0 * (cluster_bits))

#define SHARE_LEAST ((uint64_t)8192)

#define TRANSFER_MAX ((uint64_t)8192)
#define PUNCH_LEAST ((uint64_t)8192)
#define PIECE_BYTES ((uint64_t)8192)
#define ZERO_BLOCK 1024u
#define ZEROS_BYTES 1536u
#define DIRECT_BUFFER_BYTES ((size_t)8192)

#define STREAM_STEP_BYTES ((uint64_t)8192)
#define STREAM_SHARE_BYTES ((uint64_t)2 << 20)
#define SHARED_PER_COPIED 4
#define REBASE_STEP_BYTES ((uint64_t)12288)
#define CHECKPOINT_BYTES ((uint64_t)32768)
#define CHECKPOINT_BYTES_MAX ((uint64_t)65536)
#define BEGIN_SYNC_BYTES ((uint64_t)16384)
#define STEP_CLUSTERS_MAX 100u
#define COPY_BYTES ((uint64_t)8192)
#define COMMIT_SHARE_BYTES ((uint64_t)8192)
#define LOWER_BYTES ((uint64_t)4096)
#define HOLE_BYTES ((uint64_t)16384)

#define CHUNK_SIZE 1024u
#define TEMPORARY_NAMES 100000u
#define REPLACED_MAX 16

#endif

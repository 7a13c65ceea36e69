/*
 * The COW bitmap in memory.
 *
 * It has two levels: an array of pointers to blocks. A block is read from the metadata file when it is first
 * needed. So opening costs only the array, and memory grows with what is used. A block is published by
 * compare-and-swap. Two threads that load the same block read the same bytes, because the block in the file changes
 * only after it is in memory; the slower thread frees its copy.
 *
 * A lookup takes no lock. It loads 64 bits at a time with acquire, which pairs with the release of the thread that set
 * them after the data was in the image (CON-04). Setting a bit is an atomic or (CON-07), under the allocation lock,
 * together with marking the block dirty. A flush takes the dirty list under the same lock. So a thread that has seen a
 * bit set and then flushes finds the block in the list or already written.
 *
 * Bits past the last cluster are dropped when a block is loaded, and never set, so they are written as 0 (BMP-05).
 */
#include "addcow_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*@ terminates \true;
    assigns \nothing;
    ensures value: \result == (cluster_count + ADDCOW_BLOCK_BITS - 1) / ADDCOW_BLOCK_BITS;
*/
static uint64_t blocks_for(uint64_t cluster_count)
{
    return cluster_count / ADDCOW_BLOCK_BITS + (cluster_count % ADDCOW_BLOCK_BITS != 0);
}

static struct addcow_block *loaded_block(const struct addcow_bitmap *bitmap, uint64_t index)
{
    return sync_pointer_load(&bitmap->blocks[index]);
}

/* An array of null pointers, of at least one. Null: no memory. */
static sync_pointer *new_array(uint64_t capacity)
{
    if (capacity > SIZE_MAX / sizeof(sync_pointer)) {
        return NULL;
    }
    return calloc(capacity > 0 ? (size_t)capacity : 1, sizeof(sync_pointer));
}

enum addcow_status addcow_bitmap_init(struct addcow *disk, uint64_t cluster_count, struct addcow_error *error)
{
    struct addcow_bitmap *bitmap = &disk->bitmap;
    uint64_t capacity = blocks_for(cluster_count);
    bitmap->blocks = new_array(capacity);
    if (!bitmap->blocks) {
        return addcow_fail_memory(error, disk->file.path);
    }
    bitmap->capacity = capacity;
    bitmap->cluster_count = cluster_count;
    return ADDCOW_OK;
}

void addcow_bitmap_destroy(struct addcow *disk)
{
    if (!disk->bitmap.blocks) {
        return;
    }
    addcow_bitmap_forget(disk);
    free(disk->bitmap.blocks);
}

/* ---- Loading ---- */

/* How many of a block's bits belong to clusters. */
/*@ requires \valid_read(bitmap) && index * ADDCOW_BLOCK_BITS < bitmap->cluster_count;
    terminates \true;
    assigns \nothing;
    ensures value: \result == \min(bitmap->cluster_count - index * ADDCOW_BLOCK_BITS, ADDCOW_BLOCK_BITS);
*/
static uint64_t bits_of_block(const struct addcow_bitmap *bitmap, uint64_t index)
{
    uint64_t rest = bitmap->cluster_count - index * ADDCOW_BLOCK_BITS;
    return rest < ADDCOW_BLOCK_BITS ? rest : ADDCOW_BLOCK_BITS;
}

/* The bits of a word of a block that are among the block's first `bits`. */
static uint64_t kept_bits(uint64_t word, uint64_t bits)
{
    if (word != bits / 64) {
        return word < bits / 64 ? UINT64_MAX : 0;
    }
    return ((uint64_t)1 << bits % 64) - 1;
}

static void clear_from(struct addcow_block *block, uint64_t bit)
{
    for (uint64_t word = bit / 64; word < ADDCOW_BLOCK_WORDS; word++) {
        sync_store_release(&block->words[word], sync_load_acquire(&block->words[word]) & kept_bits(word, bit));
    }
}

static struct addcow_block *new_block(uint64_t index, const uint64_t *content, uint64_t bits)
{
    struct addcow_block *block = malloc(sizeof *block);
    if (!block) {
        return NULL;
    }
    block->index = index;
    block->dirty = false;
    block->next_dirty = NULL;
    block->next_taken = NULL;
    for (size_t i = 0; i < ADDCOW_BLOCK_WORDS; i++) {
        atomic_init(&block->words[i], addcow_le64(content[i]) & kept_bits(i, bits));
    }
    return block;
}

static enum addcow_status load_block(struct addcow *disk, uint64_t index, struct addcow_block **block,
                                     struct addcow_error *error)
{
    uint64_t bits = bits_of_block(&disk->bitmap, index);
    uint64_t content[ADDCOW_BLOCK_WORDS] = {0};
    uint64_t offset = disk->metadata.header.header_size + index * ADDCOW_BLOCK_BYTES;
    enum addcow_status code = addcow_io_read(&disk->file, content, (bits + 7) / 8, offset, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    struct addcow_block *fresh = new_block(index, content, bits);
    if (!fresh) {
        return addcow_fail_memory(error, disk->file.path);
    }
    *block = sync_pointer_publish(&disk->bitmap.blocks[index], fresh);
    if (*block != fresh) {
        free(fresh);
    }
    return ADDCOW_OK;
}

static enum addcow_status get_block(struct addcow *disk, uint64_t index, struct addcow_block **block,
                                    struct addcow_error *error)
{
    *block = loaded_block(&disk->bitmap, index);
    return *block ? ADDCOW_OK : load_block(disk, index, block, error);
}

enum addcow_status addcow_bitmap_load(struct addcow *disk, uint64_t first, uint64_t limit, struct addcow_error *error)
{
    assert(limit <= disk->bitmap.cluster_count);
    for (uint64_t index = first / ADDCOW_BLOCK_BITS; index < blocks_for(limit); index++) {
        struct addcow_block *block;
        enum addcow_status code = get_block(disk, index, &block, error);
        if (code != ADDCOW_OK) {
            return code;
        }
    }
    return ADDCOW_OK;
}

/* ---- Looking up ---- */

/*
 * The end of the run of status *allocated that `bit` belongs to, within a block and at most `limit`. With `first`,
 * *allocated becomes the status of `bit`, from the same load as the run: a second load could see another status, and
 * the run would be empty.
 */
static uint64_t run_in_block(const struct addcow_block *block, uint64_t bit, uint64_t limit, bool first,
                             bool *allocated)
{
    while (bit < limit) {
        uint64_t word = sync_load_acquire(&block->words[bit / 64]);
        if (first) {
            *allocated = (word >> bit % 64 & 1) != 0;
        }
        first = false;
        uint64_t differing = (*allocated ? ~word : word) >> bit % 64;
        if (differing != 0) {
            uint64_t end = bit + (uint64_t)__builtin_ctzll(differing);
            return end < limit ? end : limit;
        }
        bit = bit - bit % 64 + 64;
    }
    return limit;
}

static bool bit_of_block(const struct addcow_block *block, uint64_t bit)
{
    return (sync_load_acquire(&block->words[bit / 64]) >> bit % 64 & 1) != 0;
}

/* The fast path for most requests, which touch one cluster. */
static enum addcow_status bit_of_cluster(struct addcow *disk, uint64_t cluster, bool *allocated,
                                         struct addcow_error *error)
{
    struct addcow_block *block;
    enum addcow_status code = get_block(disk, cluster / ADDCOW_BLOCK_BITS, &block, error);
    if (code == ADDCOW_OK) {
        *allocated = bit_of_block(block, cluster % ADDCOW_BLOCK_BITS);
    }
    return code;
}

enum addcow_status addcow_bitmap_run(struct addcow *disk, uint64_t first, uint64_t limit, bool *allocated,
                                     uint64_t *run_end, struct addcow_error *error)
{
    assert(first < limit && limit <= disk->bitmap.cluster_count);
    *run_end = limit;
    *allocated = addcow_disk_all_allocated(disk);
    if (*allocated) {
        return ADDCOW_OK;
    }
    if (limit - first == 1) {
        return bit_of_cluster(disk, first, allocated, error);
    }
    for (uint64_t position = first; position < limit;) {
        uint64_t index = position / ADDCOW_BLOCK_BITS;
        struct addcow_block *block;
        enum addcow_status code = get_block(disk, index, &block, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        uint64_t start = index * ADDCOW_BLOCK_BITS;
        uint64_t end = limit - start < ADDCOW_BLOCK_BITS ? limit - start : ADDCOW_BLOCK_BITS;
        position = start + run_in_block(block, position - start, end, position == first, allocated);
        if (position < start + end) {
            *run_end = position;
            return ADDCOW_OK;
        }
    }
    return ADDCOW_OK;
}

/* ---- Setting ---- */

static void mark_dirty(struct addcow_bitmap *bitmap, struct addcow_block *block)
{
    if (block->dirty) {
        return;
    }
    block->dirty = true;
    block->next_dirty = bitmap->dirty;
    bitmap->dirty = block;
}

static void set_in_block(struct addcow_block *block, uint64_t bit, uint64_t limit)
{
    while (bit < limit) {
        uint64_t count = 64 - bit % 64 < limit - bit ? 64 - bit % 64 : limit - bit;
        uint64_t ones = count == 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
        sync_or_release(&block->words[bit / 64], ones << bit % 64);
        bit += count;
    }
}

void addcow_bitmap_set(struct addcow *disk, uint64_t first, uint64_t limit)
{
    struct addcow_bitmap *bitmap = &disk->bitmap;
    assert(limit <= bitmap->cluster_count);
    while (first < limit) {
        uint64_t index = first / ADDCOW_BLOCK_BITS;
        uint64_t start = index * ADDCOW_BLOCK_BITS;
        uint64_t end = limit - start < ADDCOW_BLOCK_BITS ? limit - start : ADDCOW_BLOCK_BITS;
        struct addcow_block *block = loaded_block(bitmap, index);
        assert(block);
        set_in_block(block, first - start, end);
        mark_dirty(bitmap, block);
        first = start + end;
    }
}

void addcow_bitmap_touch(struct addcow *disk, uint64_t cluster)
{
    struct addcow_block *block = loaded_block(&disk->bitmap, cluster / ADDCOW_BLOCK_BITS);
    assert(block);
    mark_dirty(&disk->bitmap, block);
}

void addcow_bitmap_touch_all(struct addcow *disk)
{
    struct addcow_bitmap *bitmap = &disk->bitmap;
    sync_lock(&disk->allocation.lock);
    for (uint64_t i = 0; i < blocks_for(bitmap->cluster_count); i++) {
        struct addcow_block *block = loaded_block(bitmap, i);
        if (block) {
            mark_dirty(bitmap, block);
        }
    }
    sync_unlock(&disk->allocation.lock);
}

/* ---- The dirty list ---- */

struct addcow_block *addcow_bitmap_take_dirty(struct addcow *disk, uint64_t *count)
{
    struct addcow_block *taken = NULL;
    *count = 0;
    sync_lock(&disk->allocation.lock);
    for (struct addcow_block *block = disk->bitmap.dirty; block; block = block->next_dirty) {
        block->dirty = false;
        block->next_taken = taken;
        taken = block;
        (*count)++;
    }
    disk->bitmap.dirty = NULL;
    sync_unlock(&disk->allocation.lock);
    return taken;
}

void addcow_bitmap_give_back(struct addcow *disk, struct addcow_block *taken)
{
    sync_lock(&disk->allocation.lock);
    for (struct addcow_block *block = taken; block; block = block->next_taken) {
        mark_dirty(&disk->bitmap, block);
    }
    sync_unlock(&disk->allocation.lock);
}

/* ---- Whole-disk changes, while the disk is quiesced ---- */

/* Frees the blocks from `index` on, and takes them off the dirty list. */
static void drop_blocks(struct addcow *disk, uint64_t index)
{
    struct addcow_bitmap *bitmap = &disk->bitmap;
    sync_lock(&disk->allocation.lock);
    struct addcow_block **link = &bitmap->dirty;
    while (*link) {
        if ((*link)->index >= index) {
            *link = (*link)->next_dirty;
        } else {
            link = &(*link)->next_dirty;
        }
    }
    sync_unlock(&disk->allocation.lock);
    for (uint64_t i = index; i < blocks_for(bitmap->cluster_count); i++) {
        struct addcow_block *block = loaded_block(bitmap, i);
        if (block) { /* nothing is stored otherwise: memory that was never written to takes none */
            free(block);
            sync_pointer_set(&bitmap->blocks[i], NULL);
        }
    }
}

void addcow_bitmap_forget(struct addcow *disk)
{
    drop_blocks(disk, 0);
}

static enum addcow_status reserve(struct addcow *disk, uint64_t capacity, struct addcow_error *error)
{
    struct addcow_bitmap *bitmap = &disk->bitmap;
    if (capacity <= bitmap->capacity) {
        return ADDCOW_OK;
    }
    sync_pointer *blocks = new_array(capacity);
    if (!blocks) {
        return addcow_fail_memory(error, disk->file.path);
    }
    for (uint64_t i = 0; i < bitmap->capacity; i++) {
        struct addcow_block *block = loaded_block(bitmap, i);
        if (block) {
            sync_pointer_set(&blocks[i], block);
        }
    }
    free(bitmap->blocks);
    bitmap->blocks = blocks;
    bitmap->capacity = capacity;
    return ADDCOW_OK;
}

enum addcow_status addcow_bitmap_resize(struct addcow *disk, uint64_t cluster_count, struct addcow_error *error)
{
    struct addcow_bitmap *bitmap = &disk->bitmap;
    enum addcow_status code = reserve(disk, blocks_for(cluster_count), error);
    if (code != ADDCOW_OK) {
        return code;
    }
    if (cluster_count < bitmap->cluster_count) {
        drop_blocks(disk, blocks_for(cluster_count));
        uint64_t boundary = cluster_count % ADDCOW_BLOCK_BITS;
        struct addcow_block *block = boundary ? loaded_block(bitmap, cluster_count / ADDCOW_BLOCK_BITS) : NULL;
        if (block) {
            clear_from(block, boundary);
        }
    }
    bitmap->cluster_count = cluster_count;
    return ADDCOW_OK;
}

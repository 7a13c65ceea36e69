/*
 * The disk in memory: sections 5 to 9 of spec/add-cow.md.
 *
 * Every change of the disk is a sequence of elementary steps, each of which is one of few kinds: bytes of the image that no one
 * can see (copy_up), bytes of the image that are the data (put_data), one bit (allocate), bytes of the backing file under
 * allocated clusters, or the size. The order of the steps is the one that makes a crash between any two of them harmless, and the
 * contract of each step says so: every byte of the disk is its old or its new value.
 *
 * The code is shaped for proof: division and remainder instead of shifts, one cluster at a time, small functions.
 */
#include "addcow_ref.h"

/* ---- The bitmap (section 3) ---- */

static unsigned bit_mask(unsigned n)
{
    switch (n) {
    case 0:
        return 1;
    case 1:
        return 2;
    case 2:
        return 4;
    case 3:
        return 8;
    case 4:
        return 16;
    case 5:
        return 32;
    case 6:
        return 64;
    default:
        return 128;
    }
}

static int byte_get(uint8_t byte, unsigned n)
{
    return (byte & bit_mask(n)) != 0;
}

static uint8_t byte_set(uint8_t byte, unsigned n)
{
    return (uint8_t)(byte | bit_mask(n));
}

static uint8_t byte_clear(uint8_t byte, unsigned n)
{
    return (uint8_t)(byte & (255 - bit_mask(n)));
}

/* BMP-01 */
static int bit_get(const uint8_t *bitmap, uint64_t k)
{
    return byte_get(bitmap[k / 8], (unsigned)(k % 8));
}

static void bit_set(uint8_t *bitmap, uint64_t k)
{
    bitmap[k / 8] = byte_set(bitmap[k / 8], (unsigned)(k % 8));
}

static void bit_clear(uint8_t *bitmap, uint64_t k)
{
    bitmap[k / 8] = byte_clear(bitmap[k / 8], (unsigned)(k % 8));
}

static void bit_put(uint8_t *bitmap, uint64_t k, int value)
{
    if (value)
        bit_set(bitmap, k);
    else
        bit_clear(bitmap, k);
}

/* ---- The disk (section 5) ---- */

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t cluster_start(uint64_t position, uint64_t cluster_size)
{
    return position / cluster_size * cluster_size;
}

/* How many of the `left` bytes at `position` lie in its cluster. */
static uint64_t part_length(uint64_t position, uint64_t left, uint64_t cluster_size)
{
    return lesser(cluster_start(position, cluster_size) + cluster_size - position, left);
}

static int is_allocated(const struct addcow_ref *disk, uint64_t cluster)
{
    return disk->all_allocated || bit_get(disk->bitmap, cluster);
}

/* VRT-02: byte i of the backing file, zero past its end. */
static uint8_t backing_byte(const struct addcow_ref *disk, uint64_t i)
{
    return i < disk->backing_size ? disk->backing[i] : 0;
}

/* REQ-01 */
static int in_range(const struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    return offset <= disk->size && length <= disk->size - offset;
}

/* ---- Read (RD-01) ---- */

/* Reads `count` bytes at `position`, all in one cluster; the byte i of the disk goes to buffer[i - base]. */
static void read_part(const struct addcow_ref *disk, uint64_t position, uint64_t count, uint8_t *buffer, uint64_t base)
{
    int allocated = is_allocated(disk, position / disk->cluster_size);
    for (uint64_t i = position; i < position + count; i++)
        buffer[i - base] = allocated ? disk->image[i] : backing_byte(disk, i);
}

enum addcow_class addcow_ref_read(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer)
{
    uint64_t done = 0;
    if (!in_range(disk, offset, length))
        return ADDCOW_RANGE;
    while (done < length) {
        uint64_t count = part_length(offset + done, length - done, disk->cluster_size);
        read_part(disk, offset + done, count, buffer, offset);
        done += count;
    }
    return ADDCOW_OK;
}

/* ---- Write, zero, discard ---- */

/* Fills [from, to) of the image, in an unallocated cluster, with what the disk reads as there: invisible. */
static void copy_up(struct addcow_ref *disk, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        disk->image[i] = backing_byte(disk, i);
}

/* Stores the data: buffer[i - base] for byte i of the disk, or zeros if buffer is null. Hidden while the bit is 0. */
static void put_data(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    for (uint64_t i = position; i < position + count; i++)
        disk->image[i] = buffer ? buffer[i - base] : 0;
}

/* Makes a cluster visible in the image: one store of one byte. */
static void allocate(struct addcow_ref *disk, uint64_t cluster)
{
    bit_set(disk->bitmap, cluster);
}

/* WR-03, WR-04: the cluster's bytes around the data come from the backing file, up to the end of the image. */
static void write_unallocated(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer,
                              uint64_t base)
{
    uint64_t start = cluster_start(position, disk->cluster_size);
    uint64_t end = lesser(start + disk->cluster_size, disk->size);
    copy_up(disk, start, position);
    copy_up(disk, position + count, end);
    put_data(disk, position, count, buffer, base);
    allocate(disk, position / disk->cluster_size);
}

static void write_part(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    if (is_allocated(disk, position / disk->cluster_size))
        put_data(disk, position, count, buffer, base);
    else
        write_unallocated(disk, position, count, buffer, base);
}

/* WR-01, WR-02, WR-05; zeros if buffer is null. */
static void write_range(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer)
{
    uint64_t done = 0;
    while (done < length) {
        uint64_t count = part_length(offset + done, length - done, disk->cluster_size);
        write_part(disk, offset + done, count, buffer, offset);
        done += count;
    }
}

enum addcow_class addcow_ref_write(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer)
{
    if (!in_range(disk, offset, length))
        return ADDCOW_RANGE;
    if (length > 0)
        write_range(disk, offset, length, buffer);
    return ADDCOW_OK;
}

/* ZR-01 */
enum addcow_class addcow_ref_zero(struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    if (!in_range(disk, offset, length))
        return ADDCOW_RANGE;
    write_range(disk, offset, length, 0);
    return ADDCOW_OK;
}

/* DC-01 */
enum addcow_class addcow_ref_discard(struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    return addcow_ref_zero(disk, offset, length);
}

/* ---- Map (MAP-01) ---- */

/* The bytes from `offset` to the first cluster of another status, but not past `end`. */
static uint64_t run_length(const struct addcow_ref *disk, uint64_t offset, uint64_t end)
{
    uint64_t cluster = offset / disk->cluster_size;
    int status = is_allocated(disk, cluster);
    uint64_t position = cluster_start(offset, disk->cluster_size) + disk->cluster_size;
    cluster++;
    while (position < end && is_allocated(disk, cluster) == status) {
        cluster++;
        position += disk->cluster_size;
    }
    return lesser(position, end) - offset;
}

enum addcow_class addcow_ref_map(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint32_t *allocated,
                                 uint64_t *run)
{
    if (!in_range(disk, offset, length))
        return ADDCOW_RANGE;
    if (length == 0) { /* MAP-03 */
        *allocated = 0;
        *run = 0;
        return ADDCOW_OK;
    }
    *allocated = (uint32_t)is_allocated(disk, offset / disk->cluster_size);
    *run = run_length(disk, offset, offset + length);
    return ADDCOW_OK;
}

/* ---- Resize (section 8) ---- */

/* The first cluster that begins at or past `size`, which is also the number of clusters of a disk of that size. */
static uint64_t first_past(const struct addcow_ref *disk, uint64_t size)
{
    return addcow_cluster_count(size, disk->cluster_size);
}

/* The number of bits that the bitmap of a disk of `size` has, those past the last cluster included. */
static uint64_t bit_count(const struct addcow_ref *disk, uint64_t size)
{
    return 8 * addcow_bitmap_bytes(size, disk->cluster_size);
}

/* Allocates the cluster of `position`, copying up what the disk has of it. Invisible. */
static void allocate_cluster(struct addcow_ref *disk, uint64_t position)
{
    uint64_t start = cluster_start(position, disk->cluster_size);
    copy_up(disk, start, lesser(start + disk->cluster_size, disk->size));
    allocate(disk, position / disk->cluster_size);
}

/* RSZ-03: whether growth would show bytes of the backing file in the cluster that is the disk's last, partial one. */
static int grows_over_backing(const struct addcow_ref *disk)
{
    return disk->size % disk->cluster_size != 0 && disk->size < disk->backing_size &&
           !is_allocated(disk, disk->size / disk->cluster_size);
}

/* RSZ-03: bits [first, bit_count) become 1 where the backing file would show below new_size, else 0. */
static void put_new_bits(struct addcow_ref *disk, uint64_t first, uint64_t new_size)
{
    uint64_t clusters = first_past(disk, new_size);
    uint64_t covered = disk->all_allocated ? clusters : first_past(disk, lesser(new_size, disk->backing_size));
    uint64_t bits = bit_count(disk, new_size);
    for (uint64_t k = first; k < bits; k++)
        bit_put(disk->bitmap, k, k < covered);
}

/* What extending the image file does: [from, to) of the image reads as zeros. */
static void zero_image(struct addcow_ref *disk, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        disk->image[i] = 0;
}

/* RSZ-04: the disk has its new size only when all that it will show is in place. */
static void grow(struct addcow_ref *disk, uint64_t new_size)
{
    if (grows_over_backing(disk))
        allocate_cluster(disk, disk->size);
    put_new_bits(disk, first_past(disk, disk->size), new_size);
    zero_image(disk, disk->size, new_size);
    disk->size = new_size;
}

/* RSZ-05: the disk is cut first; then the bits past its end no longer matter, and are cleared. */
static void shrink(struct addcow_ref *disk, uint64_t new_size)
{
    uint64_t bits = bit_count(disk, disk->size);
    disk->size = new_size;
    for (uint64_t k = first_past(disk, new_size); k < bits; k++)
        bit_clear(disk->bitmap, k);
}

enum addcow_class addcow_ref_resize(struct addcow_ref *disk, uint64_t new_size)
{
    if (new_size > ADDCOW_SIZE_MAX) /* RSZ-09 */
        return ADDCOW_RANGE;
    if (new_size > disk->capacity)
        return ADDCOW_NOSPACE;
    if (new_size > disk->size)
        grow(disk, new_size);
    else if (new_size < disk->size)
        shrink(disk, new_size);
    return ADDCOW_OK;
}

/* ---- Stream (section 9) ---- */

/* STR-01, STR-02. Under "all allocated" the image is the disk already, and only bits are missing (VRT-05). */
void addcow_ref_stream(struct addcow_ref *disk, uint32_t flag)
{
    uint64_t clusters = first_past(disk, disk->size);
    for (uint64_t k = 0; k < clusters; k++) {
        if (disk->all_allocated)
            allocate(disk, k);
        else if (!is_allocated(disk, k))
            allocate_cluster(disk, k * disk->cluster_size);
    }
    if (flag)
        disk->all_allocated = 1;
}

/* ---- Commit (section 9) ---- */

static uint64_t cluster_end(const struct addcow_ref *disk, uint64_t cluster)
{
    return lesser(cluster * disk->cluster_size + disk->cluster_size, disk->size);
}

/* CMT-02: whether the backing file reaches to the end of every allocated cluster. */
static int backing_reaches(const struct addcow_ref *disk)
{
    uint64_t clusters = first_past(disk, disk->size);
    for (uint64_t k = 0; k < clusters; k++)
        if (is_allocated(disk, k) && cluster_end(disk, k) > disk->backing_size)
            return 0;
    return 1;
}

/* Copies an allocated cluster into the backing file. Invisible, as the cluster is read from the image. */
static void commit_cluster(struct addcow_ref *disk, uint64_t cluster)
{
    uint64_t end = cluster_end(disk, cluster);
    for (uint64_t i = cluster * disk->cluster_size; i < end; i++)
        disk->backing[i] = disk->image[i];
}

/* CMT-01, CMT-03: nothing is cleared before everything is copied. */
enum addcow_class addcow_ref_commit(struct addcow_ref *disk)
{
    uint64_t clusters = first_past(disk, disk->size);
    uint64_t bytes = addcow_bitmap_bytes(disk->size, disk->cluster_size);
    if (!disk->has_backing)
        return ADDCOW_UNSUPPORTED;
    if (!backing_reaches(disk))
        return ADDCOW_RANGE;
    for (uint64_t k = 0; k < clusters; k++)
        if (is_allocated(disk, k))
            commit_cluster(disk, k);
    disk->all_allocated = 0;
    for (uint64_t i = 0; i < bytes; i++)
        disk->bitmap[i] = 0;
    return ADDCOW_OK;
}

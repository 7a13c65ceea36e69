/*
 * The disk in memory: sections 5 to 9 of spec/add-cow.md.
 *
 * Every change of the disk is a sequence of elementary steps, each of which is one of few kinds: bytes of the image
 * that no one can see (copy_up), bytes of the image that are the data (put_data), one bit (allocate), bytes of the
 * backing file under allocated clusters, or the size. The order of the steps is the one that makes a crash between any
 * two of them harmless, and the contract of each step says so: every byte of the disk is its old or its new value.
 *
 * The code is shaped for proof: division and remainder instead of shifts, one cluster at a time, small functions.
 */
#include "addcow_ref.h"

/* ---- The bitmap (section 3) ---- */

/*@ requires n < 8;
    terminates \true;
    assigns \nothing;
    ensures value: \result == (1 << n);
    ensures bounds: 1 <= \result <= 128;
*/
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

/*@ requires n < 8;
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> bitb(byte, n);
*/
static int byte_get(uint8_t byte, unsigned n)
{
    return (byte & bit_mask(n)) != 0;
}

/*@ requires n < 8;
    terminates \true;
    assigns \nothing;
    ensures bits: \forall integer j; 0 <= j < 8 ==> (bitb(\result, j) <==> (j == n || bitb(byte, j)));
*/
static uint8_t byte_set(uint8_t byte, unsigned n)
{
    return (uint8_t)(byte | bit_mask(n));
}

/*@ requires n < 8;
    terminates \true;
    assigns \nothing;
    ensures bits: \forall integer j; 0 <= j < 8 ==> (bitb(\result, j) <==> (j != n && bitb(byte, j)));
*/
static uint8_t byte_clear(uint8_t byte, unsigned n)
{
    return (uint8_t)(byte & ~(int)bit_mask(n));
}

/*@ // BMP-01
    requires \valid_read(bitmap + (k / 8));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> bit(bitmap, k);
*/
static int bit_get(const uint8_t *bitmap, uint64_t k)
{
    return byte_get(bitmap[k / 8], (unsigned)(k % 8));
}

/*@ requires \valid(bitmap + (k / 8));
    terminates \true;
    assigns bitmap[k / 8];
    ensures this: bit(bitmap, k);
    ensures others: \forall integer j; 0 <= j && j != k ==> (bit(bitmap, j) <==> \old(bit(bitmap, j)));
*/
static void bit_set(uint8_t *bitmap, uint64_t k)
{
    bitmap[k / 8] = byte_set(bitmap[k / 8], (unsigned)(k % 8));
}

/*@ requires \valid(bitmap + (k / 8));
    terminates \true;
    assigns bitmap[k / 8];
    ensures this: !bit(bitmap, k);
    ensures others: \forall integer j; 0 <= j && j != k ==> (bit(bitmap, j) <==> \old(bit(bitmap, j)));
*/
static void bit_clear(uint8_t *bitmap, uint64_t k)
{
    bitmap[k / 8] = byte_clear(bitmap[k / 8], (unsigned)(k % 8));
}

/*@ requires \valid(bitmap + (k / 8));
    terminates \true;
    assigns bitmap[k / 8];
    ensures this: bit(bitmap, k) <==> value != 0;
    ensures others: \forall integer j; 0 <= j && j != k ==> (bit(bitmap, j) <==> \old(bit(bitmap, j)));
*/
static void bit_put(uint8_t *bitmap, uint64_t k, int value)
{
    if (value) {
        bit_set(bitmap, k);
    } else {
        bit_clear(bitmap, k);
    }
}

/* ---- Arithmetic of clusters ---- */

/*
 * What the provers need to know about division by the cluster size. Each lemma is proved from those above it. None
 * makes a prover invent new numerators: with "(i - 1) / n == i / n" it would look at i - 2 next, and never end.
 */
/*@
  lemma div_in_cluster: \forall integer i, c, n; 0 < n && 0 <= c && c * n <= i < c * n + n ==> i / n == c;
  lemma div_same: \forall integer i, p, n;
    0 < n && 0 <= p && (p / n) * n <= i < (p / n) * n + n ==> i / n == p / n;
  lemma next_quotient: \forall integer j, q, n;
    0 < n && 0 <= q && q * n + n <= j < q * n + n + n ==> j / n == q + 1;
  lemma clusters_are: \forall integer size, q, n;
    0 < n && 0 <= q && q * n < size <= q * n + n ==> clusters(size, n) == q + 1;
  lemma below_div: \forall integer k, x, n; 0 < n && 0 <= k && 0 <= x && k < x / n ==> k * n + n <= x;
  lemma below_ceiling: \forall integer k, size, n;
    0 < n && 0 <= size && 0 <= k && k < (size + n - 1) / n ==> k * n < size;
  lemma div_bounds: \forall integer i, n; 0 < n && 0 <= i ==> (i / n) * n <= i < (i / n) * n + n;
  lemma last_cluster: \forall integer size, n; 0 < n && 0 < size ==> clusters(size, n) == (size - 1) / n + 1;
  lemma div_nonneg: \forall integer i, n; 0 < n && 0 <= i ==> 0 <= i / n <= i;
  lemma div_mono: \forall integer i, j, n; 0 < n && 0 <= i <= j ==> i / n <= j / n;
  lemma div_less: \forall integer i, c, n; 0 < n && 0 <= i && 0 <= c && i < c * n ==> i / n < c;
  lemma cluster_in_bitmap:
    \forall integer i, size, n; 0 < n && 0 <= i < size ==> 0 <= (i / n) / 8 < bitmap_bytes(size, n);
  lemma bitmap_mono:
    \forall integer a, b, n; 0 < n && 0 <= a <= b ==> 0 <= bitmap_bytes(a, n) <= bitmap_bytes(b, n);
  lemma clusters_mono: \forall integer a, b, n; 0 < n && 0 <= a <= b ==> 0 <= clusters(a, n) <= clusters(b, n);
  lemma clusters_cover: \forall integer i, size, n; 0 < n && 0 <= i < size ==> i / n < clusters(size, n);
  lemma same_cluster: \forall integer i, j, n; 0 < n && 0 <= j && i == j + 1 && i % n != 0 ==> j / n == i / n;
  lemma cluster_begins:
    \forall integer k, size, n; 0 < n && 0 <= size && 0 <= k < clusters(size, n) ==> k * n < size;
  lemma partial_cluster: \forall integer k, size, n; 0 < n && 0 <= size ==>
    (size / n <= k < clusters(size, n) <==> size % n != 0 && k == size / n);
*/

/*@ ghost
  /@ requires 0 < cluster_size && cluster * cluster_size <= 0x8000000000000000;
     terminates \true;
     assigns \nothing;
     ensures all: \forall integer i;
       cluster * cluster_size <= i < cluster * cluster_size + cluster_size ==> i / cluster_size == cluster;
  @/
  static void bytes_of_cluster(uint64_t cluster, uint64_t cluster_size)
  {
    /@ assert first: (cluster * cluster_size) / cluster_size == cluster; @/
    return;
  }
*/

/* ---- The disk (section 5) ---- */

/*@ terminates \true;
    assigns \nothing;
    ensures value: \result == (a < b ? a : b);
*/
static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*@ requires 0 < cluster_size;
    terminates \true;
    assigns \nothing;
    ensures start: \result == (position / cluster_size) * cluster_size;
    ensures bounds: \result <= position < \result + cluster_size;
    ensures all: \forall integer i; \result <= i < \result + cluster_size ==>
      i / cluster_size == position / cluster_size;
    ensures next: (\result + cluster_size) / cluster_size == position / cluster_size + 1;
    ensures next_start: ((\result + cluster_size) / cluster_size) * cluster_size == \result + cluster_size;
*/
static uint64_t cluster_start(uint64_t position, uint64_t cluster_size)
{
    return position / cluster_size * cluster_size;
}

/* How many of the `left` bytes at `position` lie in its cluster. */
/*@ requires cluster_size_ok(cluster_size) && position <= ADDCOW_SIZE_MAX && 0 < left;
    terminates \true;
    assigns \nothing;
    ensures bounds: 0 < \result <= left;
    ensures one: \forall integer i; position <= i < position + \result ==>
      i / cluster_size == position / cluster_size;
    ensures next: \result < left ==> (position + \result) / cluster_size == position / cluster_size + 1;
    ensures edge: \result < left ==> ((position + \result) / cluster_size) * cluster_size == position + \result;
*/
static uint64_t part_length(uint64_t position, uint64_t left, uint64_t cluster_size)
{
    return lesser(cluster_start(position, cluster_size) + cluster_size - position, left);
}

/*@ requires valid_disk(disk) && cluster / 8 < bitmap_bytes(disk->capacity, disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> allocated(disk, cluster);
*/
static int is_allocated(const struct addcow_ref *disk, uint64_t cluster)
{
    return disk->all_allocated || bit_get(disk->bitmap, cluster);
}

/* VRT-02: byte i of the backing file, zero past its end. */
/*@ requires valid_disk(disk);
    terminates \true;
    assigns \nothing;
    ensures value: \result == backing_at(disk, i);
*/
static uint8_t backing_byte(const struct addcow_ref *disk, uint64_t i)
{
    return i < disk->backing_size ? disk->backing[i] : 0;
}

/*@ // REQ-01
    requires valid_disk(disk);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> within(disk, offset, length);
*/
static int in_range(const struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    return offset <= disk->size && length <= disk->size - offset;
}

/* Where a cluster of the disk begins. */
/*@ requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures value: \result == cluster * disk->cluster_size;
    ensures bound: \result < disk->size;
    ensures quotient: \result / disk->cluster_size == cluster;
    ensures inside: \forall integer i; \result <= i < \result + disk->cluster_size ==>
      i / disk->cluster_size == cluster;
    ensures whole: \forall integer i; 0 <= i && i / disk->cluster_size == cluster ==>
      \result <= i < \result + disk->cluster_size;
*/
static uint64_t cluster_offset(const struct addcow_ref *disk, uint64_t cluster)
{
    //@ assert bound: cluster * disk->cluster_size < disk->size;
    //@ ghost bytes_of_cluster(cluster, disk->cluster_size);
    return cluster * disk->cluster_size;
}

/* Where it ends: the last one ends with the disk. */
/*@ requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures bounds: cluster * disk->cluster_size < \result <= disk->size;
    ensures inside: \forall integer i; cluster * disk->cluster_size <= i < \result ==>
      i / disk->cluster_size == cluster;
    ensures whole: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster ==>
      cluster * disk->cluster_size <= i < \result;
*/
static uint64_t cluster_end(const struct addcow_ref *disk, uint64_t cluster)
{
    return lesser(cluster_offset(disk, cluster) + disk->cluster_size, disk->size);
}

/* ---- Read (RD-01) ---- */

/* Byte i of the disk, of a cluster whose status is known. */
/*@ // VRT-02, VRT-03, VRT-04
    requires valid_disk(disk) && i < disk->size;
    requires status: allocated == 1 <==> allocated(disk, i / disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures value: \result == virt(disk, i);
*/
static uint8_t disk_byte(const struct addcow_ref *disk, int allocated, uint64_t i)
{
    return allocated == 1 ? disk->image[i] : backing_byte(disk, i);
}

/* Reads `count` bytes at `position`, all in one cluster; the byte i of the disk goes to buffer[i - base]. */
/*@ requires valid_disk(disk);
    requires 0 < count && position + count <= disk->size;
    requires one: \forall integer i; position <= i < position + count ==>
      i / disk->cluster_size == position / disk->cluster_size;
    requires base <= position;
    requires \valid(buffer + (0 .. position - base + count - 1));
    requires foreign(disk, buffer, position - base + count);
    terminates \true;
    assigns buffer[position - base .. position - base + count - 1];
    ensures data: \forall integer i; position <= i < position + count ==> buffer[i - base] == \old(virt(disk, i));
    ensures same: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void read_part(const struct addcow_ref *disk, uint64_t position, uint64_t count, uint8_t *buffer, uint64_t base)
{
    int allocated = is_allocated(disk, position / disk->cluster_size);
    /*@ loop invariant position <= i <= position + count;
        loop invariant same: virt_same{Pre, Here}(disk, 0, disk->size);
        loop invariant valid: valid_disk(disk);
        loop invariant data: \forall integer j; position <= j < i ==> buffer[j - base] == \at(virt(disk, j), Pre);
        loop assigns i, buffer[position - base .. position - base + count - 1];
        loop variant position + count - i;
    */
    for (uint64_t i = position; i < position + count; i++) {
        buffer[i - base] = disk_byte(disk, allocated, i);
    }
}

enum addcow_status addcow_ref_read(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer)
{
    uint64_t done = 0;
    if (!in_range(disk, offset, length)) {
        return ADDCOW_RANGE;
    }
    /*@ loop invariant 0 <= done <= length;
        loop invariant valid: valid_disk(disk);
        loop invariant same: virt_same{Pre, Here}(disk, 0, disk->size);
        loop invariant data: \forall integer i; offset <= i < offset + done ==>
          buffer[i - offset] == \at(virt(disk, i), Pre);
        loop assigns done, buffer[0 .. length - 1];
        loop variant length - done;
    */
    while (done < length) {
        uint64_t count = part_length(offset + done, length - done, disk->cluster_size);
        read_part(disk, offset + done, count, buffer, offset);
        done += count;
    }
    return ADDCOW_OK;
}

/* ---- Write, zero, discard ---- */

/* Fills [from, to) of the image, in an unallocated cluster, with what the disk reads as there: invisible. */
/*@ requires valid_disk(disk) && from <= to <= disk->size;
    requires hidden: unallocated(disk, from, to);
    terminates \true;
    assigns disk->image[from .. to - 1];
    ensures data: \forall integer i; from <= i < to ==> disk->image[i] == backing_at(disk, i); // WR-03
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
static void copy_up(struct addcow_ref *disk, uint64_t from, uint64_t to)
{
    /*@ loop invariant from <= i <= to;
        loop invariant data: \forall integer j; from <= j < i ==> disk->image[j] == backing_at(disk, j);
        loop invariant invisible: virt_same{Pre, Here}(disk, 0, disk->size);
        loop assigns i, disk->image[from .. to - 1];
        loop variant to - i;
    */
    for (uint64_t i = from; i < to; i++) {
        disk->image[i] = backing_byte(disk, i);
    }
}

/* Byte i of what a request writes. */
/*@ requires buffer != \null ==> \valid_read(buffer + i);
    terminates \true;
    assigns \nothing;
    ensures value: \result == source((uint8_t *)buffer, i);
*/
static uint8_t source_byte(const uint8_t *buffer, uint64_t i)
{
    if (buffer) {
        return buffer[i];
    }
    return 0;
}

/*@ requires base <= position && position + count <= 0xFFFFFFFFFFFFFFFF;
    requires \valid(image + (position .. position + count - 1));
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      \separated(buffer + (0 .. position - base + count - 1), image + (position .. position + count - 1));
    terminates \true;
    assigns image[position .. position + count - 1];
    ensures data: \forall integer i; position <= i < position + count ==>
      image[i] == source{Pre}((uint8_t *)buffer, i - base);
*/
static void store_data(uint8_t *image, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    /*@ loop invariant position <= i <= position + count;
        loop invariant kept: source_same{Pre, Here}((uint8_t *)buffer, position - base, position - base + count);
        loop invariant data: \forall integer j; position <= j < i ==>
          image[j] == source{Pre}((uint8_t *)buffer, j - base);
        loop assigns i, image[position .. position + count - 1];
        loop variant position + count - i;
    */
    for (uint64_t i = position; i < position + count; i++) {
        image[i] = source_byte(buffer, i - base);
    }
}

/* Stores the data: buffer[i - base] for byte i of the disk, or zeros if buffer is null. Hidden while the bit is 0. */
/*@ requires valid_disk(disk) && position + count <= disk->size;
    requires base <= position;
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      foreign(disk, (uint8_t *)buffer, position - base + count);
    terminates \true;
    assigns disk->image[position .. position + count - 1];
    ensures data: \forall integer i; position <= i < position + count ==>
      disk->image[i] == source{Pre}((uint8_t *)buffer, i - base);
    ensures before: virt_same{Pre, Post}(disk, 0, position);
    ensures after: virt_same{Pre, Post}(disk, position + count, disk->size);
    ensures hidden: unallocated{Pre}(disk, position, position + count) ==>
      virt_same{Pre, Post}(disk, position, position + count); // CON-04
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures image: \forall integer i; 0 <= i < disk->capacity && !(position <= i < position + count) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures backing: \forall integer i; 0 <= i ==> backing_at(disk, i) == \old(backing_at(disk, i));
*/
static void put_data(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    store_data(disk->image, position, count, buffer, base);
}

/* Makes a cluster visible in the image: one store of one byte. */
/*@ requires valid_disk(disk) && cluster / 8 < bitmap_bytes(disk->capacity, disk->cluster_size);
    terminates \true;
    assigns disk->bitmap[cluster / 8];
    ensures this: bit(disk->bitmap, cluster);
    ensures others: \forall integer k; 0 <= k < bits_of(disk) && k != cluster ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k))); // CON-07
    ensures elsewhere: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size != cluster ==>
      virt(disk, i) == \old(virt(disk, i));
    ensures here: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster ==>
      virt(disk, i) == disk->image[i];
    ensures image: \forall integer i; 0 <= i < disk->capacity ==> disk->image[i] == \old(disk->image[i]);
*/
static void allocate(struct addcow_ref *disk, uint64_t cluster)
{
    bit_set(disk->bitmap, cluster);
}

/* Gives the image the whole content of an unallocated cluster [start, end), the data included. Invisible. */
/*@ // WR-03, CON-04
    requires valid_disk(disk) && start <= position && position + count <= end <= disk->size;
    requires hidden: unallocated(disk, start, end);
    requires base <= position;
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      foreign(disk, (uint8_t *)buffer, position - base + count);
    terminates \true;
    assigns disk->image[start .. end - 1];
    ensures data: \forall integer i; position <= i < position + count ==>
      disk->image[i] == source{Pre}((uint8_t *)buffer, i - base);
    ensures elsewhere: \forall integer i; 0 <= i < disk->capacity && !(start <= i < end) ==>
      disk->image[i] == \old(disk->image[i]); // WR-05
    ensures head: \forall integer i; start <= i < position ==> disk->image[i] == backing_at(disk, i);
    ensures tail: \forall integer i; position + count <= i < end ==> disk->image[i] == backing_at(disk, i);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
static void fill_cluster(struct addcow_ref *disk, uint64_t start, uint64_t end, uint64_t position, uint64_t count,
                         const uint8_t *buffer, uint64_t base)
{
    copy_up(disk, start, position);
    //@ assert hidden1: unallocated(disk, start, end);
    //@ assert kept1: source_same{Pre, Here}((uint8_t *)buffer, position - base, position - base + count);
    copy_up(disk, position + count, end);
    //@ assert hidden2: unallocated(disk, start, end);
    //@ assert kept2: source_same{Pre, Here}((uint8_t *)buffer, position - base, position - base + count);
    //@ assert head2: \forall integer i; start <= i < position ==> disk->image[i] == backing_at(disk, i);
    //@ assert tail2: \forall integer i; position + count <= i < end ==> disk->image[i] == backing_at(disk, i);
    //@ assert invisible2: virt_same{Pre, Here}(disk, 0, disk->size);
    put_data(disk, position, count, buffer, base);
}

/* The cluster's bytes around the data come from the backing file, up to the end of the image. */
/*@ // WR-03, WR-04
    requires valid_disk(disk);
    requires 0 < count && position + count <= disk->size;
    requires one: \forall integer i; position <= i < position + count ==>
      i / disk->cluster_size == position / disk->cluster_size;
    requires base <= position;
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      foreign(disk, (uint8_t *)buffer, position - base + count);
    requires !allocated(disk, position / disk->cluster_size);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[(position / disk->cluster_size) / 8];
    ensures data: \forall integer i; position <= i < position + count ==>
      virt(disk, i) == source{Pre}((uint8_t *)buffer, i - base);
    ensures before: virt_same{Pre, Post}(disk, 0, position);
    ensures after: virt_same{Pre, Post}(disk, position + count, disk->size);
    ensures bit: disk->all_allocated == 0 ==> bit(disk->bitmap, position / disk->cluster_size);
    ensures bits: \forall integer k; 0 <= k < bits_of(disk) && k != position / disk->cluster_size ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
    ensures flag: disk->all_allocated != 0 ==> same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures image: \forall integer i; 0 <= i < disk->capacity &&
      i / disk->cluster_size != position / disk->cluster_size ==>
      disk->image[i] == \old(disk->image[i]); // WR-05
*/
static void write_unallocated(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer,
                              uint64_t base)
{
    uint64_t start = cluster_start(position, disk->cluster_size);
    uint64_t end = lesser(start + disk->cluster_size, disk->size);
    //@ assert last: (position + count - 1) / disk->cluster_size == position / disk->cluster_size;
    //@ assert room: position + count <= end;
    //@ assert hidden: unallocated(disk, start, end);
    fill_cluster(disk, start, end, position, count, buffer, base);
    //@ assert hidden_still: unallocated(disk, start, end);
    //@ assert head: \forall integer i; start <= i < position ==> virt(disk, i) == disk->image[i];
    //@ assert tail: \forall integer i; position + count <= i < end ==> virt(disk, i) == disk->image[i];
    /*@ assert outside: \forall integer i; 0 <= i < disk->size && !(start <= i < end) ==>
          i / disk->cluster_size != position / disk->cluster_size;
    */
    /*@ assert apart: \forall integer i; 0 <= i && i / disk->cluster_size != position / disk->cluster_size ==>
          !(start <= i < end);
    */
    //@ ghost Filled: ;
    allocate(disk, position / disk->cluster_size);
    //@ assert kept: \forall integer i; start <= i < end ==> disk->image[i] == \at(disk->image[i], Filled);
    //@ assert shown: \forall integer i; start <= i < end ==> virt(disk, i) == disk->image[i];
    //@ assert head_same: virt_same{Filled, Here}(disk, start, position);
    //@ assert tail_same: virt_same{Filled, Here}(disk, position + count, end);
    //@ assert before_same: virt_same{Filled, Here}(disk, 0, start);
    //@ assert past_same: virt_same{Filled, Here}(disk, end, disk->size);
}

/*@ requires valid_disk(disk);
    requires 0 < count && position + count <= disk->size;
    requires one: \forall integer i; position <= i < position + count ==>
      i / disk->cluster_size == position / disk->cluster_size;
    requires base <= position;
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      foreign(disk, (uint8_t *)buffer, position - base + count);
    requires allocated(disk, position / disk->cluster_size);
    terminates \true;
    assigns disk->image[position .. position + count - 1];
    ensures data: \forall integer i; position <= i < position + count ==>
      virt(disk, i) == source{Pre}((uint8_t *)buffer, i - base);
    ensures before: virt_same{Pre, Post}(disk, 0, position);
    ensures after: virt_same{Pre, Post}(disk, position + count, disk->size);
    ensures image: \forall integer i; 0 <= i < disk->capacity &&
      i / disk->cluster_size != position / disk->cluster_size ==>
      disk->image[i] == \old(disk->image[i]); // WR-05
*/
static void write_allocated(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer,
                            uint64_t base)
{
    //@ assert here: \forall integer i; position <= i < position + count ==> allocated(disk, i / disk->cluster_size);
    put_data(disk, position, count, buffer, base);
    //@ assert still: \forall integer i; position <= i < position + count ==> allocated(disk, i / disk->cluster_size);
}

/*@ requires valid_disk(disk);
    requires 0 < count && position + count <= disk->size;
    requires one: \forall integer i; position <= i < position + count ==>
      i / disk->cluster_size == position / disk->cluster_size;
    requires base <= position;
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      foreign(disk, (uint8_t *)buffer, position - base + count);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[(position / disk->cluster_size) / 8];
    ensures data: \forall integer i; position <= i < position + count ==>
      virt(disk, i) == source{Pre}((uint8_t *)buffer, i - base);
    ensures before: virt_same{Pre, Post}(disk, 0, position);
    ensures after: virt_same{Pre, Post}(disk, position + count, disk->size);
    ensures bit: disk->all_allocated == 0 ==> bit(disk->bitmap, position / disk->cluster_size);
    ensures bits: \forall integer k; 0 <= k < bits_of(disk) && k != position / disk->cluster_size ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
    ensures flag: disk->all_allocated != 0 ==> same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures image: \forall integer i; 0 <= i < disk->capacity &&
      i / disk->cluster_size != position / disk->cluster_size ==>
      disk->image[i] == \old(disk->image[i]); // WR-05
*/
static void write_part(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    if (is_allocated(disk, position / disk->cluster_size)) {
        write_allocated(disk, position, count, buffer, base);
    } else {
        write_unallocated(disk, position, count, buffer, base);
    }
}

/* Zeros if buffer is null. */
/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires buffer != \null ==> \valid_read(buffer + (0 .. length - 1)) && foreign(disk, (uint8_t *)buffer, length);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures data: \forall integer i; offset <= i < offset + length ==>
      virt(disk, i) == source{Pre}((uint8_t *)buffer, i - offset); // WR-01
    ensures before: virt_same{Pre, Post}(disk, 0, offset);
    ensures after: virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==> // WR-02
      \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: \forall integer i; 0 <= i < disk->capacity &&
      !meets(offset, length, disk->cluster_size, i / disk->cluster_size) ==>
      disk->image[i] == \old(disk->image[i]); // WR-05
*/
static void write_range(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer)
{
    uint64_t done = 0;
    /*@ loop invariant 0 <= done <= length;
        loop invariant valid: valid_disk(disk);
        loop invariant kept: \forall integer j; 0 <= j < length ==>
          source((uint8_t *)buffer, j) == source{Pre}((uint8_t *)buffer, j);
        loop invariant data:
          \forall integer i; offset <= i < offset + done ==>
            virt(disk, i) == source{Pre}((uint8_t *)buffer, i - offset);
        loop invariant before: virt_same{Pre, Here}(disk, 0, offset);
        loop invariant after: virt_same{Pre, Here}(disk, offset + done, disk->size);
        loop invariant bits: \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==>
          \at(bit(disk->bitmap, k), Pre) || (disk->all_allocated == 0 && meets(offset, done, disk->cluster_size, k)));
        loop invariant image: \forall integer i; 0 <= i < disk->capacity &&
          !meets(offset, done, disk->cluster_size, i / disk->cluster_size) ==>
          disk->image[i] == \at(disk->image[i], Pre);
        loop invariant edge: 0 < done < length ==>
          ((offset + done) / disk->cluster_size) * disk->cluster_size == offset + done;
        loop invariant previous: 0 < done < length ==>
          (offset + done - 1) / disk->cluster_size == (offset + done) / disk->cluster_size - 1;
        loop assigns done, disk->image[0 .. disk->size - 1],
          disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
        loop variant length - done;
    */
    while (done < length) {
        uint64_t count = part_length(offset + done, length - done, disk->cluster_size);
        /*@ assert byte: 0 <= ((offset + done) / disk->cluster_size) / 8 <
              bitmap_bytes(disk->capacity, disk->cluster_size);
        */
        write_part(disk, offset + done, count, buffer, offset);
        done += count;
    }
}

enum addcow_status addcow_ref_write(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer)
{
    if (!in_range(disk, offset, length)) {
        return ADDCOW_RANGE;
    }
    write_range(disk, offset, length, buffer);
    return ADDCOW_OK;
}

/* ZR-01 */
enum addcow_status addcow_ref_zero(struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    if (!in_range(disk, offset, length)) {
        return ADDCOW_RANGE;
    }
    write_range(disk, offset, length, 0);
    return ADDCOW_OK;
}

/* DC-01 */
enum addcow_status addcow_ref_discard(struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    return addcow_ref_zero(disk, offset, length);
}

/* ---- Map (MAP-01) ---- */

/* The bytes from `offset` to the first cluster of another status, but not past `end`. */
/*@ requires valid_disk(disk) && offset < end <= disk->size;
    terminates \true;
    assigns \nothing;
    ensures bounds: 1 <= \result <= end - offset;
    ensures status: \forall integer i; offset <= i < offset + \result ==>
      (allocated(disk, i / disk->cluster_size) <==> allocated(disk, offset / disk->cluster_size));
    ensures longest: offset + \result < end ==> // MAP-01
      !(allocated(disk, (offset + \result) / disk->cluster_size) <==> allocated(disk, offset / disk->cluster_size));
*/
static uint64_t run_length(const struct addcow_ref *disk, uint64_t offset, uint64_t end)
{
    int status = is_allocated(disk, offset / disk->cluster_size);
    uint64_t done = part_length(offset, end - offset, disk->cluster_size);
    /*@ loop invariant 0 < done <= end - offset;
        loop invariant status: \forall integer i; offset <= i < offset + done ==>
          (status == 1 <==> allocated(disk, i / disk->cluster_size));
        loop assigns done;
        loop variant end - offset - done;
    */
    while (done < end - offset && is_allocated(disk, (offset + done) / disk->cluster_size) == status) {
        done += part_length(offset + done, end - offset - done, disk->cluster_size);
    }
    return done;
}

enum addcow_status addcow_ref_map(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint32_t *allocated,
                                  uint64_t *run)
{
    if (!in_range(disk, offset, length)) {
        return ADDCOW_RANGE;
    }
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
/*@ requires valid_disk(disk) && size <= ADDCOW_SIZE_MAX;
    terminates \true;
    assigns \nothing;
    ensures value: \result == clusters(size, disk->cluster_size);
    ensures bound: \result <= size;
*/
static uint64_t first_past(const struct addcow_ref *disk, uint64_t size)
{
    return addcow_cluster_count(size, disk->cluster_size);
}

/* The number of bits that the bitmap of a disk of `size` has, those past the last cluster included. */
/*@ requires valid_disk(disk) && size <= disk->capacity;
    terminates \true;
    assigns \nothing;
    ensures value: \result == bit_count(size, disk->cluster_size);
    ensures enough: clusters(size, disk->cluster_size) <= \result <= bits_of(disk);
*/
static uint64_t bit_count(const struct addcow_ref *disk, uint64_t size)
{
    return 8 * addcow_bitmap_bytes(size, disk->cluster_size);
}

/* Allocates the cluster of `position`, copying up what the disk has of it. Invisible. */
/*@ requires valid_disk(disk) && position < disk->size;
    requires !allocated(disk, position / disk->cluster_size);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[(position / disk->cluster_size) / 8];
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bit: bit(disk->bitmap, position / disk->cluster_size);
    ensures bits: \forall integer k; 0 <= k < bits_of(disk) && k != position / disk->cluster_size ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
*/
static void allocate_cluster(struct addcow_ref *disk, uint64_t position)
{
    uint64_t start = cluster_start(position, disk->cluster_size);
    copy_up(disk, start, lesser(start + disk->cluster_size, disk->size));
    allocate(disk, position / disk->cluster_size);
}

/* Whether growth would show bytes of the backing file in the cluster that is the disk's last, partial one. */
/*@ // RSZ-03
    requires valid_disk(disk) && disk->size < disk->capacity;
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> disk->size % disk->cluster_size != 0 && disk->size < disk->backing_size &&
      !allocated(disk, disk->size / disk->cluster_size);
*/
static int grows_over_backing(const struct addcow_ref *disk)
{
    return disk->size % disk->cluster_size != 0 && disk->size < disk->backing_size &&
           !is_allocated(disk, disk->size / disk->cluster_size);
}

/* Allocates that cluster, so that the backing file stays hidden. */
/*@ // RSZ-03, RSZ-04
    requires valid_disk(disk) && disk->size < disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: \forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 &&
        disk->size < disk->backing_size && disk->size / disk->cluster_size <= k));
*/
static void allocate_boundary(struct addcow_ref *disk)
{
    if (grows_over_backing(disk)) {
        allocate_cluster(disk, disk->size - 1);
    }
}

/* How many clusters of the grown disk may not show the backing file, or all of them under "all allocated". */
/*@ // RSZ-03
    requires valid_disk(disk) && new_size <= disk->capacity;
    terminates \true;
    assigns \nothing;
    ensures value: \result == clusters(disk->all_allocated != 0 || new_size <= disk->backing_size ?
      new_size : disk->backing_size, disk->cluster_size);
*/
static uint64_t covered_clusters(const struct addcow_ref *disk, uint64_t new_size)
{
    return first_past(disk, disk->all_allocated ? new_size : lesser(new_size, disk->backing_size));
}

/* Bits [first, bits) become 1 below `covered`, else 0; the clusters are past the end of the disk, so nobody sees it. */
/*@ // BMP-05
    requires valid_disk(disk) && clusters(disk->size, disk->cluster_size) <= first <= bits <= bits_of(disk);
    terminates \true;
    assigns disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures below: same_bits{Pre, Post}(disk, 0, first);
    ensures new: \forall integer k; first <= k < bits ==> (bit(disk->bitmap, k) <==> k < covered);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void put_new_bits(struct addcow_ref *disk, uint64_t first, uint64_t bits, uint64_t covered)
{
    /*@ loop invariant first <= k <= bits;
        loop invariant valid_disk(disk);
        loop invariant below: same_bits{Pre, Here}(disk, 0, first);
        loop invariant new: \forall integer j; first <= j < k ==> (bit(disk->bitmap, j) <==> j < covered);
        loop assigns k, disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
        loop variant bits - k;
    */
    for (uint64_t k = first; k < bits; k++) {
        bit_put(disk->bitmap, k, k < covered);
    }
}

/* What extending the image file does: [from, to) of the image reads as zeros. */
/*@ requires valid_disk(disk) && disk->size <= from <= to <= disk->capacity;
    terminates \true;
    assigns disk->image[from .. to - 1];
    ensures zero: \forall integer i; from <= i < to ==> disk->image[i] == 0;
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
static void zero_image(struct addcow_ref *disk, uint64_t from, uint64_t to)
{
    /*@ loop invariant from <= i <= to;
        loop invariant zero: \forall integer j; from <= j < i ==> disk->image[j] == 0;
        loop invariant invisible: virt_same{Pre, Here}(disk, 0, disk->size);
        loop assigns i, disk->image[from .. to - 1];
        loop variant to - i;
    */
    for (uint64_t i = from; i < to; i++) {
        disk->image[i] = 0;
    }
}

/* Prepares growth: allocates what would show the backing file past the end, and gives the new clusters their bits. */
/*@ // RSZ-03, RSZ-04
    requires valid_disk(disk) && disk->size < new_size <= disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures hides: \forall integer i; disk->size <= i < new_size ==>
      allocated(disk, i / disk->cluster_size) || disk->backing_size <= i;
    ensures bits: \forall integer k; 0 <= k < clusters(new_size, disk->cluster_size) ==>
      (bit(disk->bitmap, k) <==> grown_bit{Pre}(disk, new_size, k));
*/
static void grow_bits(struct addcow_ref *disk, uint64_t new_size)
{
    allocate_boundary(disk);
    put_new_bits(disk, first_past(disk, disk->size), bit_count(disk, new_size), covered_clusters(disk, new_size));
    /*@ assert kept: \forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==>
          (bit(disk->bitmap, k) <==> grown_bit{Pre}(disk, new_size, k));
    */
    /*@ assert added: \forall integer k; clusters(disk->size, disk->cluster_size) <= k &&
          k < clusters(new_size, disk->cluster_size) ==>
          (bit(disk->bitmap, k) <==> grown_bit{Pre}(disk, new_size, k));
    */
    /*@ assert shown: \forall integer i; disk->size <= i < new_size ==>
          0 <= i / disk->cluster_size < clusters(new_size, disk->cluster_size);
    */
    /*@ assert met: \forall integer i; disk->size <= i < new_size && i < disk->backing_size ==>
          meets(disk->size, \min(new_size, disk->backing_size) - disk->size, disk->cluster_size,
            i / disk->cluster_size);
    */
}

/* The disk has its new size only when all that it will show is in place. */
/*@ // RSZ-02, RSZ-03, RSZ-04, RSZ-06
    requires valid_disk(disk) && \valid(disk) && disk->size < new_size <= disk->capacity;
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures size: disk->size == new_size;
    ensures kept: virt_same{Pre, Post}(disk, 0, \old(disk->size));
    ensures zero: \forall integer i; \old(disk->size) <= i < new_size ==> virt(disk, i) == 0;
    ensures bits: \forall integer k; 0 <= k < clusters(new_size, disk->cluster_size) ==> (bit(disk->bitmap, k) <==>
      grown_bit{Pre}(disk, new_size, k));
*/
static void grow(struct addcow_ref *disk, uint64_t new_size)
{
    grow_bits(disk, new_size);
    zero_image(disk, disk->size, new_size);
    //@ assert kept: virt_same{Pre, Here}(disk, 0, disk->size);
    //@ assert zero: \forall integer i; disk->size <= i < new_size ==> virt(disk, i) == 0;
    disk->size = new_size;
}

/* The disk is cut first; then the bits past its end no longer matter, and are cleared. */
/*@ // RSZ-05, BMP-05
    requires valid_disk(disk) && \valid(disk) && new_size < disk->size;
    terminates \true;
    assigns disk->size, disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures size: disk->size == new_size;
    ensures kept: virt_same{Pre, Post}(disk, 0, new_size);
    ensures bits: same_bits{Pre, Post}(disk, 0, clusters(new_size, disk->cluster_size));
    ensures past: \forall integer k; clusters(new_size, disk->cluster_size) <= k <
      bit_count(\old(disk->size), disk->cluster_size) ==> !bit(disk->bitmap, k);
*/
static void shrink(struct addcow_ref *disk, uint64_t new_size)
{
    uint64_t bits = bit_count(disk, disk->size);
    disk->size = new_size;
    put_new_bits(disk, first_past(disk, new_size), bits, 0);
}

enum addcow_status addcow_ref_resize(struct addcow_ref *disk, uint64_t new_size)
{
    if (new_size > ADDCOW_SIZE_MAX) { /* RSZ-09 */
        return ADDCOW_RANGE;
    }
    if (new_size > disk->capacity) {
        return ADDCOW_NOSPACE;
    }
    if (new_size > disk->size) {
        grow(disk, new_size);
    } else if (new_size < disk->size) {
        shrink(disk, new_size);
    }
    return ADDCOW_OK;
}

/* ---- Stream (section 9) ---- */

/* Makes one cluster's bit 1. Under "all allocated" the image is the disk already; only the bit is missing (VRT-05). */
/*@ // STR-01, STR-03
    requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[cluster / 8];
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bit: bit(disk->bitmap, cluster);
    ensures others: \forall integer k; 0 <= k < bits_of(disk) && k != cluster ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
*/
static void stream_cluster(struct addcow_ref *disk, uint64_t cluster)
{
    if (disk->all_allocated) {
        allocate(disk, cluster);
    } else if (!is_allocated(disk, cluster)) {
        allocate_cluster(disk, cluster_offset(disk, cluster));
    }
}

void addcow_ref_stream(struct addcow_ref *disk, uint32_t flag)
{
    uint64_t clusters = first_past(disk, disk->size);
    /*@ loop invariant 0 <= k <= clusters;
        loop invariant valid: valid_disk(disk);
        loop invariant invisible: virt_same{Pre, Here}(disk, 0, disk->size);
        loop invariant bits: \forall integer j; 0 <= j < k ==> bit(disk->bitmap, j);
        loop assigns k, disk->image[0 .. disk->size - 1],
          disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
        loop variant clusters - k;
    */
    for (uint64_t k = 0; k < clusters; k++) {
        stream_cluster(disk, k);
    }
    if (flag) {
        disk->all_allocated = 1;
    }
}

/* ---- Commit (section 9) ---- */

/*@ requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures yes: \result == 1 ==> \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster &&
      allocated(disk, cluster) ==> i < disk->backing_size;
    ensures no: \result == 0 ==> \exists integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster &&
      allocated(disk, cluster) && i >= disk->backing_size;
*/
static int cluster_reaches(const struct addcow_ref *disk, uint64_t cluster)
{
    uint64_t end = cluster_end(disk, cluster);
    //@ assert last: 0 <= end - 1 < disk->size && (end - 1) / disk->cluster_size == cluster;
    return !is_allocated(disk, cluster) || end <= disk->backing_size;
}

/* Whether the backing file reaches to the end of every allocated cluster. */
/*@ // CMT-02
    requires valid_disk(disk);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> backing_reaches(disk);
*/
static int backing_reaches(const struct addcow_ref *disk)
{
    uint64_t clusters = first_past(disk, disk->size);
    /*@ loop invariant 0 <= k <= clusters;
        loop invariant so_far: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size < k &&
          allocated(disk, i / disk->cluster_size) ==> i < disk->backing_size;
        loop assigns k;
        loop variant clusters - k;
    */
    for (uint64_t k = 0; k < clusters; k++) {
        if (!cluster_reaches(disk, k)) {
            return 0;
        }
    }
    return 1;
}

/* Copies an allocated cluster into the backing file. Invisible, as the cluster is read from the image. */
/*@ // CMT-01
    requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
    requires allocated(disk, cluster) && backing_reaches(disk);
    terminates \true;
    assigns disk->backing[0 .. disk->backing_size - 1];
    ensures copied: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster ==>
      disk->backing[i] == disk->image[i];
    ensures others: \forall integer i; 0 <= i < disk->backing_size && !(i < disk->size &&
      i / disk->cluster_size == cluster) ==>
      disk->backing[i] == \old(disk->backing[i]);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void commit_cluster(struct addcow_ref *disk, uint64_t cluster)
{
    uint64_t start = cluster_offset(disk, cluster);
    uint64_t end = cluster_end(disk, cluster);
    //@ assert inside: \forall integer i; start <= i < end ==> i / disk->cluster_size == cluster;
    //@ assert last: (end - 1) / disk->cluster_size == cluster;
    //@ assert reached: end <= disk->backing_size;
    /*@ assert others: \forall integer i; 0 <= i < disk->size && !allocated(disk, i / disk->cluster_size) ==>
          !(start <= i < end);
    */
    //@ assert within: \forall integer i; start <= i < end ==> i < disk->backing_size;
    /*@ loop invariant start <= i <= end;
        loop invariant copied: \forall integer j; start <= j < i ==> disk->backing[j] == disk->image[j];
        loop assigns i, disk->backing[start .. end - 1];
        loop variant end - i;
    */
    for (uint64_t i = start; i < end; i++) {
        disk->backing[i] = disk->image[i];
    }
}

/* Copies a cluster if it is allocated; what stood in the backing file of other allocated clusters still does. */
/*@ // CMT-01
    requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size) && backing_reaches(disk);
    terminates \true;
    assigns disk->backing[0 .. disk->backing_size - 1];
    ensures copied: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster &&
      allocated(disk, cluster) ==> disk->backing[i] == disk->image[i];
    ensures others: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size != cluster &&
      allocated(disk, i / disk->cluster_size) && \old(disk->backing[i] == disk->image[i]) ==>
      disk->backing[i] == disk->image[i];
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void commit_if_allocated(struct addcow_ref *disk, uint64_t cluster)
{
    if (is_allocated(disk, cluster)) {
        commit_cluster(disk, cluster);
    }
}

/* Copies every allocated cluster. After it, what is allocated stands in the backing file too. */
/*@ // CMT-01, CMT-03
    requires valid_disk(disk) && backing_reaches(disk);
    terminates \true;
    assigns disk->backing[0 .. disk->backing_size - 1];
    ensures copied: committed(disk);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void commit_clusters(struct addcow_ref *disk)
{
    uint64_t clusters = first_past(disk, disk->size);
    /*@ loop invariant 0 <= k <= clusters;
        loop invariant valid: valid_disk(disk);
        loop invariant reached: backing_reaches(disk);
        loop invariant copied: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size < k &&
          allocated(disk, i / disk->cluster_size) ==> disk->backing[i] == disk->image[i];
        loop invariant invisible: virt_same{Pre, Here}(disk, 0, disk->size);
        loop assigns k, disk->backing[0 .. disk->backing_size - 1];
        loop variant clusters - k;
    */
    for (uint64_t k = 0; k < clusters; k++) {
        commit_if_allocated(disk, k);
    }
}

/* Clears all bits. Invisible when all that is allocated stands in the backing file: each byte cleared leaves it so. */
/*@ // CMT-01, CMT-03
    requires valid_disk(disk) && disk->all_allocated == 0 && committed(disk) && backing_reaches(disk);
    terminates \true;
    assigns disk->bitmap[0 .. bitmap_bytes(disk->size, disk->cluster_size) - 1];
    ensures clear: \forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void clear_bits(struct addcow_ref *disk)
{
    uint64_t bytes = addcow_bitmap_bytes(disk->size, disk->cluster_size);
    /*@ loop invariant 0 <= i <= bytes;
        loop invariant valid: valid_disk(disk);
        loop invariant clear: \forall integer j; 0 <= j < i ==> disk->bitmap[j] == 0;
        loop invariant rest: \forall integer j; i <= j < bytes ==> disk->bitmap[j] == \at(disk->bitmap[j], Pre);
        loop invariant invisible: virt_same{Pre, Here}(disk, 0, disk->size);
        loop assigns i, disk->bitmap[0 .. bytes - 1];
        loop variant bytes - i;
    */
    for (uint64_t i = 0; i < bytes; i++) {
        disk->bitmap[i] = 0;
    }
}

/* Makes the bits count again. Invisible: what had no bit is read from the backing file, which is the same by now. */
/*@ // CMT-01, CMT-03
    requires valid_disk(disk) && \valid(disk) && committed(disk) && backing_reaches(disk);
    terminates \true;
    assigns disk->all_allocated;
    ensures flag: disk->all_allocated == 0;
    ensures committed: committed(disk);
    ensures reached: backing_reaches(disk);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void clear_flag(struct addcow_ref *disk)
{
    disk->all_allocated = 0;
}

/* Nothing is cleared before everything is copied. */
enum addcow_status addcow_ref_commit(struct addcow_ref *disk)
{
    if (!disk->has_backing) {
        return ADDCOW_UNSUPPORTED;
    }
    if (!backing_reaches(disk)) {
        return ADDCOW_RANGE;
    }
    commit_clusters(disk);
    clear_flag(disk);
    clear_bits(disk);
    return ADDCOW_OK;
}

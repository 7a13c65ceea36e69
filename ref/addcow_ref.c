/*
 * The disk in memory: requests (sections 5 to 7 of spec/add-cow.md).
 *
 * Every change of the disk is a sequence of elementary steps. A step changes bytes of the image that no one can see
 * (ref_copy_up), bytes of the image that are the data (put_data), one bit (ref_allocate), bytes of the backing file
 * under allocated clusters, or the size. The order of the steps makes a crash between any two of them harmless, and the
 * contract of each step says so: every byte of the disk has its old or its new value.
 *
 * The code is shaped for proof: division and remainder instead of shifts, one cluster at a time, small functions.
 */
#include "addcow_ref_parts.h"

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

/*@ requires \valid_read(bitmap + (k / 8));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: BMP_01: \result == 1 <==> bit(bitmap, k);
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

void ref_bit_put(uint8_t *bitmap, uint64_t k, int value)
{
    if (value) {
        bit_set(bitmap, k);
    } else {
        bit_clear(bitmap, k);
    }
}

/* ---- The disk (section 5) ---- */

uint64_t ref_lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t ref_cluster_start(uint64_t position, uint64_t cluster_size)
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
    return ref_lesser(ref_cluster_start(position, cluster_size) + cluster_size - position, left);
}

int ref_is_allocated(const struct addcow_ref *disk, uint64_t cluster)
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

/*@ requires valid_disk(disk);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> within(disk, offset, length);
*/
static int in_range(const struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
    return offset <= disk->size && length <= disk->size - offset;
}

/* ---- Read (RD-01) ---- */

/* Byte i of the disk, of a cluster whose status is known. */
/*@ requires valid_disk(disk) && i < disk->size;
    requires status: allocated == 1 <==> allocated(disk, i / disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures value: VRT_02: VRT_03: VRT_04: \result == virt(disk, i);
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
    int allocated = ref_is_allocated(disk, position / disk->cluster_size);
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

void ref_copy_up(struct addcow_ref *disk, uint64_t from, uint64_t to)
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
      virt_same{Pre, Post}(disk, position, position + count);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures image: \forall integer i; 0 <= i < disk->capacity && !(position <= i < position + count) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures backing: \forall integer i; 0 <= i ==> backing_at(disk, i) == \old(backing_at(disk, i));
*/
static void put_data(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    store_data(disk->image, position, count, buffer, base);
}

void ref_allocate(struct addcow_ref *disk, uint64_t cluster)
{
    bit_set(disk->bitmap, cluster);
}

/* Gives the image the whole content of an unallocated cluster [start, end), the data included. Invisible. */
/*@ requires valid_disk(disk) && start <= position && position + count <= end <= disk->size;
    requires hidden: unallocated(disk, start, end);
    requires base <= position;
    requires buffer != \null ==> \valid_read(buffer + (0 .. position - base + count - 1)) &&
      foreign(disk, (uint8_t *)buffer, position - base + count);
    terminates \true;
    assigns disk->image[start .. end - 1];
    ensures data: \forall integer i; position <= i < position + count ==>
      disk->image[i] == source{Pre}((uint8_t *)buffer, i - base);
    ensures elsewhere: WR_05: \forall integer i; 0 <= i < disk->capacity && !(start <= i < end) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures head: \forall integer i; start <= i < position ==> disk->image[i] == backing_at(disk, i);
    ensures tail: \forall integer i; position + count <= i < end ==> disk->image[i] == backing_at(disk, i);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
static void fill_cluster(struct addcow_ref *disk, uint64_t start, uint64_t end, uint64_t position, uint64_t count,
                         const uint8_t *buffer, uint64_t base)
{
    ref_copy_up(disk, start, position);
    //@ assert hidden1: unallocated(disk, start, end);
    //@ assert kept1: source_same{Pre, Here}((uint8_t *)buffer, position - base, position - base + count);
    ref_copy_up(disk, position + count, end);
    //@ assert hidden2: unallocated(disk, start, end);
    //@ assert kept2: source_same{Pre, Here}((uint8_t *)buffer, position - base, position - base + count);
    //@ assert head2: \forall integer i; start <= i < position ==> disk->image[i] == backing_at(disk, i);
    //@ assert tail2: \forall integer i; position + count <= i < end ==> disk->image[i] == backing_at(disk, i);
    //@ assert invisible2: virt_same{Pre, Here}(disk, 0, disk->size);
    put_data(disk, position, count, buffer, base);
}

/* The cluster's bytes around the data come from the backing file, up to the end of the image. */
/*@ requires valid_disk(disk);
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
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      i / disk->cluster_size != position / disk->cluster_size ==>
      disk->image[i] == \old(disk->image[i]);
*/
static void write_unallocated(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer,
                              uint64_t base)
{
    uint64_t start = ref_cluster_start(position, disk->cluster_size);
    uint64_t end = ref_lesser(start + disk->cluster_size, disk->size);
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
    ref_allocate(disk, position / disk->cluster_size);
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
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      i / disk->cluster_size != position / disk->cluster_size ==>
      disk->image[i] == \old(disk->image[i]);
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
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      i / disk->cluster_size != position / disk->cluster_size ==>
      disk->image[i] == \old(disk->image[i]);
*/
static void write_part(struct addcow_ref *disk, uint64_t position, uint64_t count, const uint8_t *buffer, uint64_t base)
{
    if (ref_is_allocated(disk, position / disk->cluster_size)) {
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
    ensures data: WR_01: \forall integer i; offset <= i < offset + length ==>
      virt(disk, i) == source{Pre}((uint8_t *)buffer, i - offset);
    ensures before: virt_same{Pre, Post}(disk, 0, offset);
    ensures after: virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: WR_02: \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==>
      \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      !meets(offset, length, disk->cluster_size, i / disk->cluster_size) ==>
      disk->image[i] == \old(disk->image[i]);
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
    ensures longest: MAP_01: offset + \result < end ==>
      !(allocated(disk, (offset + \result) / disk->cluster_size) <==> allocated(disk, offset / disk->cluster_size));
*/
static uint64_t run_length(const struct addcow_ref *disk, uint64_t offset, uint64_t end)
{
    int status = ref_is_allocated(disk, offset / disk->cluster_size);
    uint64_t done = part_length(offset, end - offset, disk->cluster_size);
    /*@ loop invariant 0 < done <= end - offset;
        loop invariant status: \forall integer i; offset <= i < offset + done ==>
          (status == 1 <==> allocated(disk, i / disk->cluster_size));
        loop assigns done;
        loop variant end - offset - done;
    */
    while (done < end - offset && ref_is_allocated(disk, (offset + done) / disk->cluster_size) == status) {
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
    *allocated = (uint32_t)ref_is_allocated(disk, offset / disk->cluster_size);
    *run = run_length(disk, offset, offset + length);
    return ADDCOW_OK;
}

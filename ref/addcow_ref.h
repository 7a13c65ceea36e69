/*
 * The oracle: a disk in memory with the semantics of sections 5 to 9 of spec/add-cow.md.
 *
 * Every other implementation is compared with it. Everything works on byte arrays that the caller owns. There is no
 * allocation, no I/O, no libc and no thread: the disk as mathematics.
 *
 * Thread-safety: functions that take a `const` pointer may run at once on the same object; others may not.
 */
#ifndef ADDCOW_REF_H
#define ADDCOW_REF_H

#include "addcow_header.h"

/* A disk in memory. The caller owns the arrays; none may overlap another. */
struct addcow_ref {
    uint8_t *image;         /* capacity bytes; bytes at or past size are not part of the disk */
    uint8_t *bitmap;        /* ceil(ceil(capacity / cluster_size) / 8) bytes */
    uint8_t *backing;       /* backing_size bytes; may be null if that is 0 */
    uint64_t size;          /* virtual size, at most capacity */
    uint64_t capacity;      /* the largest size that resize can reach, at most ADDCOW_SIZE_MAX */
    uint64_t backing_size;  /* bytes, at most ADDCOW_SIZE_MAX */
    uint64_t cluster_size;  /* bytes, a power of two, 4096..2097152 */
    uint32_t has_backing;   /* 0 or 1; 0 implies backing_size 0 */
    uint32_t all_allocated; /* 0 or 1 */
};

#ifdef __FRAMAC__
#include "addcow_disk_model.h"
#endif

/*
 * ---- Requests (section 6) ----
 *
 * Offsets and lengths are in bytes. Each function returns ADDCOW_OK, or ADDCOW_RANGE if the range is not within the
 * disk; then it has changed nothing.
 */

/* Reads `length` bytes into `buffer` (RD-01). */
/*@ requires valid_disk(disk);
    requires within(disk, offset, length) ==> \valid(buffer + (0 .. length - 1)) && foreign(disk, buffer, length);
    terminates \true;
    assigns buffer[0 .. length - 1];
    ensures class: REQ_01: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE);
    ensures data: RD_01: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> buffer[i - offset] == virt(disk, i);
    ensures refused: !within(disk, offset, length) ==>
      \forall integer k; 0 <= k < length ==> buffer[k] == \old(buffer[k]);
*/
enum addcow_status addcow_ref_read(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer);

/* Writes `length` bytes of `buffer` (WR-01). */
/*@ requires valid_disk(disk);
    requires within(disk, offset, length) && length > 0 ==>
      \valid_read(buffer + (0 .. length - 1)) && foreign(disk, (uint8_t *)buffer, length) && buffer != \null;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures class: REQ_01: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE);
    ensures data: WR_01: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> virt(disk, i) == \old(buffer[i - offset]);
    ensures before: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, 0, offset);
    ensures after: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: WR_02: REQ_02: MAP_02: within(disk, offset, length) ==>
      \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==>
        \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      !(within(disk, offset, length) && meets(offset, length, disk->cluster_size, i / disk->cluster_size)) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures refused: !within(disk, offset, length) ==>
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
enum addcow_status addcow_ref_write(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer);

/* Writes zeros (ZR-01). */
/*@ requires valid_disk(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures class: REQ_01: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE);
    ensures data: ZR_01: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> virt(disk, i) == 0;
    ensures before: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, 0, offset);
    ensures after: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: WR_02: REQ_02: MAP_02: within(disk, offset, length) ==>
      \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==>
        \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      !(within(disk, offset, length) && meets(offset, length, disk->cluster_size, i / disk->cluster_size)) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures refused: !within(disk, offset, length) ==>
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
enum addcow_status addcow_ref_zero(struct addcow_ref *disk, uint64_t offset, uint64_t length);

/* Writes zeros too (DC-01). */
/*@ requires valid_disk(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures class: REQ_01: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE);
    ensures data: DC_01: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> virt(disk, i) == 0;
    ensures before: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, 0, offset);
    ensures after: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: WR_02: REQ_02: MAP_02: within(disk, offset, length) ==>
      \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==>
        \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: WR_05: \forall integer i; 0 <= i < disk->capacity &&
      !(within(disk, offset, length) && meets(offset, length, disk->cluster_size, i / disk->cluster_size)) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures refused: !within(disk, offset, length) ==>
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
enum addcow_status addcow_ref_discard(struct addcow_ref *disk, uint64_t offset, uint64_t length);

/*
 * Sets *allocated to 0 or 1, and *run to the length in bytes of the longest run of that status in the range (MAP-01).
 */
/*@ requires valid_disk(disk) && \valid(allocated) && \valid(run) && \separated(allocated, disk) &&
  \separated(run, disk);
    requires \separated(allocated, run);
    terminates \true;
    assigns *allocated, *run;
    ensures class: REQ_01: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE);
    ensures bool: within(disk, offset, length) ==> *allocated == 0 || *allocated == 1;
    ensures empty: MAP_03: within(disk, offset, length) && length == 0 ==> *allocated == 0 && *run == 0;
    ensures bounds: within(disk, offset, length) && length > 0 ==> 1 <= *run <= length;
    ensures status: MAP_01: within(disk, offset, length) && length > 0 ==>
      \forall integer i; offset <= i < offset + *run ==>
        (*allocated == 1 <==> allocated(disk, i / disk->cluster_size));
    ensures longest: MAP_01: within(disk, offset, length) && *run < length ==>
      !(*allocated == 1 <==> allocated(disk, (offset + *run) / disk->cluster_size));
    ensures refused: !within(disk, offset, length) ==> *allocated == \old(*allocated) && *run == \old(*run);
*/
enum addcow_status addcow_ref_map(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint32_t *allocated,
                                  uint64_t *run);

/* ---- Whole-disk operations (sections 8 and 9) ---- */

/* Resizes to `new_size` bytes. ADDCOW_RANGE above ADDCOW_SIZE_MAX; ADDCOW_NOSPACE above the capacity. */
/*@ requires valid_disk(disk) && \valid(disk);
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity,
      disk->cluster_size) - 1];
    ensures class: RSZ_09: \result == (new_size > ADDCOW_SIZE_MAX ? ADDCOW_RANGE :
      new_size > disk->capacity ? ADDCOW_NOSPACE : ADDCOW_OK);
    ensures size: RSZ_01: \result == ADDCOW_OK ==> disk->size == new_size;
    ensures refused: RSZ_07: \result != ADDCOW_OK ==> disk->size == \old(disk->size) &&
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures kept: RSZ_02: RSZ_05: \result == ADDCOW_OK ==> virt_same{Pre, Post}(disk, 0, \min(new_size,
      \old(disk->size)));
    ensures zero: RSZ_02: RSZ_06: \result == ADDCOW_OK ==>
      \forall integer i; \old(disk->size) <= i < new_size ==> virt(disk, i) == 0;
    ensures grown: RSZ_03: \result == ADDCOW_OK && new_size > \old(disk->size) ==>
      \forall integer k; 0 <= k < clusters(new_size, disk->cluster_size) ==>
        (bit(disk->bitmap, k) <==> grown_bit{Pre}(disk, new_size, k));
    ensures shrunk: \result == ADDCOW_OK && new_size <= \old(disk->size) ==>
      same_bits{Pre, Post}(disk, 0, clusters(new_size, disk->cluster_size));
    ensures past: BMP_05: RSZ_05: \result == ADDCOW_OK && new_size != \old(disk->size) ==>
      \forall integer k; clusters(new_size, disk->cluster_size) <= k <
        bit_count(\max(new_size, \old(disk->size)), disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: \result == ADDCOW_OK ==> same_bits{Pre, Post}(disk,
      bit_count(\max(new_size, \old(disk->size)), disk->cluster_size), bits_of(disk));
    ensures idle: new_size == \old(disk->size) ==> same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures image: \forall integer i; \max(new_size, \old(disk->size)) <= i < disk->capacity ==>
      disk->image[i] == \old(disk->image[i]);
    ensures valid: valid_disk(disk);
*/
enum addcow_status addcow_ref_resize(struct addcow_ref *disk, uint64_t new_size);

/* Streams: allocates every cluster, then sets all_allocated if `flag` is 1 (r20; 0 for r9). */
/*@ requires valid_disk(disk) && \valid(disk) && flag <= 1;
    terminates \true;
    assigns disk->all_allocated, disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures same: STR_01: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: VRT_05: \forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==>
      bit(disk->bitmap, k);
    ensures past: BMP_05: same_bits{Pre, Post}(disk, clusters(disk->size, disk->cluster_size), bits_of(disk));
    ensures flag: STR_02: disk->all_allocated == (flag == 1 ? 1 : \old(disk->all_allocated));
    ensures image: STR_02: \forall integer i; 0 <= i < disk->size ==> virt(disk, i) == disk->image[i];
    ensures valid: valid_disk(disk);
*/
void addcow_ref_stream(struct addcow_ref *disk, uint32_t flag);

/* Commits into the backing file. ADDCOW_UNSUPPORTED without one, ADDCOW_RANGE if it is too short. */
/*@ requires valid_disk(disk) && \valid(disk);
    terminates \true;
    assigns disk->all_allocated, disk->backing[0 .. disk->backing_size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures alone: CMT_02: \result == ADDCOW_UNSUPPORTED <==> disk->has_backing == 0;
    ensures short_backing: CMT_02: \result == ADDCOW_RANGE <==>
      disk->has_backing != 0 && !backing_reaches{Pre}(disk);
    ensures done: \result == ADDCOW_OK <==> disk->has_backing != 0 && backing_reaches{Pre}(disk);
    ensures same: CMT_01: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures clear: CMT_01: \result == ADDCOW_OK ==> disk->all_allocated == 0 &&
      (\forall integer k; 0 <= k < bit_count(disk->size, disk->cluster_size) ==> !bit(disk->bitmap, k));
    ensures beyond: same_bits{Pre, Post}(disk, bit_count(disk->size, disk->cluster_size), bits_of(disk));
    ensures past: \forall integer i; disk->size <= i < disk->backing_size ==>
      disk->backing[i] == \old(disk->backing[i]);
    ensures backing: \result == ADDCOW_OK ==>
      \forall integer i; 0 <= i < disk->size && i < disk->backing_size ==> disk->backing[i] == virt(disk, i);
    ensures refused: \result != ADDCOW_OK ==> disk->all_allocated == \old(disk->all_allocated) &&
      same_bits{Pre, Post}(disk, 0, bits_of(disk)) &&
      (\forall integer i; 0 <= i < disk->backing_size ==> disk->backing[i] == \old(disk->backing[i]));
    ensures valid: valid_disk(disk);
*/
enum addcow_status addcow_ref_commit(struct addcow_ref *disk);

#endif

/*
 * What the contracts of the oracle speak about: the disk of sections 5 to 9 as logic. Only the prover reads this.
 *
 * The one meaning of a disk is `virt` (VRT-02); the contracts say of each operation what it does to that. Everything
 * is a definition. There is no axiom.
 */
#ifndef ADDCOW_DISK_MODEL_H
#define ADDCOW_DISK_MODEL_H

/*@
  // ---- The disk (section 5) ----

  logic integer tst(integer b, integer n) = b & (1 << n);
  predicate bitb(integer b, integer n) = tst(b, n) != 0;

  // BMP-01
  predicate bit{L}(uint8_t *bitmap, integer k) = bitb(bitmap[k / 8], k % 8);

  predicate allocated{L}(struct addcow_ref *d, integer k) = d->all_allocated != 0 || bit(d->bitmap, k);

  logic integer backing_at{L}(struct addcow_ref *d, integer i) = i < d->backing_size ? d->backing[i] : 0;

  // VRT-02, VRT-03, VRT-04: byte i of the disk
  logic integer virt{L}(struct addcow_ref *d, integer i) =
    d->all_allocated != 0 ? d->image[i] :
    tst(d->bitmap[(i / d->cluster_size) / 8], (i / d->cluster_size) % 8) != 0 ? d->image[i] : backing_at(d, i);

  predicate valid_disk{L}(struct addcow_ref *d) =
    \valid_read(d) && cluster_size_ok(d->cluster_size) &&
    d->size <= d->capacity <= ADDCOW_SIZE_MAX && d->backing_size <= ADDCOW_SIZE_MAX &&
    (d->has_backing == 0 ==> d->backing_size == 0) &&
    \valid(d->image + (0 .. d->capacity - 1)) &&
    \valid(d->bitmap + (0 .. bitmap_bytes(d->capacity, d->cluster_size) - 1)) &&
    \valid(d->backing + (0 .. d->backing_size - 1)) &&
    \separated(d, d->image + (0 .. d->capacity - 1)) &&
    \separated(d, d->bitmap + (0 .. bitmap_bytes(d->capacity, d->cluster_size) - 1)) &&
    \separated(d, d->backing + (0 .. d->backing_size - 1)) &&
    \separated(d->image + (0 .. d->capacity - 1),
               d->bitmap + (0 .. bitmap_bytes(d->capacity, d->cluster_size) - 1)) &&
    \separated(d->image + (0 .. d->capacity - 1), d->backing + (0 .. d->backing_size - 1)) &&
    \separated(d->bitmap + (0 .. bitmap_bytes(d->capacity, d->cluster_size) - 1),
               d->backing + (0 .. d->backing_size - 1));

  // The caller's buffer shares nothing with the disk.
  predicate foreign{L}(struct addcow_ref *d, uint8_t *buffer, integer length) =
    \separated(buffer + (0 .. length - 1), d) &&
    \separated(buffer + (0 .. length - 1), d->image + (0 .. d->capacity - 1)) &&
    \separated(buffer + (0 .. length - 1), d->bitmap + (0 .. bitmap_bytes(d->capacity, d->cluster_size) - 1)) &&
    \separated(buffer + (0 .. length - 1), d->backing + (0 .. d->backing_size - 1));

  // REQ-01
  predicate within{L}(struct addcow_ref *d, integer offset, integer length) = offset + length <= d->size;

  // What a request writes at byte i of the buffer: a null buffer is zeros.
  logic integer source{L}(uint8_t *buffer, integer i) = buffer == \null ? 0 : buffer[i];

  predicate source_same{L1, L2}(uint8_t *buffer, integer a, integer b) =
    \forall integer i; a <= i < b ==> source{L1}(buffer, i) == source{L2}(buffer, i);

  // The range [offset, offset + length) meets cluster k.
  predicate meets(integer offset, integer length, integer cluster, integer k) =
    length > 0 && offset / cluster <= k <= (offset + length - 1) / cluster;

  // Bytes [a, b) of the disk read the same.
  predicate virt_same{L1, L2}(struct addcow_ref *d, integer a, integer b) =
    \forall integer i; a <= i < b ==> \at(virt(d, i), L1) == \at(virt(d, i), L2);

  predicate unallocated{L}(struct addcow_ref *d, integer a, integer b) =
    \forall integer i; a <= i < b ==> !allocated(d, i / d->cluster_size);

  predicate same_bits{L1, L2}(struct addcow_ref *d, integer a, integer b) =
    \forall integer k; a <= k < b ==> (\at(bit(d->bitmap, k), L1) <==> \at(bit(d->bitmap, k), L2));

  logic integer bit_count(integer size, integer cluster) = 8 * bitmap_bytes(size, cluster);
  logic integer bits_of{L}(struct addcow_ref *d) = bit_count(d->capacity, d->cluster_size);

  // RSZ-03: whether cluster k has bit 1 after the disk grew to new_size
  predicate grown_bit{L}(struct addcow_ref *d, integer new_size, integer k) =
    (k < clusters(d->size, d->cluster_size) && bit(d->bitmap, k)) ||
    (d->all_allocated != 0 && k >= clusters(d->size, d->cluster_size)) ||
    (d->all_allocated == 0 && meets(d->size, \min(new_size, d->backing_size) - d->size, d->cluster_size, k));

  // CMT-02
  predicate backing_reaches{L}(struct addcow_ref *d) = \forall integer i;
    0 <= i < d->size && allocated(d, i / d->cluster_size) ==> i < d->backing_size;

  // What is allocated stands in the backing file too.
  predicate committed{L}(struct addcow_ref *d) = \forall integer i;
    0 <= i < d->size && allocated(d, i / d->cluster_size) ==> d->backing[i] == d->image[i];
*/

#endif

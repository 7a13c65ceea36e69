/*
 * Internal to the oracle: lemmas about clusters, and the functions that its parts share.
 *
 * The parts are addcow_ref.c (reading, writing, map) and addcow_ref_maintain.c (resize, stream, commit).
 */
#ifndef ADDCOW_REF_PARTS_H
#define ADDCOW_REF_PARTS_H

#include "addcow_ref.h"

/* ---- Arithmetic of clusters ---- */

/*
 * What the provers need to know about division by the cluster size. Each lemma is proved from those above it. No lemma
 * leads a prover to new numerators: with "(i - 1) / n == i / n" it would look at i - 2 next, and never end.
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

/*@ terminates \true;
    assigns \nothing;
    ensures value: \result == (a < b ? a : b);
*/
uint64_t ref_lesser(uint64_t a, uint64_t b);

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
uint64_t ref_cluster_start(uint64_t position, uint64_t cluster_size);

/* ---- The disk (section 5) ---- */

/*@ requires valid_disk(disk) && cluster / 8 < bitmap_bytes(disk->capacity, disk->cluster_size);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> allocated(disk, cluster);
*/
int ref_is_allocated(const struct addcow_ref *disk, uint64_t cluster);

/*@ requires \valid(bitmap + (k / 8));
    terminates \true;
    assigns bitmap[k / 8];
    ensures this: bit(bitmap, k) <==> value != 0;
    ensures others: \forall integer j; 0 <= j && j != k ==> (bit(bitmap, j) <==> \old(bit(bitmap, j)));
*/
void ref_bit_put(uint8_t *bitmap, uint64_t k, int value);

/* ---- Steps of writing (section 6) ---- */

/* Fills [from, to) of the image, in unallocated clusters, with what the disk reads as there. Invisible to readers. */
/*@ requires valid_disk(disk) && from <= to <= disk->size;
    requires hidden: unallocated(disk, from, to);
    terminates \true;
    assigns disk->image[from .. to - 1];
    ensures data: WR_03: \forall integer i; from <= i < to ==> disk->image[i] == backing_at(disk, i);
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
void ref_copy_up(struct addcow_ref *disk, uint64_t from, uint64_t to);

/* Sets the bit of a cluster, which is then read from the image: one store of one byte. */
/*@ requires valid_disk(disk) && cluster / 8 < bitmap_bytes(disk->capacity, disk->cluster_size);
    terminates \true;
    assigns disk->bitmap[cluster / 8];
    ensures this: bit(disk->bitmap, cluster);
    ensures others: \forall integer k; 0 <= k < bits_of(disk) && k != cluster ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
    ensures elsewhere: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size != cluster ==>
      virt(disk, i) == \old(virt(disk, i));
    ensures here: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster ==>
      virt(disk, i) == disk->image[i];
    ensures image: \forall integer i; 0 <= i < disk->capacity ==> disk->image[i] == \old(disk->image[i]);
*/
void ref_allocate(struct addcow_ref *disk, uint64_t cluster);

#endif

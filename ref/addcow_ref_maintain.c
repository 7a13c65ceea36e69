/*
 * Changes of the whole disk in memory: resize, stream and commit (sections 8 and 9 of spec/add-cow.md).
 *
 * They are built of the same steps as writing (addcow_ref.c), in an order that makes a crash between any two of them
 * harmless.
 */
#include "addcow_ref_parts.h"

/* ---- Where clusters lie ---- */

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

/* Where a cluster ends; the last one ends with the disk. */
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
    return ref_lesser(cluster_offset(disk, cluster) + disk->cluster_size, disk->size);
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
    uint64_t start = ref_cluster_start(position, disk->cluster_size);
    ref_copy_up(disk, start, ref_lesser(start + disk->cluster_size, disk->size));
    ref_allocate(disk, position / disk->cluster_size);
}

/* Whether growth would show bytes of the backing file in the last cluster, which is partial. */
/*@ requires valid_disk(disk) && disk->size < disk->capacity;
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> disk->size % disk->cluster_size != 0 && disk->size < disk->backing_size &&
      !allocated(disk, disk->size / disk->cluster_size);
*/
static int grows_over_backing(const struct addcow_ref *disk)
{
    return disk->size % disk->cluster_size != 0 && disk->size < disk->backing_size &&
           !ref_is_allocated(disk, disk->size / disk->cluster_size);
}

/* Allocates the last cluster if growth would show the backing file in it. */
/*@ requires valid_disk(disk) && disk->size < disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures bits: \forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 &&
        disk->size < disk->backing_size && disk->size / disk->cluster_size <= k));
    ensures past: same_bits{Pre, Post}(disk, clusters(disk->size, disk->cluster_size), bits_of(disk));
*/
static void allocate_boundary(struct addcow_ref *disk)
{
    if (grows_over_backing(disk)) {
        allocate_cluster(disk, disk->size - 1);
    }
}

/* How many clusters of the grown disk may not show the backing file, or all of them under "all allocated". */
/*@ requires valid_disk(disk) && new_size <= disk->capacity;
    terminates \true;
    assigns \nothing;
    ensures value: \result == clusters(disk->all_allocated != 0 || new_size <= disk->backing_size ?
      new_size : disk->backing_size, disk->cluster_size);
*/
static uint64_t covered_clusters(const struct addcow_ref *disk, uint64_t new_size)
{
    return first_past(disk, disk->all_allocated ? new_size : ref_lesser(new_size, disk->backing_size));
}

/* Bits [first, bits) become 1 below `covered`, else 0; the clusters are past the end of the disk, so nobody sees it. */
/*@ requires valid_disk(disk) && clusters(disk->size, disk->cluster_size) <= first <= bits <= bits_of(disk);
    terminates \true;
    assigns disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures below: same_bits{Pre, Post}(disk, 0, first);
    ensures new: \forall integer k; first <= k < bits ==> (bit(disk->bitmap, k) <==> k < covered);
    ensures beyond: same_bits{Pre, Post}(disk, bits, bits_of(disk));
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void put_new_bits(struct addcow_ref *disk, uint64_t first, uint64_t bits, uint64_t covered)
{
    /*@ loop invariant first <= k <= bits;
        loop invariant valid_disk(disk);
        loop invariant below: same_bits{Pre, Here}(disk, 0, first);
        loop invariant new: \forall integer j; first <= j < k ==> (bit(disk->bitmap, j) <==> j < covered);
        loop invariant beyond: same_bits{Pre, Here}(disk, k, bits_of(disk));
        loop assigns k, disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
        loop variant bits - k;
    */
    for (uint64_t k = first; k < bits; k++) {
        ref_bit_put(disk->bitmap, k, k < covered);
    }
}

/* Zeros [from, to) of the image, as extending the image file does. */
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

/* Prepares growth: allocates clusters that would show the backing file, and sets the bits of the new clusters. */
/*@ requires valid_disk(disk) && disk->size < new_size <= disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
    ensures hides: \forall integer i; disk->size <= i < new_size ==>
      allocated(disk, i / disk->cluster_size) || disk->backing_size <= i;
    ensures bits: \forall integer k; 0 <= k < clusters(new_size, disk->cluster_size) ==>
      (bit(disk->bitmap, k) <==> grown_bit{Pre}(disk, new_size, k));
    ensures past: \forall integer k;
      clusters(new_size, disk->cluster_size) <= k < bit_count(new_size, disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: same_bits{Pre, Post}(disk, bit_count(new_size, disk->cluster_size), bits_of(disk));
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

/* Changes the size last, when all bytes that it shows are in place. */
/*@ requires valid_disk(disk) && \valid(disk) && disk->size < new_size <= disk->capacity;
    terminates \true;
    assigns disk->size, disk->image[0 .. new_size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures size: disk->size == new_size;
    ensures kept: virt_same{Pre, Post}(disk, 0, \old(disk->size));
    ensures zero: \forall integer i; \old(disk->size) <= i < new_size ==> virt(disk, i) == 0;
    ensures bits: \forall integer k; 0 <= k < clusters(new_size, disk->cluster_size) ==> (bit(disk->bitmap, k) <==>
      grown_bit{Pre}(disk, new_size, k));
    ensures past: \forall integer k;
      clusters(new_size, disk->cluster_size) <= k < bit_count(new_size, disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: same_bits{Pre, Post}(disk, bit_count(new_size, disk->cluster_size), bits_of(disk));
*/
static void grow(struct addcow_ref *disk, uint64_t new_size)
{
    grow_bits(disk, new_size);
    zero_image(disk, disk->size, new_size);
    //@ assert kept: virt_same{Pre, Here}(disk, 0, disk->size);
    //@ assert zero: \forall integer i; disk->size <= i < new_size ==> virt(disk, i) == 0;
    disk->size = new_size;
}

/* Changes the size first; then the bits past the end have no meaning, and are cleared. */
/*@ requires valid_disk(disk) && \valid(disk) && new_size < disk->size;
    terminates \true;
    assigns disk->size, disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures size: disk->size == new_size;
    ensures kept: virt_same{Pre, Post}(disk, 0, new_size);
    ensures bits: same_bits{Pre, Post}(disk, 0, clusters(new_size, disk->cluster_size));
    ensures past: \forall integer k; clusters(new_size, disk->cluster_size) <= k <
      bit_count(\old(disk->size), disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: same_bits{Pre, Post}(disk, bit_count(\old(disk->size), disk->cluster_size), bits_of(disk));
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
/*@ requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
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
        ref_allocate(disk, cluster);
    } else if (!ref_is_allocated(disk, cluster)) {
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
        loop invariant past: same_bits{Pre, Here}(disk, clusters, bits_of(disk));
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
    return !ref_is_allocated(disk, cluster) || end <= disk->backing_size;
}

/* Whether the backing file reaches to the end of every allocated cluster. */
/*@ requires valid_disk(disk);
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
/*@ requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size);
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

/* Copies a cluster if it is allocated. Other allocated clusters that were copied before stay copied. */
/*@ requires valid_disk(disk) && cluster < clusters(disk->size, disk->cluster_size) && backing_reaches(disk);
    terminates \true;
    assigns disk->backing[0 .. disk->backing_size - 1];
    ensures copied: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size == cluster &&
      allocated(disk, cluster) ==> disk->backing[i] == disk->image[i];
    ensures others: \forall integer i; 0 <= i < disk->size && i / disk->cluster_size != cluster &&
      allocated(disk, i / disk->cluster_size) && \old(disk->backing[i] == disk->image[i]) ==>
      disk->backing[i] == disk->image[i];
    ensures past: \forall integer i; disk->size <= i < disk->backing_size ==>
      disk->backing[i] == \old(disk->backing[i]);
    ensures bits: same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures invisible: virt_same{Pre, Post}(disk, 0, disk->size);
*/
static void commit_if_allocated(struct addcow_ref *disk, uint64_t cluster)
{
    if (ref_is_allocated(disk, cluster)) {
        commit_cluster(disk, cluster);
    }
}

/* Copies every allocated cluster into the backing file. */
/*@ requires valid_disk(disk) && backing_reaches(disk);
    terminates \true;
    assigns disk->backing[0 .. disk->backing_size - 1];
    ensures copied: committed(disk);
    ensures past: \forall integer i; disk->size <= i < disk->backing_size ==>
      disk->backing[i] == \old(disk->backing[i]);
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
        loop invariant past: \forall integer i; disk->size <= i < disk->backing_size ==>
          disk->backing[i] == \at(disk->backing[i], Pre);
        loop invariant invisible: virt_same{Pre, Here}(disk, 0, disk->size);
        loop assigns k, disk->backing[0 .. disk->backing_size - 1];
        loop variant clusters - k;
    */
    for (uint64_t k = 0; k < clusters; k++) {
        commit_if_allocated(disk, k);
    }
}

/* Clears all bits, byte by byte. Invisible, as the backing file has the content of every allocated cluster. */
/*@ requires valid_disk(disk) && disk->all_allocated == 0 && committed(disk) && backing_reaches(disk);
    terminates \true;
    assigns disk->bitmap[0 .. bitmap_bytes(disk->size, disk->cluster_size) - 1];
    ensures clear: \forall integer k; 0 <= k < bit_count(disk->size, disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: same_bits{Pre, Post}(disk, bit_count(disk->size, disk->cluster_size), bits_of(disk));
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

/*
 * Clears "all allocated". Invisible: a cluster without a bit is read from the backing file, which is the same by now.
 */
/*@ requires valid_disk(disk) && \valid(disk) && committed(disk) && backing_reaches(disk);
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

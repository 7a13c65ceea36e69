/*
 * That the preconditions of the public contracts ask for no more than they say in words: each disk, buffer, file and
 * header of a caller satisfies them. Only the prover reads this; it is no part of the library.
 *
 * A predicate that asks for too much makes every proof easier and no proof fail. So each function here spells out what
 * callers know, without the predicates of the contracts, and promises the predicate. scripts/prove-contract-mutants
 * strengthens them one at a time, and expects that a promise is lost.
 */
#include "addcow_ref.h"

/* ---- Disks of every shape: any size, any cluster, with and without a backing file, empty ones too ---- */

/*@ requires \valid_read(disk);
    requires cluster: 4096 <= disk->cluster_size <= 2097152;
    requires sizes: disk->size <= disk->capacity && disk->capacity <= 0x4000000000000000;
    requires backing: disk->backing_size <= 0x4000000000000000 && (disk->has_backing == 0 ==> disk->backing_size == 0);
    requires image_bytes: disk->capacity > 0 ==> \valid(disk->image + (0 .. disk->capacity - 1));
    requires bitmap_bytes:
      \valid(disk->bitmap + (0 .. ((disk->capacity + disk->cluster_size - 1) / disk->cluster_size + 7) / 8 - 1));
    requires backing_bytes: \valid(disk->backing + (0 .. disk->backing_size - 1));
    requires disk_apart: \separated(disk, disk->image + (0 .. disk->capacity - 1));
    requires disk_apart_from_bitmap: \separated(disk,
      disk->bitmap + (0 .. ((disk->capacity + disk->cluster_size - 1) / disk->cluster_size + 7) / 8 - 1));
    requires disk_apart_from_backing: \separated(disk, disk->backing + (0 .. disk->backing_size - 1));
    requires image_apart: \separated(disk->image + (0 .. disk->capacity - 1),
      disk->bitmap + (0 .. ((disk->capacity + disk->cluster_size - 1) / disk->cluster_size + 7) / 8 - 1));
    requires image_apart_from_backing:
      \separated(disk->image + (0 .. disk->capacity - 1), disk->backing + (0 .. disk->backing_size - 1));
    requires bitmap_apart: \separated(disk->backing + (0 .. disk->backing_size - 1),
      disk->bitmap + (0 .. ((disk->capacity + disk->cluster_size - 1) / disk->cluster_size + 7) / 8 - 1));
    terminates \true;
    assigns \nothing;
    ensures valid: valid_disk(disk);
*/
void any_disk(const struct addcow_ref *disk)
{
}

/* A disk of the least cluster, in arrays of just that length, is one of them: the words above can be met. */
/*@ requires \valid(disk) && \valid(image + (0 .. 4095)) && \valid(bitmap);
    requires \separated(disk, image + (0 .. 4095)) && \separated(disk, bitmap);
    requires \separated(image + (0 .. 4095), bitmap);
    terminates \true;
    assigns *disk;
    ensures valid: valid_disk(disk);
*/
void smallest_disk(struct addcow_ref *disk, uint8_t *image, uint8_t *bitmap)
{
    disk->image = image;
    disk->bitmap = bitmap;
    disk->backing = image;
    disk->size = 1;
    disk->capacity = 4096;
    disk->backing_size = 0;
    disk->cluster_size = 4096;
    disk->has_backing = 0;
    disk->all_allocated = 0;
}

/*@ requires valid_disk(disk);
    requires apart: \separated(buffer + (0 .. length - 1), disk);
    requires image: \separated(buffer + (0 .. length - 1), disk->image + (0 .. disk->capacity - 1));
    requires bitmap: \separated(buffer + (0 .. length - 1), disk->bitmap +
      (0 .. ((disk->capacity + disk->cluster_size - 1) / disk->cluster_size + 7) / 8 - 1));
    requires backing: \separated(buffer + (0 .. length - 1), disk->backing + (0 .. disk->backing_size - 1));
    terminates \true;
    assigns \nothing;
    ensures foreign: foreign(disk, (uint8_t *)buffer, length);
*/
void any_buffer(const struct addcow_ref *disk, const uint8_t *buffer, uint64_t length)
{
}

/*@ requires offset + length <= disk->size;
    terminates \true;
    assigns \nothing;
    ensures within: within(disk, offset, length);
*/
void any_request(const struct addcow_ref *disk, uint64_t offset, uint64_t length)
{
}

/* ---- Headers ---- */

/* As addcow_header.h says, min(length, 2 MiB) bytes always suffice. */
/*@ requires bytes: \valid_read(file + (0 .. (length < 2097152 ? length : 2097152) - 1));
    terminates \true;
    assigns \nothing;
    ensures readable: readable((uint8_t *)file, length);
*/
void any_file(const uint8_t *file, uint64_t length)
{
}

/* What decode has accepted is a header that sizes can be computed with. */
/*@ requires bytes: \valid_read(file + (0 .. (length < 2097152 ? length : 2097152) - 1));
    requires \valid(header) && \separated(header, file + (0 .. 4095));
    terminates \true;
    assigns *header;
    ensures sane: \result == ADDCOW_RULE_NONE ==> sane_header(header);
*/
enum addcow_rule any_header(const uint8_t *file, uint64_t length, struct addcow_header *header)
{
    return addcow_decode(file, length, header);
}

/*@ requires 12 <= header->cluster_bits && header->cluster_bits <= 21 && header->header_size <= 2097152;
    requires header->layout == 20 || header->layout == 9;
    terminates \true;
    assigns \nothing;
    ensures sane: sane_header(header);
*/
void any_fields(const struct addcow_header *header)
{
}

/*@ requires \valid_read(backing_name + (0 .. header->backing_size - 1));
    requires \valid_read(image_name + (0 .. header->image_size - 1));
    requires \separated(header, out + (0 .. capacity - 1));
    requires \separated(backing_name + (0 .. header->backing_size - 1), out + (0 .. capacity - 1));
    requires \separated(image_name + (0 .. header->image_size - 1), out + (0 .. capacity - 1));
    terminates \true;
    assigns \nothing;
    ensures apart: apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
*/
void any_names(const struct addcow_header *header, const uint8_t *backing_name, const uint8_t *image_name, uint8_t *out,
               uint64_t capacity)
{
}

/* ---- Numbers ---- */

/*@ requires 4096 <= cluster_size && cluster_size <= 2097152;
    terminates \true;
    assigns \nothing;
    ensures ok: cluster_size_ok(cluster_size);
*/
void any_cluster(uint64_t cluster_size)
{
}

/*@ requires 12 <= cluster_bits && cluster_bits <= 21;
    terminates \true;
    assigns \nothing;
*/
uint64_t cluster_of_any_bits(uint32_t cluster_bits)
{
    return addcow_cluster_size(cluster_bits);
}

/*@ requires size <= 0x4000000000000000 && 4096 <= cluster_size && cluster_size <= 2097152;
    terminates \true;
    assigns \nothing;
*/
uint64_t clusters_of_any_size(uint64_t size, uint64_t cluster_size)
{
    return addcow_cluster_count(size, cluster_size);
}

/*@ requires size <= 0x4000000000000000 && 4096 <= cluster_size && cluster_size <= 2097152;
    terminates \true;
    assigns \nothing;
*/
uint64_t bitmap_of_any_size(uint64_t size, uint64_t cluster_size)
{
    return addcow_bitmap_bytes(size, cluster_size);
}

/*@ requires size <= 0x4000000000000000 && \valid_read(header) && 12 <= header->cluster_bits <= 21;
    requires header->header_size <= 2097152 && (header->layout == 20 || header->layout == 9);
    terminates \true;
    assigns \nothing;
*/
uint64_t file_of_any_size(const struct addcow_header *header, uint64_t size)
{
    return addcow_file_length(header, size);
}

/*@ requires rule <= ADDCOW_RULE_VIRTUAL_SIZE;
    terminates \true;
    assigns \nothing;
*/
enum addcow_status class_of_any_rule(enum addcow_rule rule)
{
    addcow_rule_clause(rule);
    return addcow_rule_status(rule);
}

/*@ requires status <= ADDCOW_BUSY;
    terminates \true;
    assigns \nothing;
*/
void name_of_any_class(enum addcow_status status)
{
    addcow_status_name(status);
}

/*
 * What a user of the engine relies on, proved from the public contracts alone. Only the prover reads this.
 *
 * A contract can be proved of its function and still say too little. Each function here calls one function of the
 * engine and promises what the caller wants to know of one byte, one cluster or one rule. The caller chooses which
 * (`at`, `k`), so the promise holds for each. scripts/prove-contract-mutants weakens the contracts clause by clause and
 * expects that a proof here, or in proofs/witness.c, is then lost.
 */
#include "addcow_ref.h"

/* ---- Errors ---- */

/*@ terminates \true;
    assigns \nothing;
    ensures ok: \result == ADDCOW_OK;
*/
enum addcow_status class_of_success(void)
{
    return addcow_rule_status(ADDCOW_RULE_NONE);
}

/*@ terminates \true;
    assigns \nothing;
    ensures unsupported: \result == ADDCOW_UNSUPPORTED;
*/
enum addcow_status class_of_features(void)
{
    return addcow_rule_status(ADDCOW_RULE_FEATURES);
}

/*@ terminates \true;
    assigns \nothing;
    ensures malformed: \result == ADDCOW_MALFORMED;
*/
enum addcow_status class_of_short_file(void)
{
    return addcow_rule_status(ADDCOW_RULE_LENGTH);
}

/*@ terminates \true;
    assigns \nothing;
*/
void texts(void)
{
    addcow_rule_clause(ADDCOW_RULE_LENGTH);
}

/*@ terminates \true;
    assigns \nothing;
*/
void names_of_classes(void)
{
    addcow_status_name(ADDCOW_BUSY);
}

/* ---- Header ---- */

/*@ requires readable(file, length) && length < 4096;
    requires \valid(header) && \separated(header, file + (0 .. 4095));
    terminates \true;
    assigns *header;
    ensures refused: \result == ADDCOW_RULE_LENGTH; // the rule itself, not only a refusal
    ensures alone: header->image_size == \old(header->image_size);
*/
enum addcow_rule decode_short(const uint8_t *file, uint64_t length, struct addcow_header *header)
{
    return addcow_decode(file, length, header);
}

/*@ // Of several broken rules, the one that stands first in the specification
    requires readable(file, length) && length >= 4096 && is_r20((uint8_t *)file);
    requires !hdr_03((uint8_t *)file) && !hdr_04((uint8_t *)file) && !hdr_10((uint8_t *)file);
    requires \valid(header) && \separated(header, file + (0 .. 4095));
    terminates \true;
    assigns *header;
    ensures first: \result == ADDCOW_RULE_FEATURES;
*/
enum addcow_rule decode_many_broken(const uint8_t *file, uint64_t length, struct addcow_header *header)
{
    //@ assert length: rule_holds((uint8_t *)file, length, ADDCOW_RULE_LENGTH);
    //@ assert magic: rule_holds((uint8_t *)file, length, ADDCOW_RULE_MAGIC);
    //@ assert features: !rule_holds((uint8_t *)file, length, ADDCOW_RULE_FEATURES);
    //@ assert layout: !is_r9((uint8_t *)file);
    return addcow_decode(file, length, header);
}

/*@ requires readable(file, length) && length < 4096;
    terminates \true;
    assigns \nothing;
    ensures broken: \result == 0;
*/
int judge_short(const uint8_t *file, uint64_t length)
{
    return addcow_header_rule_holds(file, length, ADDCOW_RULE_LENGTH);
}

/*@ requires readable(file, length) && length >= 4096;
    terminates \true;
    assigns \nothing;
    ensures holds: \result == 1;
*/
int judge_long(const uint8_t *file, uint64_t length)
{
    return addcow_header_rule_holds(file, length, ADDCOW_RULE_LENGTH);
}

/* ---- Sizes and opening ---- */

/*@ terminates \true;
    assigns \nothing;
    ensures size: \result == 65536;
*/
uint64_t default_cluster(void)
{
    return addcow_cluster_size(ADDCOW_CLUSTER_BITS_DEFAULT);
}

/*@ terminates \true;
    assigns \nothing;
    ensures two: \result == 2; // one byte more than a cluster
*/
uint64_t two_clusters(void)
{
    return addcow_cluster_count(65537, 65536);
}

/*@ terminates \true;
    assigns \nothing;
    ensures two: \result == 2; // nine clusters
*/
uint64_t two_bytes(void)
{
    return addcow_bitmap_bytes(9 * 65536, 65536);
}

/*@ requires \valid_read(header) && sane_header(header) && header->layout == ADDCOW_R9 && header->cluster_bits == 16;
    terminates \true;
    assigns \nothing;
    ensures exact: \result == header->header_size + 1;
*/
uint64_t length_r9(const struct addcow_header *header)
{
    return addcow_file_length(header, 1);
}

/*@ requires \valid_read(header) && sane_header(header) && header->layout == ADDCOW_R20 && header->cluster_bits == 16;
    terminates \true;
    assigns \nothing;
    ensures padded: \result == header->header_size + 65536;
*/
uint64_t length_r20(const struct addcow_header *header)
{
    return addcow_file_length(header, 1);
}

/*@ requires \valid_read(header) && sane_header(header);
    requires \valid_read(backing_name + (0 .. header->backing_size - 1));
    requires \valid_read(image_name + (0 .. header->image_size - 1));
    terminates \true;
    assigns \nothing;
    ensures length: \result == ADDCOW_RULE_NONE ==> file_length >= header->header_size;
    ensures image: \result == ADDCOW_RULE_NONE ==> text_raw((uint8_t *)header->image_format);
    ensures protocol: header->image_size > 0 && image_name[0] == ':' ==> \result == ADDCOW_RULE_NAME_PROTOCOL;
    ensures image_format: text_raw((uint8_t *)header->image_format) ==> \result != ADDCOW_RULE_IMAGE_FORMAT_RAW;
    ensures backing_format: header->backing_size == 0 ==> \result != ADDCOW_RULE_BACKING_FORMAT_KNOWN;
    ensures too_large: \result == ADDCOW_RULE_VIRTUAL_SIZE ==> image_length > ADDCOW_SIZE_MAX;
    ensures too_short: \result == ADDCOW_RULE_BITMAP_LENGTH ==> image_length <= ADDCOW_SIZE_MAX;
*/
enum addcow_rule open_disk(const struct addcow_header *header, const uint8_t *backing_name, const uint8_t *image_name,
                           uint64_t file_length, uint64_t image_length)
{
    return addcow_check_open(header, backing_name, image_name, file_length, image_length);
}

/*@ requires \valid_read(header) && sane_header(header);
    requires \valid_read(backing_name + (0 .. header->backing_size - 1));
    requires \valid_read(image_name + (0 .. header->image_size - 1));
    terminates \true;
    assigns \nothing;
    ensures refused: image_length > ADDCOW_SIZE_MAX ==> \result != ADDCOW_OK; // every answer has a class
*/
enum addcow_status class_of_open(const struct addcow_header *header, const uint8_t *backing_name,
                                 const uint8_t *image_name, uint64_t file_length, uint64_t image_length)
{
    return addcow_rule_status(addcow_check_open(header, backing_name, image_name, file_length, image_length));
}

/*@ requires \valid_read(header) && text_raw((uint8_t *)header->backing_format);
    terminates \true;
    assigns \nothing;
    ensures no: \result == 0;
*/
int raw_is_not_addcow(const struct addcow_header *header)
{
    return addcow_backing_is_addcow(header);
}

/*@ requires \valid_read(header) && text_addcow((uint8_t *)header->backing_format);
    terminates \true;
    assigns \nothing;
    ensures yes: \result == 1;
*/
int addcow_is_addcow(const struct addcow_header *header)
{
    return addcow_backing_is_addcow(header);
}

/* ---- Requests ---- */

/*@ requires valid_disk(disk) && within(disk, offset, length) && length > 0;
    requires \valid(buffer + (0 .. length - 1)) && foreign(disk, buffer, length) && offset <= at < offset + length;
    terminates \true;
    assigns buffer[0 .. length - 1];
    ensures ok: \result == ADDCOW_OK;
    ensures data: buffer[at - offset] == virt(disk, at);
*/
enum addcow_status read_inside(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                               uint64_t at)
{
    return addcow_ref_read(disk, offset, length, buffer);
}

/*@ requires valid_disk(disk) && !within(disk, offset, length) && \valid(buffer + (0 .. length - 1)) && at < length;
    terminates \true;
    assigns buffer[0 .. length - 1];
    ensures range: \result == ADDCOW_RANGE;
    ensures alone: buffer[at] == \old(buffer[at]);
*/
enum addcow_status read_outside(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                uint64_t at)
{
    return addcow_ref_read(disk, offset, length, buffer);
}

/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires \valid_read(buffer + (0 .. length - 1)) && foreign(disk, (uint8_t *)buffer, length) && buffer != \null;
    requires at < disk->size;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures ok: \result == ADDCOW_OK;
    ensures data: offset <= at < offset + length ==> virt(disk, at) == \old(buffer[at - offset]);
    ensures before: at < offset ==> virt(disk, at) == \old(virt(disk, at));
    ensures after: offset + length <= at ==> virt(disk, at) == \old(virt(disk, at));
*/
enum addcow_status write_inside(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer,
                                uint64_t at)
{
    return addcow_ref_write(disk, offset, length, buffer);
}

/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires \valid_read(buffer + (0 .. length - 1)) && foreign(disk, (uint8_t *)buffer, length) && buffer != \null;
    requires k < bits_of(disk) && at < disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures never_cleared: \old(bit(disk->bitmap, k)) ==> bit(disk->bitmap, k);
    ensures allocates: disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k) ==>
      bit(disk->bitmap, k);
    ensures no_other: !meets(offset, length, disk->cluster_size, k) && bit(disk->bitmap, k) ==>
      \old(bit(disk->bitmap, k));
    ensures image: !meets(offset, length, disk->cluster_size, at / disk->cluster_size) ==>
      disk->image[at] == \old(disk->image[at]);
*/
enum addcow_status write_allocates(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer,
                                   uint64_t k, uint64_t at)
{
    return addcow_ref_write(disk, offset, length, buffer);
}

/*@ requires valid_disk(disk) && !within(disk, offset, length) && at < disk->size && k < bits_of(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures range: \result == ADDCOW_RANGE;
    ensures same: virt(disk, at) == \old(virt(disk, at));
    ensures bits: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
*/
enum addcow_status write_outside(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer,
                                 uint64_t k, uint64_t at)
{
    return addcow_ref_write(disk, offset, length, buffer);
}

/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires at < disk->size;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures ok: \result == ADDCOW_OK;
    ensures data: offset <= at < offset + length ==> virt(disk, at) == 0;
    ensures before: at < offset ==> virt(disk, at) == \old(virt(disk, at));
    ensures after: offset + length <= at ==> virt(disk, at) == \old(virt(disk, at));
*/
enum addcow_status zero_inside(struct addcow_ref *disk, uint64_t offset, uint64_t length, uint64_t at)
{
    return addcow_ref_zero(disk, offset, length);
}

/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires k < bits_of(disk) && at < disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures never_cleared: \old(bit(disk->bitmap, k)) ==> bit(disk->bitmap, k);
    ensures allocates: disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k) ==>
      bit(disk->bitmap, k);
    ensures no_other: !meets(offset, length, disk->cluster_size, k) && bit(disk->bitmap, k) ==>
      \old(bit(disk->bitmap, k));
    ensures image: !meets(offset, length, disk->cluster_size, at / disk->cluster_size) ==>
      disk->image[at] == \old(disk->image[at]);
*/
enum addcow_status zero_allocates(struct addcow_ref *disk, uint64_t offset, uint64_t length, uint64_t k, uint64_t at)
{
    return addcow_ref_zero(disk, offset, length);
}

/*@ requires valid_disk(disk) && !within(disk, offset, length) && at < disk->size && k < bits_of(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures range: \result == ADDCOW_RANGE;
    ensures same: virt(disk, at) == \old(virt(disk, at));
    ensures bits: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
*/
enum addcow_status zero_outside(struct addcow_ref *disk, uint64_t offset, uint64_t length, uint64_t k, uint64_t at)
{
    return addcow_ref_zero(disk, offset, length);
}

/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires at < disk->size;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures ok: \result == ADDCOW_OK;
    ensures data: offset <= at < offset + length ==> virt(disk, at) == 0;
    ensures before: at < offset ==> virt(disk, at) == \old(virt(disk, at));
    ensures after: offset + length <= at ==> virt(disk, at) == \old(virt(disk, at));
*/
enum addcow_status discard_inside(struct addcow_ref *disk, uint64_t offset, uint64_t length, uint64_t at)
{
    return addcow_ref_discard(disk, offset, length);
}

/*@ requires valid_disk(disk) && within(disk, offset, length);
    requires k < bits_of(disk) && at < disk->capacity;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures never_cleared: \old(bit(disk->bitmap, k)) ==> bit(disk->bitmap, k);
    ensures allocates: disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k) ==>
      bit(disk->bitmap, k);
    ensures no_other: !meets(offset, length, disk->cluster_size, k) && bit(disk->bitmap, k) ==>
      \old(bit(disk->bitmap, k));
    ensures image: !meets(offset, length, disk->cluster_size, at / disk->cluster_size) ==>
      disk->image[at] == \old(disk->image[at]);
*/
enum addcow_status discard_allocates(struct addcow_ref *disk, uint64_t offset, uint64_t length, uint64_t k, uint64_t at)
{
    return addcow_ref_discard(disk, offset, length);
}

/*@ requires valid_disk(disk) && !within(disk, offset, length) && at < disk->size && k < bits_of(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures range: \result == ADDCOW_RANGE;
    ensures same: virt(disk, at) == \old(virt(disk, at));
    ensures bits: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
*/
enum addcow_status discard_outside(struct addcow_ref *disk, uint64_t offset, uint64_t length, uint64_t k, uint64_t at)
{
    return addcow_ref_discard(disk, offset, length);
}

/*@ requires valid_disk(disk) && \valid(allocated) && \valid(run) && \separated(allocated, disk) &&
      \separated(run, disk) && \separated(allocated, run);
    requires within(disk, offset, length) && length > 0;
    terminates \true;
    assigns *allocated, *run;
    ensures ok: \result == ADDCOW_OK;
    ensures bool: *allocated <= 1;
    ensures bounds: 1 <= *run <= length;
    ensures status: offset <= at < offset + *run ==> (*allocated == 1 <==> allocated(disk, at / disk->cluster_size));
    ensures longest: at == offset + *run && *run < length ==>
      !(*allocated == 1 <==> allocated(disk, at / disk->cluster_size));
*/
enum addcow_status map_inside(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint32_t *allocated,
                              uint64_t *run, uint64_t at)
{
    return addcow_ref_map(disk, offset, length, allocated, run);
}

/*@ requires valid_disk(disk) && \valid(allocated) && \valid(run) && \separated(allocated, disk) &&
      \separated(run, disk) && \separated(allocated, run);
    requires offset <= disk->size;
    terminates \true;
    assigns *allocated, *run;
    ensures nothing: *run == 0 && *allocated == 0;
*/
enum addcow_status map_empty(const struct addcow_ref *disk, uint64_t offset, uint32_t *allocated, uint64_t *run)
{
    return addcow_ref_map(disk, offset, 0, allocated, run);
}

/*@ requires valid_disk(disk) && \valid(allocated) && \valid(run) && \separated(allocated, disk) &&
      \separated(run, disk) && \separated(allocated, run);
    requires !within(disk, offset, length);
    terminates \true;
    assigns *allocated, *run;
    ensures range: \result == ADDCOW_RANGE;
    ensures alone: *allocated == \old(*allocated) && *run == \old(*run);
*/
enum addcow_status map_outside(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint32_t *allocated,
                               uint64_t *run)
{
    return addcow_ref_map(disk, offset, length, allocated, run);
}

/* ---- Whole-disk operations ---- */

/*@ requires valid_disk(disk) && \valid(disk) && new_size <= disk->capacity && at < new_size;
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures ok: \result == ADDCOW_OK;
    ensures size: disk->size == new_size;
    ensures kept: at < \old(disk->size) ==> virt(disk, at) == \old(virt(disk, at));
    ensures zero: at >= \old(disk->size) ==> virt(disk, at) == 0;
    ensures valid: valid_disk(disk);
*/
enum addcow_status resize_inside(struct addcow_ref *disk, uint64_t new_size, uint64_t at)
{
    return addcow_ref_resize(disk, new_size);
}

/*@ requires valid_disk(disk) && \valid(disk) && disk->size < new_size <= disk->capacity;
    requires 0 <= k < clusters(new_size, disk->cluster_size) && k < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures kept: \old(bit(disk->bitmap, k)) ==> bit(disk->bitmap, k);
*/
enum addcow_status resize_grows(struct addcow_ref *disk, uint64_t new_size, uint64_t k)
{
    return addcow_ref_resize(disk, new_size);
}

/*@ requires valid_disk(disk) && \valid(disk) && new_size <= disk->size;
    requires 0 <= k < clusters(new_size, disk->cluster_size);
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures kept: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
*/
enum addcow_status resize_shrinks(struct addcow_ref *disk, uint64_t new_size, uint64_t k)
{
    return addcow_ref_resize(disk, new_size);
}

/*@ // What is no part of the disk: bits past the last cluster, and bytes of the image past the end
    requires valid_disk(disk) && \valid(disk) && new_size <= disk->capacity && k < bits_of(disk);
    requires at < disk->capacity;
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures padding: new_size < \old(disk->size) && clusters(new_size, disk->cluster_size) <= k <
      bit_count(\old(disk->size), disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures new_padding: new_size > \old(disk->size) && clusters(new_size, disk->cluster_size) <= k <
      bit_count(new_size, disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: k >= bit_count(new_size, disk->cluster_size) &&
      k >= bit_count(\old(disk->size), disk->cluster_size) ==> (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
    ensures idle: new_size == \old(disk->size) ==> (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
    ensures image: at >= new_size && at >= \old(disk->size) ==> disk->image[at] == \old(disk->image[at]);
*/
enum addcow_status resize_past(struct addcow_ref *disk, uint64_t new_size, uint64_t k, uint64_t at)
{
    return addcow_ref_resize(disk, new_size);
}

/*@ requires valid_disk(disk) && \valid(disk) && disk->capacity < new_size <= ADDCOW_SIZE_MAX;
    requires at < disk->size && k < bits_of(disk);
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures no_space: \result == ADDCOW_NOSPACE;
    ensures size: disk->size == \old(disk->size);
    ensures same: virt(disk, at) == \old(virt(disk, at));
    ensures bits: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
*/
enum addcow_status resize_refused(struct addcow_ref *disk, uint64_t new_size, uint64_t k, uint64_t at)
{
    return addcow_ref_resize(disk, new_size);
}

/*@ requires valid_disk(disk) && \valid(disk) && flag <= 1 && at < disk->size;
    requires k < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns disk->all_allocated, disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures same: virt(disk, at) == \old(virt(disk, at));
    ensures image: disk->image[at] == \old(virt(disk, at)); // the image alone is the disk now
    ensures bits: bit(disk->bitmap, k);
    ensures flag: flag == 1 ==> disk->all_allocated == 1;
    ensures no_flag: flag == 0 ==> disk->all_allocated == \old(disk->all_allocated);
    ensures valid: valid_disk(disk);
*/
void stream(struct addcow_ref *disk, uint32_t flag, uint64_t k, uint64_t at)
{
    addcow_ref_stream(disk, flag);
}

/*@ requires valid_disk(disk) && \valid(disk) && flag <= 1;
    requires clusters(disk->size, disk->cluster_size) <= k < bits_of(disk);
    terminates \true;
    assigns disk->all_allocated, disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures past: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
*/
void stream_past(struct addcow_ref *disk, uint32_t flag, uint64_t k)
{
    addcow_ref_stream(disk, flag);
}

/*@ requires valid_disk(disk) && \valid(disk) && k < bits_of(disk);
    terminates \true;
    assigns disk->all_allocated, disk->backing[0 .. disk->backing_size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures padding: \result == ADDCOW_OK && k < bit_count(disk->size, disk->cluster_size) ==> !bit(disk->bitmap, k);
    ensures beyond: k >= bit_count(disk->size, disk->cluster_size) ==>
      (bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k)));
    ensures backing: disk->size <= at < disk->backing_size ==> disk->backing[at] == \old(disk->backing[at]);
*/
enum addcow_status commit_past(struct addcow_ref *disk, uint64_t k, uint64_t at)
{
    return addcow_ref_commit(disk);
}

/*@ requires valid_disk(disk) && \valid(disk) && disk->has_backing != 0 && backing_reaches(disk);
    requires at < disk->size && k < clusters(disk->size, disk->cluster_size);
    terminates \true;
    assigns disk->all_allocated, disk->backing[0 .. disk->backing_size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures ok: \result == ADDCOW_OK;
    ensures same: virt(disk, at) == \old(virt(disk, at));
    ensures backing: at < disk->backing_size ==> disk->backing[at] == virt(disk, at);
    ensures clear: disk->all_allocated == 0 && !bit(disk->bitmap, k);
    ensures valid: valid_disk(disk);
*/
enum addcow_status commit(struct addcow_ref *disk, uint64_t k, uint64_t at)
{
    return addcow_ref_commit(disk);
}

/*@ requires valid_disk(disk) && \valid(disk) && (disk->has_backing == 0 || !backing_reaches(disk));
    requires k < bits_of(disk);
    terminates \true;
    assigns disk->all_allocated, disk->backing[0 .. disk->backing_size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures alone: disk->has_backing == 0 ==> \result == ADDCOW_UNSUPPORTED;
    ensures short_backing: disk->has_backing != 0 ==> \result == ADDCOW_RANGE;
    ensures backing: at < disk->backing_size ==> disk->backing[at] == \old(disk->backing[at]);
    ensures bits: bit(disk->bitmap, k) <==> \old(bit(disk->bitmap, k));
    ensures all: disk->all_allocated == \old(disk->all_allocated);
*/
enum addcow_status commit_refused(struct addcow_ref *disk, uint64_t k, uint64_t at)
{
    return addcow_ref_commit(disk);
}

/*@
  lemma div_bounds: \forall integer i, n; 0 < n && 0 <= i ==> (i / n) * n <= i < (i / n) * n + n;
  lemma div_nonneg: \forall integer i, n; 0 < n && 0 <= i ==> 0 <= i / n <= i;
  lemma div_mono: \forall integer i, j, n; 0 < n && 0 <= i <= j ==> i / n <= j / n;
  lemma div_less: \forall integer i, c, n; 0 < n && 0 <= i && 0 <= c && i < c * n ==> i / n < c;
  lemma cluster_in_bitmap:
    \forall integer i, size, n; 0 < n && 0 <= i < size ==> 0 <= (i / n) / 8 < bitmap_bytes(size, n);
*/

/*@ requires valid_disk(disk) && within(disk, offset, 1) && \valid(buffer) && foreign(disk, buffer, 1);
    terminates \true;
    assigns *buffer;
    ensures data: *buffer == \old(virt(disk, offset));
*/
void read_byte(const struct addcow_ref *disk, uint64_t offset, uint8_t *buffer)
{
    addcow_ref_read(disk, offset, 1, buffer);
    //@ assert read: buffer[offset - offset] == virt(disk, offset);
    //@ assert bitmap: 0 <= (offset / disk->cluster_size) / 8 < bitmap_bytes(disk->capacity, disk->cluster_size);
    //@ assert same: virt(disk, offset) == \at(virt(disk, offset), Pre);
}

/*@ // What was written is read, into a buffer that is apart from the first
    requires valid_disk(disk) && within(disk, offset, 1) && \valid(back) && foreign(disk, back, 1);
    requires \valid_read(byte) && foreign(disk, (uint8_t *)byte, 1) && byte != \null;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1],
      *back;
    ensures back: *back == \old(*byte);
*/
void write_then_read(struct addcow_ref *disk, uint64_t offset, const uint8_t *byte, uint8_t *back)
{
    addcow_ref_write(disk, offset, 1, byte);
    //@ assert written: virt(disk, offset) == \at(byte[offset - offset], Pre);
    read_byte(disk, offset, back);
}

/*
 * The header codec: decodes, checks and encodes the metadata file's header (sections 2 to 4 of spec/add-cow.md).
 *
 * Everything works on bytes that the caller owns. There is no allocation, no I/O, no libc and no thread. The codec is
 * proven, and it is also the one that the production engine in fast/ uses.
 *
 * Thread-safety: functions that take a `const` pointer may run at once on the same object; others may not.
 */
#ifndef ADDCOW_HEADER_H
#define ADDCOW_HEADER_H

#include "addcow_format.h"

/* The contracts below are ACSL: they are comments for a compiler and sentences to prove for Frama-C. */
#ifdef __FRAMAC__
#include "addcow_model.h"
#endif

/* ---- Errors (section 12) ---- */

/* The class of a refusal for breaking `rule`. */
/*@ requires rule < ADDCOW_RULE_COUNT;
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_OK <==> rule == ADDCOW_RULE_NONE;
    // HDR-03, HR9-01, LNK-02, LNK-03, LNK-04, VRT-01 say `unsupported`; every other rule says `malformed`
    ensures unsupported: \result == ADDCOW_UNSUPPORTED <==> rule == ADDCOW_RULE_FEATURES ||
      rule == ADDCOW_RULE_R9_VERSION || rule == ADDCOW_RULE_NAME_PROTOCOL || rule == ADDCOW_RULE_IMAGE_FORMAT_RAW ||
      rule == ADDCOW_RULE_BACKING_FORMAT_KNOWN || rule == ADDCOW_RULE_VIRTUAL_SIZE;
    ensures classes: \result == ADDCOW_OK || \result == ADDCOW_MALFORMED || \result == ADDCOW_UNSUPPORTED;
*/
enum addcow_status addcow_rule_status(enum addcow_rule rule);

/* The clause's ID, such as "HDR-04": static storage. "" for ADDCOW_RULE_NONE. */
/*@ requires rule < ADDCOW_RULE_COUNT;
    terminates \true;
    assigns \nothing;
*/
const char *addcow_rule_clause(enum addcow_rule rule);

/* The class's name as the spec spells it, such as "malformed"; "ok" for ADDCOW_OK. Static storage. */
/*@ requires status <= ADDCOW_BUSY;
    terminates \true;
    assigns \nothing;
*/
const char *addcow_status_name(enum addcow_status status);

/* ---- Header (section 2) ---- */

/*
 * Decodes the header in the first bytes of a metadata file. `length` is the length of the whole file; `file` must hold
 * min(length, header_size) bytes at least, so min(length, 2 MiB) always suffices. Returns ADDCOW_RULE_NONE and fills
 * *header, or the first broken rule in the order of the spec and leaves *header alone.
 */
/*@ requires readable(file, length);
    requires \valid(header) && \separated(header, file + (0 .. 4095));
    terminates \true;
    assigns *header;
    ensures none: \result == ADDCOW_RULE_NONE <==> valid_header{Pre}(file, length);
    ensures first: \result != ADDCOW_RULE_NONE ==> first_broken{Pre}(file, length, \result);
    ensures fields: HDR_20: HR9_08: \result == ADDCOW_RULE_NONE ==> decodes_to{Pre, Post}(file, header);
    ensures alone: \result != ADDCOW_RULE_NONE ==> *header == \old(*header);
*/
enum addcow_rule addcow_decode(const uint8_t *file, uint64_t length, struct addcow_header *header);

/*
 * Whether one rule of sections 2.1 or 2.2 holds: 1 if it does, or if it cannot be judged because a rule that it builds
 * on is broken or belongs to the other layout; else 0. For checkers, which name every broken rule (CHK-01).
 */
/*@ requires readable(file, length);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: CHK_01: \result == 1 <==> rule_holds(file, length, rule);
*/
int addcow_header_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule);

/* Places the names, whose sizes and layout *header has, where a writer places them (HDR-22; of r9, section 2.2). */
/*@ requires \valid(header) && header->backing_size <= 2097152;
    terminates \true;
    assigns header->backing_offset, header->image_offset;
    ensures places: HDR_22: hdr_22(header);
*/
void addcow_place_names(struct addcow_header *header);

/*
 * Encodes a header: writes exactly header->header_size bytes to `out`, which has room for `capacity`. backing_name and
 * image_name hold backing_size and image_size bytes (backing_name may be null when there is none). Returns
 * ADDCOW_RULE_NONE, or the first rule in the order of the spec that the fields and names would break; then `out` is
 * unspecified. The names stay where *header says: addcow_place_names places those of a new header.
 */
/*@ requires \valid_read(header) && \valid(out + (0 .. capacity - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1];
    ensures valid: HDR_22: \result == ADDCOW_RULE_NONE ==> valid_header(out, capacity);
    ensures fields: HDR_21: \result == ADDCOW_RULE_NONE ==> decodes_to{Post, Pre}(out, header);
    ensures names: \result == ADDCOW_RULE_NONE ==>
      names_match{Post, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures complete: encodable{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity) ==>
      \result == ADDCOW_RULE_NONE;
    ensures first: \result != ADDCOW_RULE_NONE ==>
      first_not_kept{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity, \result);
*/
enum addcow_rule addcow_encode(const struct addcow_header *header, const uint8_t *backing_name,
                               const uint8_t *image_name, uint8_t *out, uint64_t capacity);

/* ---- Bitmap and opening rules on lengths (sections 3 to 5) ---- */

/* 2^cluster_bits, for cluster_bits in 12..21. */
/*@ requires 12 <= cluster_bits <= 21;
    terminates \true;
    assigns \nothing;
    ensures value: \result == cluster_of(cluster_bits);
    ensures bounds: cluster_size_ok(\result);
*/
uint64_t addcow_cluster_size(uint32_t cluster_bits);

/* ceil(size / cluster_size). size <= ADDCOW_SIZE_MAX. */
/*@ requires size <= ADDCOW_SIZE_MAX && cluster_size_ok(cluster_size);
    terminates \true;
    assigns \nothing;
    ensures value: BMP_02: \result == clusters(size, cluster_size);
    ensures bound: \result <= size;
*/
uint64_t addcow_cluster_count(uint64_t size, uint64_t cluster_size);

/* Bytes of bitmap that a disk of `size` needs: ceil(clusters / 8). */
/*@ requires size <= ADDCOW_SIZE_MAX && cluster_size_ok(cluster_size);
    terminates \true;
    assigns \nothing;
    ensures value: \result == bitmap_bytes(size, cluster_size);
    ensures bound: \result <= size;
*/
uint64_t addcow_bitmap_bytes(uint64_t size, uint64_t cluster_size);

/* The length that a writer gives the metadata file of a disk of `size` (BMP-04). */
/*@ requires \valid_read(header) && sane_header(header) && size <= ADDCOW_SIZE_MAX;
    terminates \true;
    assigns \nothing;
    ensures r9: BMP_04: header->layout == ADDCOW_R9 ==>
      \result == header->header_size + bitmap_bytes(size, cluster_of(header->cluster_bits));
    ensures r20: BMP_04: header->layout == ADDCOW_R20 ==> \result == header->header_size +
      clusters(bitmap_bytes(size, cluster_of(header->cluster_bits)), cluster_of(header->cluster_bits)) *
      cluster_of(header->cluster_bits);
*/
uint64_t addcow_file_length(const struct addcow_header *header, uint64_t size);

/*
 * The opening rules that need only a valid header, the names, and the lengths of the metadata and image file: LNK-02,
 * LNK-03, LNK-04, VRT-01, BMP-03, in this order. Returns ADDCOW_RULE_NONE or the first broken one.
 */
/*@ requires \valid_read(header) && sane_header(header);
    requires \valid_read(backing_name + (0 .. header->backing_size - 1));
    requires \valid_read(image_name + (0 .. header->image_size - 1));
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==>
      opens(header, (uint8_t *)backing_name, (uint8_t *)image_name, file_length, image_length);
    ensures LNK_02:
      \result == ADDCOW_RULE_NAME_PROTOCOL <==> !lnk_02(header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures LNK_03: \result == ADDCOW_RULE_IMAGE_FORMAT_RAW ==> !lnk_03(header);
    ensures LNK_04:
      \result == ADDCOW_RULE_BACKING_FORMAT_KNOWN ==> lnk_03(header) && !lnk_04(header);
    ensures VRT_01:
      \result == ADDCOW_RULE_VIRTUAL_SIZE ==> lnk_03(header) && lnk_04(header) && image_length > ADDCOW_SIZE_MAX;
    ensures BMP_03:
      \result == ADDCOW_RULE_BITMAP_LENGTH ==> lnk_03(header) && lnk_04(header) &&
      image_length <= ADDCOW_SIZE_MAX && !bmp_03(header, file_length, image_length);
    ensures codes: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_BITMAP_LENGTH <= \result < ADDCOW_RULE_COUNT;
*/
enum addcow_rule addcow_check_open(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint64_t file_length, uint64_t image_length);

/* 1 if the header's backing format is `add-cow`, 0 if it is anything else. */
/*@ requires \valid_read(header);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> text_addcow((uint8_t *)header->backing_format);
*/
int addcow_backing_is_addcow(const struct addcow_header *header);

#endif

/*
 * Internal to the header codec: offsets of the fields, and the functions that its parts share.
 *
 * The parts are addcow_header_bytes.c (numbers, copies, texts), addcow_header_rules.c (the rules of the spec),
 * addcow_header_encode.c, and addcow_header.c (everything else that addcow_header.h declares).
 */
#ifndef ADDCOW_HEADER_PARTS_H
#define ADDCOW_HEADER_PARTS_H

#include "addcow_header.h"

/* Offsets of the fields of r20 (section 2.1); that of the compatible features is public. */
#define BACKING_OFFSET 4
#define BACKING_SIZE 8
#define IMAGE_OFFSET 12
#define IMAGE_SIZE 16
#define CLUSTER_BITS 20
#define FEATURES 24
#define HEADER_SIZE 40
#define BACKING_FORMAT 44
#define IMAGE_FORMAT 60

/* What r9 has (section 2.2); the offsets of its names are public. */
#define R9_VERSION 8
#define R9_PADDING 2060
#define R9_CLUSTER_BITS 16

#define MAGIC_R20 0x574F4341u     /* "ACOW" as a little-endian number */
#define MAGIC_R9_LOW 0x5F444441u  /* "ADD_" */
#define MAGIC_R9_HIGH 0xFF574F43u /* "COW" and 0xFF */

/* ---- Numbers: addcow_header_bytes.c ---- */

/* Numbers are addressed by pointer and offset, as provers do not see that (p + 4)[1] is p[5]. */
/*@ requires at < 0x1008 && \valid_read(p + (at .. at + 3));
    terminates \true;
    assigns \nothing;
    ensures value: \result == le32(p, at);
*/
uint32_t codec_load32(const uint8_t *p, uint32_t at);

/*@ requires at < 0x1000 && \valid_read(p + (at .. at + 7));
    terminates \true;
    assigns \nothing;
    ensures value: \result == le64(p, at);
*/
uint64_t codec_load64(const uint8_t *p, uint32_t at);

/*@ requires at < 0x1008 && \valid(p + (at .. at + 3));
    terminates \true;
    assigns p[at .. at + 3];
    ensures value: le32(p, at) == value;
*/
void codec_store32(uint8_t *p, uint32_t at, uint32_t value);

/*@ requires at < 0x1000 && \valid(p + (at .. at + 7));
    terminates \true;
    assigns p[at .. at + 7];
    ensures value: le64(p, at) == value;
*/
void codec_store64(uint8_t *p, uint32_t at, uint64_t value);

/* ---- Copies and comparisons ---- */

/*@ requires \valid(to + (0 .. count - 1)) && \valid_read(from + (0 .. count - 1));
    requires \separated(to + (0 .. count - 1), from + (0 .. count - 1));
    terminates \true;
    assigns to[0 .. count - 1];
    ensures copied: \forall integer k; 0 <= k < count ==> to[k] == \old(from[k]);
*/
void codec_copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count);

/*@ requires from <= to && \valid(p + (from .. to - 1));
    terminates \true;
    assigns p[from .. to - 1];
    ensures zero: zeros(p, from, to);
*/
void codec_zero_bytes(uint8_t *p, uint32_t from, uint32_t to);

/*@ requires from <= to && \valid_read(p + (from .. to - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> zeros(p, from, to);
*/
int codec_all_zero(const uint8_t *p, uint32_t from, uint32_t to);

/*@ requires \valid_read(p + (0 .. count - 1)) && \valid_read(q + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> equal(p, q, count);
*/
int codec_same_bytes(const uint8_t *p, const uint8_t *q, uint32_t count);

/* ---- Texts ---- */

/*@ requires \valid_read(p + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> no_nul(p, count);
*/
int codec_has_no_nul(const uint8_t *p, uint32_t count);

/* Where a padded text ends. */
/*@ requires \valid_read(p + (0 .. count - 1));
    requires padded_text(p, count);
    terminates \true;
    assigns \nothing;
    ensures end: ends_at(p, count, \result);
*/
uint32_t codec_padded_length(const uint8_t *p, uint32_t count);

/* Whether there is a NUL among `count` bytes and nothing but zeros after the first one. */
/*@ requires \valid_read(p + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> padded_text(p, count);
*/
int codec_is_padded_text(const uint8_t *p, uint32_t count);

/*@ requires \valid_read(format + (0 .. 15));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> text_raw(format);
*/
int codec_is_raw(const uint8_t *format);

/* ---- Rules: addcow_header_rules.c ---- */

/*@ // HDR-01
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_01(length);
*/
int codec_long_enough(uint64_t length);

/*@ // HDR-02
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> is_r20(file);
*/
int codec_is_r20(const uint8_t *file);

/* Whether a name lies behind the fields and within the header: HDR-08, HDR-11. */
/*@ terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> in_header(offset, size, header_size);
*/
int codec_name_in_header(uint32_t offset, uint32_t size, uint32_t header_size);

/* The rules that must hold before the rest of the header can be read. */
/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> sized(file, length);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_FEATURES <= \result <= ADDCOW_RULE_HEADER_LENGTH;
    ensures HDR_03:
      (\result == ADDCOW_RULE_FEATURES ==> !hdr_03(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_FEATURES ==> hdr_03(file));
    ensures HDR_04:
      (\result == ADDCOW_RULE_CLUSTER_BITS ==> !hdr_04(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_CLUSTER_BITS ==> hdr_04(file));
    ensures HDR_05:
      (\result == ADDCOW_RULE_HEADER_SIZE ==> !hdr_05(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_HEADER_SIZE ==> hdr_05(file));
    ensures HDR_06:
      (\result == ADDCOW_RULE_HEADER_LENGTH ==> !hdr_06(file, length)) &&
      (\result == 0 || \result > ADDCOW_RULE_HEADER_LENGTH ==> hdr_06(file, length));
*/
enum addcow_rule codec_check_size(const uint8_t *file, uint64_t length);

/* The rules that come after those of codec_check_size. */
/*@ requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> (named(file) && filled(file));
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_BACKING_PRESENCE <= \result <= ADDCOW_RULE_NAMES_EQUAL;
    ensures HDR_07:
      (\result == ADDCOW_RULE_BACKING_PRESENCE ==> !hdr_07(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_PRESENCE ==> hdr_07(file));
    ensures HDR_08:
      (\result == ADDCOW_RULE_BACKING_RANGE ==> !hdr_08(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_RANGE ==> hdr_08(file));
    ensures HDR_09:
      (\result == ADDCOW_RULE_BACKING_NUL ==> !hdr_09(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_NUL ==> hdr_09(file));
    ensures HDR_10:
      (\result == ADDCOW_RULE_IMAGE_PRESENCE ==> !hdr_10(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_PRESENCE ==> hdr_10(file));
    ensures HDR_11:
      (\result == ADDCOW_RULE_IMAGE_RANGE ==> !hdr_11(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_RANGE ==> hdr_11(file));
    ensures HDR_12:
      (\result == ADDCOW_RULE_IMAGE_NUL ==> !hdr_12(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_NUL ==> hdr_12(file));
    ensures HDR_13:
      (\result == ADDCOW_RULE_NAMES_OVERLAP ==> !hdr_13(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_OVERLAP ==> hdr_13(file));
    ensures HDR_14:
      (\result == ADDCOW_RULE_BACKING_FORMAT ==> !hdr_14(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT ==> hdr_14(file));
    ensures HDR_15:
      (\result == ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> !hdr_15(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> hdr_15(file));
    ensures HDR_16:
      (\result == ADDCOW_RULE_IMAGE_FORMAT ==> !hdr_16(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT ==> hdr_16(file));
    ensures HDR_17:
      (\result == ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> !hdr_17(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> hdr_17(file));
    ensures HDR_18:
      (\result == ADDCOW_RULE_PADDING ==> !hdr_18(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_PADDING ==> hdr_18(file));
    ensures HDR_19:
      (\result == ADDCOW_RULE_NAMES_EQUAL ==> !hdr_19(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_EQUAL ==> hdr_19(file));
*/
enum addcow_rule codec_check_content(const uint8_t *file);

/*@ requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==>
      (hr9_01(file) && hr9_02(file) && hr9_03(file) && hr9_04(file) && hr9_05(file) && hr9_06(file) && hr9_07(file));
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_R9_VERSION <= \result <= ADDCOW_RULE_R9_NAMES_EQUAL;
    ensures HR9_01:
      (\result == ADDCOW_RULE_R9_VERSION ==> !hr9_01(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_VERSION ==> hr9_01(file));
    ensures HR9_02:
      (\result == ADDCOW_RULE_R9_BACKING_NUL ==> !hr9_02(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_BACKING_NUL ==> hr9_02(file));
    ensures HR9_03:
      (\result == ADDCOW_RULE_R9_BACKING_ABSENT ==> !hr9_03(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_BACKING_ABSENT ==> hr9_03(file));
    ensures HR9_04:
      (\result == ADDCOW_RULE_R9_IMAGE_NUL ==> !hr9_04(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_IMAGE_NUL ==> hr9_04(file));
    ensures HR9_05:
      (\result == ADDCOW_RULE_R9_IMAGE_ABSENT ==> !hr9_05(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_IMAGE_ABSENT ==> hr9_05(file));
    ensures HR9_06:
      (\result == ADDCOW_RULE_R9_PADDING ==> !hr9_06(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_PADDING ==> hr9_06(file));
    ensures HR9_07:
      (\result == ADDCOW_RULE_R9_NAMES_EQUAL ==> !hr9_07(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_NAMES_EQUAL ==> hr9_07(file));
*/
enum addcow_rule codec_check_r9(const uint8_t *file);

/*@ requires readable(file, length);
    terminates \true;
    assigns \nothing;
    ensures range: \result <= ADDCOW_RULE_R9_NAMES_EQUAL;
    ensures none: \result == ADDCOW_RULE_NONE <==> valid_header(file, length);
    ensures first: \result != ADDCOW_RULE_NONE ==> first_broken(file, length, \result);
*/
enum addcow_rule codec_check_header(const uint8_t *file, uint64_t length);

#endif

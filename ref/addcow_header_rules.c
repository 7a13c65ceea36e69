/*
 * The rules that a header must keep: section 2 of spec/add-cow.md.
 *
 * A rule of the spec is one small function that looks at the header's bytes and says whether the rule holds. The
 * functions that have `check` in their names ask these in the order of the spec and return the first broken rule;
 * decode and encode use them. addcow_header_rule_holds judges each rule by itself, for checkers.
 */
#include "addcow_header_parts.h"

/* ---- The rules of both layouts: HDR-01, HDR-02 ---- */

int codec_long_enough(uint64_t length)
{
    return length >= ADDCOW_HEADER_MIN;
}

int codec_is_r20(const uint8_t *file)
{
    return codec_load32(file, 0) == MAGIC_R20;
}

/*@ // HDR-02
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> is_r9(file);
*/
static int is_r9(const uint8_t *file)
{
    return codec_load32(file, 0) == MAGIC_R9_LOW && codec_load32(file, 4) == MAGIC_R9_HIGH;
}

/* ---- The rules of r20 (section 2.1) ---- */

/*@ // HDR-03
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_03(file);
*/
static int features_known(const uint8_t *file)
{
    return codec_load64(file, FEATURES) == 0;
}

/*@ // HDR-04
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_04(file);
*/
static int cluster_bits_valid(const uint8_t *file)
{
    uint32_t bits = codec_load32(file, CLUSTER_BITS);
    return bits >= ADDCOW_CLUSTER_BITS_MIN && bits <= ADDCOW_CLUSTER_BITS_MAX;
}

/* HDR-05, for valid cluster_bits. As a cluster has at least 4096 bytes, the maximum is the cluster size. */
/*@ // HDR-05
    requires \valid_read(file + (0 .. 75));
    requires hdr_04(file);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_05(file);
*/
static int header_size_valid(const uint8_t *file)
{
    return codec_load32(file, HEADER_SIZE) == addcow_cluster_size(codec_load32(file, CLUSTER_BITS));
}

/*@ // HDR-06
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_06(file, length);
*/
static int header_complete(const uint8_t *file, uint64_t length)
{
    return length >= codec_load32(file, HEADER_SIZE);
}

/*@ // HDR-07
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_07(file);
*/
static int backing_presence_valid(const uint8_t *file)
{
    return (codec_load32(file, BACKING_OFFSET) == 0) == (codec_load32(file, BACKING_SIZE) == 0);
}

int codec_name_in_header(uint32_t offset, uint32_t size, uint32_t header_size)
{
    return offset >= ADDCOW_NAMES_OFFSET && offset <= header_size && size <= header_size - offset;
}

/*@ // HDR-08
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_08(file);
*/
static int backing_range_valid(const uint8_t *file)
{
    uint32_t size = codec_load32(file, BACKING_SIZE);
    return size == 0 || codec_name_in_header(codec_load32(file, BACKING_OFFSET), size, codec_load32(file, HEADER_SIZE));
}

/* HDR-09, for a name within the header */
/*@ // HDR-09
    requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires hdr_08(file);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_09(file);
*/
static int backing_text_valid(const uint8_t *file)
{
    return codec_has_no_nul(file + codec_load32(file, BACKING_OFFSET), codec_load32(file, BACKING_SIZE));
}

/*@ // HDR-10
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_10(file);
*/
static int image_present(const uint8_t *file)
{
    return codec_load32(file, IMAGE_OFFSET) != 0 && codec_load32(file, IMAGE_SIZE) != 0;
}

/*@ // HDR-11
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_11(file);
*/
static int image_range_valid(const uint8_t *file)
{
    return codec_name_in_header(codec_load32(file, IMAGE_OFFSET), codec_load32(file, IMAGE_SIZE),
                                codec_load32(file, HEADER_SIZE));
}

/* HDR-12, for a name within the header */
/*@ // HDR-12
    requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires hdr_11(file);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_12(file);
*/
static int image_text_valid(const uint8_t *file)
{
    return codec_has_no_nul(file + codec_load32(file, IMAGE_OFFSET), codec_load32(file, IMAGE_SIZE));
}

/* HDR-13, for names within the header. A missing backing name has offset and size 0 and shares nothing. */
/*@ // HDR-13
    requires \valid_read(file + (0 .. 75));
    requires size_known(file) && hdr_07(file) && hdr_08(file) && hdr_11(file);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_13(file);
*/
static int names_disjoint(const uint8_t *file)
{
    uint32_t backing = codec_load32(file, BACKING_OFFSET);
    uint32_t image = codec_load32(file, IMAGE_OFFSET);
    return backing + codec_load32(file, BACKING_SIZE) <= image || image + codec_load32(file, IMAGE_SIZE) <= backing;
}

/*@ // HDR-14
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_14(file);
*/
static int backing_format_valid(const uint8_t *file)
{
    return codec_is_padded_text(file + BACKING_FORMAT, ADDCOW_FORMAT_SIZE);
}

/*@ // HDR-15
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_15(file);
*/
static int backing_format_agrees(const uint8_t *file)
{
    return (file[BACKING_FORMAT] == 0) == (codec_load32(file, BACKING_SIZE) == 0);
}

/*@ // HDR-16
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_16(file);
*/
static int image_format_valid(const uint8_t *file)
{
    return codec_is_padded_text(file + IMAGE_FORMAT, ADDCOW_FORMAT_SIZE);
}

/*@ // HDR-17
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_17(file);
*/
static int image_format_present(const uint8_t *file)
{
    return file[IMAGE_FORMAT] != 0;
}

/*@ requires offset + size <= 0xFFFFFFFF;
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> in_name(position, offset, size);
*/
static int in_name(uint32_t position, uint32_t offset, uint32_t size)
{
    return position >= offset && position - offset < size;
}

/* HDR-18, for names within the header */
/*@ // HDR-18
    requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file) && hdr_08(file) && hdr_11(file);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_18(file);
*/
static int padding_zero(const uint8_t *file)
{
    uint32_t header_size = codec_load32(file, HEADER_SIZE);
    uint32_t backing_offset = codec_load32(file, BACKING_OFFSET);
    uint32_t backing_size = codec_load32(file, BACKING_SIZE);
    uint32_t image_offset = codec_load32(file, IMAGE_OFFSET);
    uint32_t image_size = codec_load32(file, IMAGE_SIZE);
    /*@ loop invariant 76 <= i <= header_size;
        loop invariant \forall integer k; 76 <= k < i && !in_name(k, backing_offset, backing_size) &&
          !in_name(k, image_offset, image_size) ==> file[k] == 0;
        loop assigns i;
        loop variant header_size - i;
    */
    for (uint32_t i = ADDCOW_NAMES_OFFSET; i < header_size; i++) {
        if (file[i] != 0 && !in_name(i, backing_offset, backing_size) && !in_name(i, image_offset, image_size)) {
            return 0;
        }
    }
    return 1;
}

/* HDR-19, for names within the header */
/*@ // HDR-19
    requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires hdr_08(file) && hdr_11(file);
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_19(file);
*/
static int names_differ(const uint8_t *file)
{
    uint32_t size = codec_load32(file, IMAGE_SIZE);
    return codec_load32(file, BACKING_SIZE) != size ||
           !codec_same_bytes(file + codec_load32(file, BACKING_OFFSET), file + codec_load32(file, IMAGE_OFFSET), size);
}

/* ---- The rules of r9 (section 2.2) ---- */

/*@ // HR9-01
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_01(file);
*/
static int r9_version_known(const uint8_t *file)
{
    return codec_load32(file, R9_VERSION) == 1;
}

/*@ // HR9-02
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_02(file);
*/
static int r9_backing_valid(const uint8_t *file)
{
    return codec_is_padded_text(file + ADDCOW_R9_BACKING_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/*@ // HR9-03
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_03(file);
*/
static int r9_backing_present(const uint8_t *file)
{
    return file[ADDCOW_R9_BACKING_OFFSET] != 0;
}

/*@ // HR9-04
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_04(file);
*/
static int r9_image_valid(const uint8_t *file)
{
    return codec_is_padded_text(file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/*@ // HR9-05
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_05(file);
*/
static int r9_image_present(const uint8_t *file)
{
    return file[ADDCOW_R9_IMAGE_OFFSET] != 0;
}

/*@ // HR9-06
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_06(file);
*/
static int r9_padding_zero(const uint8_t *file)
{
    return codec_all_zero(file, R9_PADDING, ADDCOW_HEADER_MIN);
}

/* HR9-07. Both are padded with zeros, so equal strings have equal bytes throughout. */
/*@ // HR9-07
    requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hr9_07(file);
*/
static int r9_names_differ(const uint8_t *file)
{
    return !codec_same_bytes(file + ADDCOW_R9_BACKING_OFFSET, file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/* ---- The first broken rule ---- */

enum addcow_rule codec_check_size(const uint8_t *file, uint64_t length)
{
    if (!features_known(file)) {
        return ADDCOW_RULE_FEATURES;
    }
    if (!cluster_bits_valid(file)) {
        return ADDCOW_RULE_CLUSTER_BITS;
    }
    if (!header_size_valid(file)) {
        return ADDCOW_RULE_HEADER_SIZE;
    }
    if (!header_complete(file, length)) {
        return ADDCOW_RULE_HEADER_LENGTH;
    }
    return ADDCOW_RULE_NONE;
}

/* The rules about the place and content of each name. */
/*@ requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> named(file);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_BACKING_PRESENCE <= \result <= ADDCOW_RULE_IMAGE_NUL;
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
*/
static enum addcow_rule check_names(const uint8_t *file)
{
    if (!backing_presence_valid(file)) {
        return ADDCOW_RULE_BACKING_PRESENCE;
    }
    if (!backing_range_valid(file)) {
        return ADDCOW_RULE_BACKING_RANGE;
    }
    if (!backing_text_valid(file)) {
        return ADDCOW_RULE_BACKING_NUL;
    }
    if (!image_present(file)) {
        return ADDCOW_RULE_IMAGE_PRESENCE;
    }
    if (!image_range_valid(file)) {
        return ADDCOW_RULE_IMAGE_RANGE;
    }
    if (!image_text_valid(file)) {
        return ADDCOW_RULE_IMAGE_NUL;
    }
    return ADDCOW_RULE_NONE;
}

/* The rules that need valid places of the names. */
/*@ requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file);
    requires named(file);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> filled(file);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_NAMES_OVERLAP <= \result <= ADDCOW_RULE_NAMES_EQUAL;
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
static enum addcow_rule check_rest(const uint8_t *file)
{
    if (!names_disjoint(file)) {
        return ADDCOW_RULE_NAMES_OVERLAP;
    }
    if (!backing_format_valid(file)) {
        return ADDCOW_RULE_BACKING_FORMAT;
    }
    if (!backing_format_agrees(file)) {
        return ADDCOW_RULE_BACKING_FORMAT_ABSENT;
    }
    if (!image_format_valid(file)) {
        return ADDCOW_RULE_IMAGE_FORMAT;
    }
    if (!image_format_present(file)) {
        return ADDCOW_RULE_IMAGE_FORMAT_ABSENT;
    }
    if (!padding_zero(file)) {
        return ADDCOW_RULE_PADDING;
    }
    if (!names_differ(file)) {
        return ADDCOW_RULE_NAMES_EQUAL;
    }
    return ADDCOW_RULE_NONE;
}

enum addcow_rule codec_check_content(const uint8_t *file)
{
    enum addcow_rule rule = check_names(file);
    if (rule == ADDCOW_RULE_NONE) {
        rule = check_rest(file);
    }
    return rule;
}

/*@ requires readable_fields: \valid_read(file + (0 .. 75));
    requires readable_header: complete(file, length) ==> \valid_read(file + (0 .. header_size(file) - 1));
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> (sized(file, length) && named(file) && filled(file));
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_FEATURES <= \result <= ADDCOW_RULE_NAMES_EQUAL;
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
static enum addcow_rule check_r20(const uint8_t *file, uint64_t length)
{
    enum addcow_rule rule = codec_check_size(file, length);
    if (rule == ADDCOW_RULE_NONE) {
        rule = codec_check_content(file);
    }
    return rule;
}

enum addcow_rule codec_check_r9(const uint8_t *file)
{
    if (!r9_version_known(file)) {
        return ADDCOW_RULE_R9_VERSION;
    }
    if (!r9_backing_valid(file)) {
        return ADDCOW_RULE_R9_BACKING_NUL;
    }
    if (!r9_backing_present(file)) {
        return ADDCOW_RULE_R9_BACKING_ABSENT;
    }
    if (!r9_image_valid(file)) {
        return ADDCOW_RULE_R9_IMAGE_NUL;
    }
    if (!r9_image_present(file)) {
        return ADDCOW_RULE_R9_IMAGE_ABSENT;
    }
    if (!r9_padding_zero(file)) {
        return ADDCOW_RULE_R9_PADDING;
    }
    if (!r9_names_differ(file)) {
        return ADDCOW_RULE_R9_NAMES_EQUAL;
    }
    return ADDCOW_RULE_NONE;
}

enum addcow_rule codec_check_header(const uint8_t *file, uint64_t length)
{
    if (!codec_long_enough(length)) {
        return ADDCOW_RULE_LENGTH;
    }
    if (codec_is_r20(file)) {
        return check_r20(file, length);
    }
    if (is_r9(file)) {
        return codec_check_r9(file);
    }
    return ADDCOW_RULE_MAGIC;
}

/* ---- Each rule by itself, for checkers (CHK-01) ---- */

/* header_size can be relied on. */
/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> size_known(file);
*/
static int size_known(const uint8_t *file)
{
    return cluster_bits_valid(file) && header_size_valid(file);
}

/* The file contains the whole header. */
/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> complete(file, length);
*/
static int header_readable(const uint8_t *file, uint64_t length)
{
    return size_known(file) && header_complete(file, length);
}

/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> backing_located(file);
*/
static int backing_located(const uint8_t *file)
{
    return size_known(file) && backing_presence_valid(file) && backing_range_valid(file);
}

/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> image_located(file);
*/
static int image_located(const uint8_t *file)
{
    return size_known(file) && image_present(file) && image_range_valid(file);
}

/* The rules that need the fields only. */
/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> field_rule(file, length, rule);
*/
static int field_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_FEATURES:
        return features_known(file);
    case ADDCOW_RULE_CLUSTER_BITS:
        return cluster_bits_valid(file);
    case ADDCOW_RULE_HEADER_SIZE:
        return !cluster_bits_valid(file) || header_size_valid(file);
    case ADDCOW_RULE_HEADER_LENGTH:
        return !size_known(file) || header_complete(file, length);
    case ADDCOW_RULE_BACKING_PRESENCE:
        return backing_presence_valid(file);
    case ADDCOW_RULE_IMAGE_PRESENCE:
        return image_present(file);
    case ADDCOW_RULE_BACKING_FORMAT:
        return backing_format_valid(file);
    case ADDCOW_RULE_BACKING_FORMAT_ABSENT:
        return !backing_presence_valid(file) || backing_format_agrees(file);
    case ADDCOW_RULE_IMAGE_FORMAT:
        return image_format_valid(file);
    case ADDCOW_RULE_IMAGE_FORMAT_ABSENT:
        return image_format_present(file);
    default:
        return 1;
    }
}

/* The rules that need the names and the bytes around them. */
/*@ requires readable_fields: \valid_read(file + (0 .. 75));
    requires readable_header: complete(file, length) ==> \valid_read(file + (0 .. header_size(file) - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> name_rule(file, length, rule);
*/
static int name_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_BACKING_RANGE:
        return !size_known(file) || !backing_presence_valid(file) || backing_range_valid(file);
    case ADDCOW_RULE_BACKING_NUL:
        return !header_readable(file, length) || !backing_located(file) || backing_text_valid(file);
    case ADDCOW_RULE_IMAGE_RANGE:
        return !size_known(file) || !image_present(file) || image_range_valid(file);
    case ADDCOW_RULE_IMAGE_NUL:
        return !header_readable(file, length) || !image_located(file) || image_text_valid(file);
    case ADDCOW_RULE_NAMES_OVERLAP:
        return !backing_located(file) || !image_located(file) || names_disjoint(file);
    case ADDCOW_RULE_PADDING:
        return !header_readable(file, length) || !backing_located(file) || !image_located(file) || padding_zero(file);
    case ADDCOW_RULE_NAMES_EQUAL:
        return !header_readable(file, length) || !backing_located(file) || !image_located(file) || names_differ(file);
    default:
        return 1;
    }
}

/*@ requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> r9_rule(file, rule);
*/
static int r9_rule_holds(const uint8_t *file, enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_R9_VERSION:
        return r9_version_known(file);
    case ADDCOW_RULE_R9_BACKING_NUL:
        return r9_backing_valid(file);
    case ADDCOW_RULE_R9_BACKING_ABSENT:
        return r9_backing_present(file);
    case ADDCOW_RULE_R9_IMAGE_NUL:
        return r9_image_valid(file);
    case ADDCOW_RULE_R9_IMAGE_ABSENT:
        return r9_image_present(file);
    case ADDCOW_RULE_R9_PADDING:
        return r9_padding_zero(file);
    case ADDCOW_RULE_R9_NAMES_EQUAL:
        return !r9_backing_valid(file) || !r9_image_valid(file) || r9_names_differ(file);
    default:
        return 1;
    }
}

int addcow_header_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule)
{
    if (!codec_long_enough(length)) {
        return rule != ADDCOW_RULE_LENGTH;
    }
    if (codec_is_r20(file)) {
        return field_rule_holds(file, length, rule) && name_rule_holds(file, length, rule);
    }
    if (is_r9(file)) {
        return r9_rule_holds(file, rule);
    }
    return rule != ADDCOW_RULE_MAGIC;
}

/*
 * The header codec: sections 2 to 4 of spec/add-cow.md.
 *
 * A rule of the spec is one small function that looks at the header's bytes and says whether the rule holds. Two
 * functions ask them in the order of the spec, one a layout, and name the first rule that is broken; decode, encode and
 * the checker are built on those. Encode writes what it was given and then lets the same rules judge the result, so
 * nothing that decode would refuse ever leaves it.
 *
 * The code is shaped for proof: numbers are read and written by division and multiplication, and there is neither
 * shift, cast between pointer types, nor libc. This codec is also the one that the production engine uses.
 */
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

/* ---- Errors (section 12) ---- */

enum addcow_status addcow_rule_status(enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_NONE:
        return ADDCOW_OK;
    case ADDCOW_RULE_FEATURES:
    case ADDCOW_RULE_R9_VERSION:
    case ADDCOW_RULE_NAME_PROTOCOL:
    case ADDCOW_RULE_IMAGE_FORMAT_RAW:
    case ADDCOW_RULE_BACKING_FORMAT_KNOWN:
    case ADDCOW_RULE_VIRTUAL_SIZE:
        return ADDCOW_UNSUPPORTED;
    default:
        return ADDCOW_MALFORMED;
    }
}

const char *addcow_rule_clause(enum addcow_rule rule)
{
    static const char *const clauses[ADDCOW_RULE_COUNT] = {
        "",       "HDR-01", "HDR-02", "HDR-03", "HDR-04", "HDR-05", "HDR-06", "HDR-07", "HDR-08", "HDR-09", "HDR-10",
        "HDR-11", "HDR-12", "HDR-13", "HDR-14", "HDR-15", "HDR-16", "HDR-17", "HDR-18", "HDR-19", "HR9-01", "HR9-02",
        "HR9-03", "HR9-04", "HR9-05", "HR9-06", "HR9-07", "BMP-03", "LNK-02", "LNK-03", "LNK-04", "VRT-01",
    };
    return clauses[rule];
}

const char *addcow_status_name(enum addcow_status class_code)
{
    static const char *const names[] = {
        "ok", "malformed", "unsupported", "unlinkable", "io", "range", "readonly", "nospace", "busy",
    };
    return names[class_code];
}

/* ---- Bytes ---- */

/* Numbers are reached by the bytes and an offset, as provers do not see that (p + 4)[1] is p[5]. */
/*@ requires at < 0x1008 && \valid_read(p + (at .. at + 3));
    terminates \true;
    assigns \nothing;
    ensures value: \result == le32(p, at);
*/
static uint32_t load32(const uint8_t *p, uint32_t at)
{
    return p[at] + 0x100u * p[at + 1] + 0x10000u * p[at + 2] + 0x1000000u * p[at + 3];
}

/*@ requires at < 0x1000 && \valid_read(p + (at .. at + 7));
    terminates \true;
    assigns \nothing;
    ensures value: \result == le64(p, at);
*/
static uint64_t load64(const uint8_t *p, uint32_t at)
{
    return load32(p, at) + (uint64_t)0x100000000u * load32(p, at + 4);
}

/*@ requires at < 0x1008 && \valid(p + (at .. at + 3));
    terminates \true;
    assigns p[at .. at + 3];
    ensures value: le32(p, at) == value;
*/
static void store32(uint8_t *p, uint32_t at, uint32_t value)
{
    /*@ assert digits: value == value % 0x100 + 0x100 * (value / 0x100 % 0x100) + 0x10000 * (value / 0x10000 % 0x100) +
          0x1000000 * (value / 0x1000000); */
    p[at] = (uint8_t)(value % 0x100u);
    p[at + 1] = (uint8_t)(value / 0x100u % 0x100u);
    p[at + 2] = (uint8_t)(value / 0x10000u % 0x100u);
    p[at + 3] = (uint8_t)(value / 0x1000000u);
}

/*@ requires at < 0x1000 && \valid(p + (at .. at + 7));
    terminates \true;
    assigns p[at .. at + 7];
    ensures value: le64(p, at) == value;
*/
static void store64(uint8_t *p, uint32_t at, uint64_t value)
{
    store32(p, at, (uint32_t)(value % 0x100000000u));
    store32(p, at + 4, (uint32_t)(value / 0x100000000u));
}

/*@ requires \valid(to + (0 .. count - 1)) && \valid_read(from + (0 .. count - 1));
    requires \separated(to + (0 .. count - 1), from + (0 .. count - 1));
    terminates \true;
    assigns to[0 .. count - 1];
    ensures copied: \forall integer k; 0 <= k < count ==> to[k] == \old(from[k]);
*/
static void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count)
{
    /*@ loop invariant 0 <= i <= count;
        loop invariant \forall integer k; 0 <= k < i ==> to[k] == \at(from[k], Pre);
        loop assigns i, to[0 .. count - 1];
        loop variant count - i;
    */
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

/*@ requires from <= to && \valid(p + (from .. to - 1));
    terminates \true;
    assigns p[from .. to - 1];
    ensures zero: zeros(p, from, to);
*/
static void zero_bytes(uint8_t *p, uint32_t from, uint32_t to)
{
    /*@ loop invariant from <= i <= to;
        loop invariant zeros(p, from, i);
        loop assigns i, p[from .. to - 1];
        loop variant to - i;
    */
    for (uint32_t i = from; i < to; i++) {
        p[i] = 0;
    }
}

/*@ requires from <= to && \valid_read(p + (from .. to - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> zeros(p, from, to);
*/
static int all_zero(const uint8_t *p, uint32_t from, uint32_t to)
{
    /*@ loop invariant from <= i <= to;
        loop invariant zeros(p, from, i);
        loop assigns i;
        loop variant to - i;
    */
    for (uint32_t i = from; i < to; i++) {
        if (p[i] != 0) {
            return 0;
        }
    }
    return 1;
}

/*@ requires \valid_read(p + (0 .. count - 1)) && \valid_read(q + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> equal(p, q, count);
*/
static int same_bytes(const uint8_t *p, const uint8_t *q, uint32_t count)
{
    /*@ loop invariant 0 <= i <= count;
        loop invariant equal(p, q, i);
        loop assigns i;
        loop variant count - i;
    */
    for (uint32_t i = 0; i < count; i++) {
        if (p[i] != q[i]) {
            return 0;
        }
    }
    return 1;
}

/* The number of bytes before the first NUL among `count`, or `count` if there is none. */
/*@ requires \valid_read(p + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures within: \result <= count;
    ensures text: no_nul(p, \result);
    ensures end: \result < count ==> p[\result] == 0;
*/
static uint32_t text_length(const uint8_t *p, uint32_t count)
{
    uint32_t i = 0;
    /*@ loop invariant 0 <= i <= count;
        loop invariant no_nul(p, i);
        loop assigns i;
        loop variant count - i;
    */
    while (i < count && p[i] != 0) {
        i++;
    }
    return i;
}

/*@ requires \valid_read(p + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> no_nul(p, count);
*/
static int has_no_nul(const uint8_t *p, uint32_t count)
{
    return text_length(p, count) == count;
}

/* Where a padded text ends. */
/*@ requires \valid_read(p + (0 .. count - 1));
    requires padded_text(p, count);
    terminates \true;
    assigns \nothing;
    ensures end: ends_at(p, count, \result);
*/
static uint32_t padded_length(const uint8_t *p, uint32_t count)
{
    uint32_t length = text_length(p, count);
    //@ assert before: \forall integer k; ends_at(p, count, k) ==> k <= length;
    //@ assert only: \forall integer k; ends_at(p, count, k) ==> k == length;
    return length;
}

/* Whether there is a NUL among `count` bytes and nothing but zeros after the first one. */
/*@ requires \valid_read(p + (0 .. count - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> padded_text(p, count);
*/
static int is_padded_text(const uint8_t *p, uint32_t count)
{
    uint32_t length = text_length(p, count);
    //@ assert before: \forall integer k; ends_at(p, count, k) ==> k <= length;
    //@ assert only: \forall integer k; ends_at(p, count, k) ==> k == length;
    return length < count && all_zero(p, length, count);
}

/* ---- Cluster size, header size, bitmap size (sections 2 and 3) ---- */

uint64_t addcow_cluster_size(uint32_t cluster_bits)
{
    switch (cluster_bits) {
    case 12:
        return 4096;
    case 13:
        return 8192;
    case 14:
        return 16384;
    case 15:
        return 32768;
    case 16:
        return 65536;
    case 17:
        return 131072;
    case 18:
        return 262144;
    case 19:
        return 524288;
    case 20:
        return 1048576;
    default:
        return 2097152;
    }
}

uint64_t addcow_cluster_count(uint64_t size, uint64_t cluster_size)
{
    return (size + cluster_size - 1) / cluster_size;
}

uint64_t addcow_bitmap_bytes(uint64_t size, uint64_t cluster_size)
{
    return (addcow_cluster_count(size, cluster_size) + 7) / 8;
}

uint64_t addcow_file_length(const struct addcow_header *header, uint64_t size)
{
    uint64_t cluster_size = addcow_cluster_size(header->cluster_bits);
    uint64_t bytes = addcow_bitmap_bytes(size, cluster_size);
    if (header->layout == ADDCOW_R20) {
        bytes = addcow_cluster_count(bytes, cluster_size) * cluster_size;
    }
    return header->header_size + bytes;
}

/* ---- The rules of both layouts: HDR-01, HDR-02 ---- */

/*@ // HDR-01
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> hdr_01(length);
*/
static int long_enough(uint64_t length)
{
    return length >= ADDCOW_HEADER_MIN;
}

/*@ // HDR-02
    requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> is_r20(file);
*/
static int is_r20(const uint8_t *file)
{
    return load32(file, 0) == MAGIC_R20;
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
    return load32(file, 0) == MAGIC_R9_LOW && load32(file, 4) == MAGIC_R9_HIGH;
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
    return load64(file, FEATURES) == 0;
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
    uint32_t bits = load32(file, CLUSTER_BITS);
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
    return load32(file, HEADER_SIZE) == addcow_cluster_size(load32(file, CLUSTER_BITS));
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
    return length >= load32(file, HEADER_SIZE);
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
    return (load32(file, BACKING_OFFSET) == 0) == (load32(file, BACKING_SIZE) == 0);
}

/* A name's place lies behind the fields and within the header: HDR-08, HDR-11. */
/*@ terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> in_header(offset, size, header_size);
*/
static int name_in_header(uint32_t offset, uint32_t size, uint32_t header_size)
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
    uint32_t size = load32(file, BACKING_SIZE);
    return size == 0 || name_in_header(load32(file, BACKING_OFFSET), size, load32(file, HEADER_SIZE));
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
    return has_no_nul(file + load32(file, BACKING_OFFSET), load32(file, BACKING_SIZE));
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
    return load32(file, IMAGE_OFFSET) != 0 && load32(file, IMAGE_SIZE) != 0;
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
    return name_in_header(load32(file, IMAGE_OFFSET), load32(file, IMAGE_SIZE), load32(file, HEADER_SIZE));
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
    return has_no_nul(file + load32(file, IMAGE_OFFSET), load32(file, IMAGE_SIZE));
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
    uint32_t backing = load32(file, BACKING_OFFSET);
    uint32_t image = load32(file, IMAGE_OFFSET);
    return backing + load32(file, BACKING_SIZE) <= image || image + load32(file, IMAGE_SIZE) <= backing;
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
    return is_padded_text(file + BACKING_FORMAT, ADDCOW_FORMAT_SIZE);
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
    return (file[BACKING_FORMAT] == 0) == (load32(file, BACKING_SIZE) == 0);
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
    return is_padded_text(file + IMAGE_FORMAT, ADDCOW_FORMAT_SIZE);
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
    uint32_t header_size = load32(file, HEADER_SIZE);
    uint32_t backing_offset = load32(file, BACKING_OFFSET);
    uint32_t backing_size = load32(file, BACKING_SIZE);
    uint32_t image_offset = load32(file, IMAGE_OFFSET);
    uint32_t image_size = load32(file, IMAGE_SIZE);
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
    uint32_t size = load32(file, IMAGE_SIZE);
    return load32(file, BACKING_SIZE) != size ||
           !same_bytes(file + load32(file, BACKING_OFFSET), file + load32(file, IMAGE_OFFSET), size);
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
    return load32(file, R9_VERSION) == 1;
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
    return is_padded_text(file + ADDCOW_R9_BACKING_OFFSET, ADDCOW_R9_NAME_SIZE);
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
    return is_padded_text(file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
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
    return all_zero(file, R9_PADDING, ADDCOW_HEADER_MIN);
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
    return !same_bytes(file + ADDCOW_R9_BACKING_OFFSET, file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/* ---- The first broken rule ---- */

/* What must hold before the rest of the header can be looked at. */
/*@ requires \valid_read(file + (0 .. 75));
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> sized(file, length);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_FEATURES <= \result <= ADDCOW_RULE_HEADER_LENGTH;
    ensures HDR_03: // HDR-03
      (\result == ADDCOW_RULE_FEATURES ==> !hdr_03(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_FEATURES ==> hdr_03(file));
    ensures HDR_04: // HDR-04
      (\result == ADDCOW_RULE_CLUSTER_BITS ==> !hdr_04(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_CLUSTER_BITS ==> hdr_04(file));
    ensures HDR_05: // HDR-05
      (\result == ADDCOW_RULE_HEADER_SIZE ==> !hdr_05(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_HEADER_SIZE ==> hdr_05(file));
    ensures HDR_06: // HDR-06
      (\result == ADDCOW_RULE_HEADER_LENGTH ==> !hdr_06(file, length)) &&
      (\result == 0 || \result > ADDCOW_RULE_HEADER_LENGTH ==> hdr_06(file, length));
*/
static enum addcow_rule check_size(const uint8_t *file, uint64_t length)
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

/* Where the names are, and what they are. */
/*@ requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> named(file);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_BACKING_PRESENCE <= \result <= ADDCOW_RULE_IMAGE_NUL;
    ensures HDR_07: // HDR-07
      (\result == ADDCOW_RULE_BACKING_PRESENCE ==> !hdr_07(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_PRESENCE ==> hdr_07(file));
    ensures HDR_08: // HDR-08
      (\result == ADDCOW_RULE_BACKING_RANGE ==> !hdr_08(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_RANGE ==> hdr_08(file));
    ensures HDR_09: // HDR-09
      (\result == ADDCOW_RULE_BACKING_NUL ==> !hdr_09(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_NUL ==> hdr_09(file));
    ensures HDR_10: // HDR-10
      (\result == ADDCOW_RULE_IMAGE_PRESENCE ==> !hdr_10(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_PRESENCE ==> hdr_10(file));
    ensures HDR_11: // HDR-11
      (\result == ADDCOW_RULE_IMAGE_RANGE ==> !hdr_11(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_RANGE ==> hdr_11(file));
    ensures HDR_12: // HDR-12
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

/* What may be asked once the names are found. */
/*@ requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file);
    requires named(file);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> filled(file);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_NAMES_OVERLAP <= \result <= ADDCOW_RULE_NAMES_EQUAL;
    ensures HDR_13: // HDR-13
      (\result == ADDCOW_RULE_NAMES_OVERLAP ==> !hdr_13(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_OVERLAP ==> hdr_13(file));
    ensures HDR_14: // HDR-14
      (\result == ADDCOW_RULE_BACKING_FORMAT ==> !hdr_14(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT ==> hdr_14(file));
    ensures HDR_15: // HDR-15
      (\result == ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> !hdr_15(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> hdr_15(file));
    ensures HDR_16: // HDR-16
      (\result == ADDCOW_RULE_IMAGE_FORMAT ==> !hdr_16(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT ==> hdr_16(file));
    ensures HDR_17: // HDR-17
      (\result == ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> !hdr_17(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> hdr_17(file));
    ensures HDR_18: // HDR-18
      (\result == ADDCOW_RULE_PADDING ==> !hdr_18(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_PADDING ==> hdr_18(file));
    ensures HDR_19: // HDR-19
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

/* The rules that come after those of check_size. */
/*@ requires \valid_read(file + (0 .. 75));
    requires \valid_read(file + (0 .. header_size(file) - 1));
    requires size_known(file);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> (named(file) && filled(file));
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_BACKING_PRESENCE <= \result <= ADDCOW_RULE_NAMES_EQUAL;
    ensures HDR_07: // HDR-07
      (\result == ADDCOW_RULE_BACKING_PRESENCE ==> !hdr_07(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_PRESENCE ==> hdr_07(file));
    ensures HDR_08: // HDR-08
      (\result == ADDCOW_RULE_BACKING_RANGE ==> !hdr_08(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_RANGE ==> hdr_08(file));
    ensures HDR_09: // HDR-09
      (\result == ADDCOW_RULE_BACKING_NUL ==> !hdr_09(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_NUL ==> hdr_09(file));
    ensures HDR_10: // HDR-10
      (\result == ADDCOW_RULE_IMAGE_PRESENCE ==> !hdr_10(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_PRESENCE ==> hdr_10(file));
    ensures HDR_11: // HDR-11
      (\result == ADDCOW_RULE_IMAGE_RANGE ==> !hdr_11(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_RANGE ==> hdr_11(file));
    ensures HDR_12: // HDR-12
      (\result == ADDCOW_RULE_IMAGE_NUL ==> !hdr_12(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_NUL ==> hdr_12(file));
    ensures HDR_13: // HDR-13
      (\result == ADDCOW_RULE_NAMES_OVERLAP ==> !hdr_13(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_OVERLAP ==> hdr_13(file));
    ensures HDR_14: // HDR-14
      (\result == ADDCOW_RULE_BACKING_FORMAT ==> !hdr_14(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT ==> hdr_14(file));
    ensures HDR_15: // HDR-15
      (\result == ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> !hdr_15(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> hdr_15(file));
    ensures HDR_16: // HDR-16
      (\result == ADDCOW_RULE_IMAGE_FORMAT ==> !hdr_16(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT ==> hdr_16(file));
    ensures HDR_17: // HDR-17
      (\result == ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> !hdr_17(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> hdr_17(file));
    ensures HDR_18: // HDR-18
      (\result == ADDCOW_RULE_PADDING ==> !hdr_18(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_PADDING ==> hdr_18(file));
    ensures HDR_19: // HDR-19
      (\result == ADDCOW_RULE_NAMES_EQUAL ==> !hdr_19(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_EQUAL ==> hdr_19(file));
*/
static enum addcow_rule check_content(const uint8_t *file)
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
    ensures HDR_03: // HDR-03
      (\result == ADDCOW_RULE_FEATURES ==> !hdr_03(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_FEATURES ==> hdr_03(file));
    ensures HDR_04: // HDR-04
      (\result == ADDCOW_RULE_CLUSTER_BITS ==> !hdr_04(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_CLUSTER_BITS ==> hdr_04(file));
    ensures HDR_05: // HDR-05
      (\result == ADDCOW_RULE_HEADER_SIZE ==> !hdr_05(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_HEADER_SIZE ==> hdr_05(file));
    ensures HDR_06: // HDR-06
      (\result == ADDCOW_RULE_HEADER_LENGTH ==> !hdr_06(file, length)) &&
      (\result == 0 || \result > ADDCOW_RULE_HEADER_LENGTH ==> hdr_06(file, length));
    ensures HDR_07: // HDR-07
      (\result == ADDCOW_RULE_BACKING_PRESENCE ==> !hdr_07(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_PRESENCE ==> hdr_07(file));
    ensures HDR_08: // HDR-08
      (\result == ADDCOW_RULE_BACKING_RANGE ==> !hdr_08(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_RANGE ==> hdr_08(file));
    ensures HDR_09: // HDR-09
      (\result == ADDCOW_RULE_BACKING_NUL ==> !hdr_09(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_NUL ==> hdr_09(file));
    ensures HDR_10: // HDR-10
      (\result == ADDCOW_RULE_IMAGE_PRESENCE ==> !hdr_10(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_PRESENCE ==> hdr_10(file));
    ensures HDR_11: // HDR-11
      (\result == ADDCOW_RULE_IMAGE_RANGE ==> !hdr_11(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_RANGE ==> hdr_11(file));
    ensures HDR_12: // HDR-12
      (\result == ADDCOW_RULE_IMAGE_NUL ==> !hdr_12(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_NUL ==> hdr_12(file));
    ensures HDR_13: // HDR-13
      (\result == ADDCOW_RULE_NAMES_OVERLAP ==> !hdr_13(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_OVERLAP ==> hdr_13(file));
    ensures HDR_14: // HDR-14
      (\result == ADDCOW_RULE_BACKING_FORMAT ==> !hdr_14(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT ==> hdr_14(file));
    ensures HDR_15: // HDR-15
      (\result == ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> !hdr_15(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> hdr_15(file));
    ensures HDR_16: // HDR-16
      (\result == ADDCOW_RULE_IMAGE_FORMAT ==> !hdr_16(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT ==> hdr_16(file));
    ensures HDR_17: // HDR-17
      (\result == ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> !hdr_17(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> hdr_17(file));
    ensures HDR_18: // HDR-18
      (\result == ADDCOW_RULE_PADDING ==> !hdr_18(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_PADDING ==> hdr_18(file));
    ensures HDR_19: // HDR-19
      (\result == ADDCOW_RULE_NAMES_EQUAL ==> !hdr_19(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_NAMES_EQUAL ==> hdr_19(file));
*/
static enum addcow_rule check_r20(const uint8_t *file, uint64_t length)
{
    enum addcow_rule rule = check_size(file, length);
    if (rule == ADDCOW_RULE_NONE) {
        rule = check_content(file);
    }
    return rule;
}

/*@ requires \valid_read(file + (0 .. 4095));
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==>
      (hr9_01(file) && hr9_02(file) && hr9_03(file) && hr9_04(file) && hr9_05(file) && hr9_06(file) && hr9_07(file));
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_R9_VERSION <= \result <= ADDCOW_RULE_R9_NAMES_EQUAL;
    ensures HR9_01: // HR9-01
      (\result == ADDCOW_RULE_R9_VERSION ==> !hr9_01(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_VERSION ==> hr9_01(file));
    ensures HR9_02: // HR9-02
      (\result == ADDCOW_RULE_R9_BACKING_NUL ==> !hr9_02(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_BACKING_NUL ==> hr9_02(file));
    ensures HR9_03: // HR9-03
      (\result == ADDCOW_RULE_R9_BACKING_ABSENT ==> !hr9_03(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_BACKING_ABSENT ==> hr9_03(file));
    ensures HR9_04: // HR9-04
      (\result == ADDCOW_RULE_R9_IMAGE_NUL ==> !hr9_04(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_IMAGE_NUL ==> hr9_04(file));
    ensures HR9_05: // HR9-05
      (\result == ADDCOW_RULE_R9_IMAGE_ABSENT ==> !hr9_05(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_IMAGE_ABSENT ==> hr9_05(file));
    ensures HR9_06: // HR9-06
      (\result == ADDCOW_RULE_R9_PADDING ==> !hr9_06(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_PADDING ==> hr9_06(file));
    ensures HR9_07: // HR9-07
      (\result == ADDCOW_RULE_R9_NAMES_EQUAL ==> !hr9_07(file)) &&
      (\result == 0 || \result > ADDCOW_RULE_R9_NAMES_EQUAL ==> hr9_07(file));
*/
static enum addcow_rule check_r9(const uint8_t *file)
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

/*@ requires readable(file, length);
    terminates \true;
    assigns \nothing;
    ensures range: \result <= ADDCOW_RULE_R9_NAMES_EQUAL;
    ensures none: \result == ADDCOW_RULE_NONE <==> valid_header(file, length);
    ensures first: \result != ADDCOW_RULE_NONE ==> first_broken(file, length, \result);
*/
static enum addcow_rule check_header(const uint8_t *file, uint64_t length)
{
    if (!long_enough(length)) {
        return ADDCOW_RULE_LENGTH;
    }
    if (is_r20(file)) {
        return check_r20(file, length);
    }
    if (is_r9(file)) {
        return check_r9(file);
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

/* The whole header is there to look at. */
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

/* The rules that look at the fields alone. */
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

/* The rules that look at the names and the bytes around them. */
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
    if (!long_enough(length)) {
        return rule != ADDCOW_RULE_LENGTH;
    }
    if (is_r20(file)) {
        return field_rule_holds(file, length, rule) && name_rule_holds(file, length, rule);
    }
    if (is_r9(file)) {
        return r9_rule_holds(file, rule);
    }
    return rule != ADDCOW_RULE_MAGIC;
}

/* ---- Decode ---- */

/*@ requires \valid_read(file + (0 .. 75));
    requires \valid(header) && \separated(header, file + (0 .. 75));
    terminates \true;
    assigns header->backing_format[0 .. 15], header->image_format[0 .. 15];
    ensures formats: formats_match{Pre, Post}(file, header);
*/
static void load_formats(const uint8_t *file, struct addcow_header *header)
{
    copy_bytes(header->backing_format, file + BACKING_FORMAT, ADDCOW_FORMAT_SIZE);
    //@ assert file: \forall integer k; 0 <= k < 16 ==> file[60 + k] == \at(file[60 + k], Pre);
    copy_bytes(header->image_format, file + IMAGE_FORMAT, ADDCOW_FORMAT_SIZE);
}

/*@ requires \valid_read(file + (0 .. 75));
    requires \valid(header) && \separated(header, file + (0 .. 75));
    requires is_r20(file);
    terminates \true;
    assigns *header;
    ensures numbers: numbers_match{Pre, Post}(file, header);
    ensures formats: formats_match{Pre, Post}(file, header);
*/
static void load_r20(const uint8_t *file, struct addcow_header *header)
{
    header->layout = ADDCOW_R20;
    header->cluster_bits = load32(file, CLUSTER_BITS);
    header->header_size = load32(file, HEADER_SIZE);
    header->backing_offset = load32(file, BACKING_OFFSET);
    header->backing_size = load32(file, BACKING_SIZE);
    header->image_offset = load32(file, IMAGE_OFFSET);
    header->image_size = load32(file, IMAGE_SIZE);
    header->features = load64(file, FEATURES);
    header->compatible_features = load64(file, ADDCOW_COMPATIBLE_OFFSET);
    load_formats(file, header);
}

/*@ requires \valid(format + (0 .. 15));
    terminates \true;
    assigns format[0 .. 15];
    ensures raw: text_raw(format);
*/
static void store_raw(uint8_t *format)
{
    zero_bytes(format, 0, ADDCOW_FORMAT_SIZE);
    format[0] = 'r';
    format[1] = 'a';
    format[2] = 'w';
}

/*@ // HR9-08
    requires \valid_read(file + (0 .. 4095));
    requires \valid(header) && \separated(header, file + (0 .. 4095));
    requires hr9_02(file) && hr9_04(file);
    terminates \true;
    assigns *header;
    ensures fields: fields_r9{Pre, Post}(file, header);
*/
static void load_r9(const uint8_t *file, struct addcow_header *header)
{
    header->layout = ADDCOW_R9;
    header->cluster_bits = R9_CLUSTER_BITS;
    header->header_size = ADDCOW_HEADER_MIN;
    header->backing_offset = ADDCOW_R9_BACKING_OFFSET;
    header->backing_size = padded_length(file + ADDCOW_R9_BACKING_OFFSET, ADDCOW_R9_NAME_SIZE);
    header->image_offset = ADDCOW_R9_IMAGE_OFFSET;
    header->image_size = padded_length(file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
    header->features = 0;
    header->compatible_features = 0;
    store_raw(header->backing_format);
    //@ assert rest: \forall integer k; 3 <= k < 16 ==> header->backing_format[k] == 0;
    //@ ghost Raw: ;
    store_raw(header->image_format);
    /*@ assert kept: \forall integer k; 0 <= k < 16 ==>
          header->backing_format[k] == \at(header->backing_format[k], Raw);
    */
    /*@ assert raw_still: header->backing_format[0] == 'r' && header->backing_format[1] == 'a' &&
          header->backing_format[2] == 'w';
    */
    //@ assert rest_still: \forall integer k; 3 <= k < 16 ==> header->backing_format[k] == 0;
    //@ assert raw: text_raw((uint8_t *)header->backing_format);
}

enum addcow_rule addcow_decode(const uint8_t *file, uint64_t length, struct addcow_header *header)
{
    enum addcow_rule rule = check_header(file, length);
    if (rule == ADDCOW_RULE_NONE) {
        if (is_r20(file)) {
            load_r20(file, header);
        } else {
            load_r9(file, header);
        }
    }
    return rule;
}

/* ---- Encode ---- */

/*@ requires \valid(out + (0 .. 19)) && \valid_read(header) && \separated(header, out + (0 .. 19));
    terminates \true;
    assigns out[0 .. 19];
    ensures magic: is_r20(out);
    ensures backing_offset: backing_offset(out) == header->backing_offset;
    ensures backing_size: backing_size(out) == header->backing_size;
    ensures image_offset: image_offset(out) == header->image_offset;
    ensures image_size: image_size(out) == header->image_size;
*/
static void store_places(const struct addcow_header *header, uint8_t *out)
{
    store32(out, 0, MAGIC_R20);
    store32(out, BACKING_OFFSET, header->backing_offset);
    //@ assert m1: is_r20(out);
    store32(out, BACKING_SIZE, header->backing_size);
    //@ assert m2: is_r20(out);
    //@ assert bo2: backing_offset(out) == header->backing_offset;
    store32(out, IMAGE_OFFSET, header->image_offset);
    //@ assert m3: is_r20(out);
    //@ assert bo3: backing_offset(out) == header->backing_offset;
    //@ assert bs3: backing_size(out) == header->backing_size;
    store32(out, IMAGE_SIZE, header->image_size);
}

/*@ requires \valid(out + (20 .. 43)) && \valid_read(header) && \separated(header, out + (20 .. 43));
    terminates \true;
    assigns out[20 .. 43];
    ensures cluster_bits: cluster_bits(out) == header->cluster_bits;
    ensures features: le64(out, 24) == header->features;
    ensures compatible: le64(out, 32) == header->compatible_features;
    ensures header_size: header_size(out) == header->header_size;
*/
static void store_sizes(const struct addcow_header *header, uint8_t *out)
{
    store32(out, CLUSTER_BITS, header->cluster_bits);
    store64(out, FEATURES, header->features);
    //@ assert cb1: cluster_bits(out) == header->cluster_bits;
    store64(out, ADDCOW_COMPATIBLE_OFFSET, header->compatible_features);
    //@ assert cb2: cluster_bits(out) == header->cluster_bits;
    //@ assert f2: le64(out, 24) == header->features;
    store32(out, HEADER_SIZE, header->header_size);
}

/*@ requires \valid(out + (44 .. 75)) && \valid_read(header) && \separated(header, out + (44 .. 75));
    terminates \true;
    assigns out[44 .. 75];
    ensures formats: formats_match{Post, Pre}(out, header);
*/
static void store_formats(const struct addcow_header *header, uint8_t *out)
{
    copy_bytes(out + BACKING_FORMAT, header->backing_format, ADDCOW_FORMAT_SIZE);
    //@ assert image: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == \at(header->image_format[k], Pre);
    copy_bytes(out + IMAGE_FORMAT, header->image_format, ADDCOW_FORMAT_SIZE);
}

/*@ requires \valid(out + (0 .. 75)) && \valid_read(header) && \separated(header, out + (0 .. 75));
    terminates \true;
    assigns out[0 .. 75];
    ensures magic: is_r20(out);
    ensures numbers: numbers_stored{Post, Pre}(out, header);
    ensures formats: formats_match{Post, Pre}(out, header);
*/
static void store_fields(const struct addcow_header *header, uint8_t *out)
{
    store_formats(header, out);
    store_sizes(header, out);
    store_places(header, out);
    //@ assert cluster_bits: cluster_bits(out) == header->cluster_bits;
    //@ assert header_size: header_size(out) == header->header_size;
    //@ assert features: le64(out, 24) == header->features;
    //@ assert compatible: le64(out, 32) == header->compatible_features;
}

/* A name whose place is not within the header is left out; the rules then find its place broken. */
/*@ requires 76 <= header_size && \valid(out + (0 .. header_size - 1)) && \valid_read(name + (0 .. size - 1));
    requires \separated(out + (0 .. header_size - 1), name + (0 .. size - 1));
    terminates \true;
    assigns out[76 .. header_size - 1];
    ensures stored: in_header(offset, size, header_size) ==>
      \forall integer k; 0 <= k < size ==> out[offset + k] == \old(name[k]);
    ensures others: \forall integer k; 76 <= k < header_size &&
      !(in_header(offset, size, header_size) && in_name(k, offset, size)) ==> out[k] == \old(out[k]);
*/
static void store_name(const uint8_t *name, uint32_t offset, uint32_t size, uint32_t header_size, uint8_t *out)
{
    if (name_in_header(offset, size, header_size)) {
        copy_bytes(out + offset, name, size);
    }
}

/*@ requires \valid_read(header) && 76 <= header->header_size && \valid(out + (0 .. header->header_size - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, header->header_size);
    terminates \true;
    assigns out[76 .. header->header_size - 1];
    ensures image: in_header(header->image_offset, header->image_size, header->header_size) ==>
      \forall integer k; 0 <= k < header->image_size ==> out[header->image_offset + k] == \old(image_name[k]);
    ensures backing: in_header(header->backing_offset, header->backing_size, header->header_size) &&
      disjoint(header->backing_offset, header->backing_size, header->image_offset, header->image_size) ==>
      \forall integer k; 0 <= k < header->backing_size ==> out[header->backing_offset + k] == \old(backing_name[k]);
    ensures padding: \forall integer k; 76 <= k < header->header_size &&
      !in_name(k, header->backing_offset, header->backing_size) &&
      !in_name(k, header->image_offset, header->image_size) ==> out[k] == 0;
*/
static void store_names(const struct addcow_header *header, const uint8_t *backing_name, const uint8_t *image_name,
                        uint8_t *out)
{
    uint32_t size = header->header_size;
    zero_bytes(out, ADDCOW_NAMES_OFFSET, size);
    //@ assert backing_kept: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    store_name(backing_name, header->backing_offset, header->backing_size, size, out);
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    store_name(image_name, header->image_offset, header->image_size, size, out);
}

/*@
  // What texts say depends on their bytes alone.
  lemma text_kept{L1, L2}: \forall uint8_t *p, integer n;
    equal{L1, L2}(p, n) ==> no_nul{L1}(p, n) ==> no_nul{L2}(p, n);
  lemma end_kept{L1, L2}: \forall uint8_t *p, integer n, k;
    equal{L1, L2}(p, n) ==> ends_at{L1}(p, n, k) ==> ends_at{L2}(p, n, k);
  lemma padded_kept{L1, L2}: \forall uint8_t *p, integer n;
    equal{L1, L2}(p, n) ==> padded_text{L1}(p, n) ==> padded_text{L2}(p, n);
*/

/*@
  // The names and the padding between them stand where the header says, as far as the places allow.
  predicate contents{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, uint8_t *b) =
    (in_header(h->image_offset, h->image_size, h->header_size) ==>
      \forall integer k; 0 <= k < h->image_size ==> b[h->image_offset + k] == image[k]) &&
    (in_header(h->backing_offset, h->backing_size, h->header_size) &&
      disjoint(h->backing_offset, h->backing_size, h->image_offset, h->image_size) ==>
      \forall integer k; 0 <= k < h->backing_size ==> b[h->backing_offset + k] == backing[k]) &&
    (\forall integer k; 76 <= k < h->header_size && !in_name(k, h->backing_offset, h->backing_size) &&
      !in_name(k, h->image_offset, h->image_size) ==> b[k] == 0);
*/

/* Equal bytes are equal texts: a lemma for the prover, as the other ghost functions below. */
/*@ ghost
  /@ requires same: \forall integer k; 0 <= k < n ==> p[k] == q[k];
     terminates \true;
     assigns \nothing;
     ensures padded: padded_text(p, n) <==> padded_text(q, n);
  @/
  static void same_texts(uint8_t *p, uint8_t *q, uint32_t n)
  {
    //@ assert ends: \forall integer k; ends_at(p, n, k) ==> ends_at(q, n, k);
    //@ assert begins: \forall integer k; ends_at(q, n, k) ==> ends_at(p, n, k);
    return;
  }
*/

/* Copies of a and b are texts and equal to each other as a and b are. */
/*@ ghost
  /@ terminates \true;
     assigns \nothing;
     ensures first: (\forall integer k; 0 <= k < n ==> p[k] == a[k]) ==> no_nul(a, n) ==> no_nul(p, n);
     ensures second: (\forall integer k; 0 <= k < n ==> q[k] == b[k]) ==> no_nul(b, n) ==> no_nul(q, n);
     ensures equal: (\forall integer k; 0 <= k < n ==> p[k] == a[k]) &&
       (\forall integer k; 0 <= k < n ==> q[k] == b[k]) ==> (equal(p, q, n) <==> equal(a, b, n));
  @/
  static void same_pairs(uint8_t *p, uint8_t *a, uint8_t *q, uint8_t *b, uint32_t n)
  {
    return;
  }
*/

/* What has an encoding keeps the rules once it is stored. */
/*@ ghost
  /@ requires \valid_read(header);
     requires numbers: numbers_stored{Here, Here}(out, header);
     requires contents: contents(header, backing, image, out);
     terminates \true;
     assigns \nothing;
     ensures backing_place: content_encodable(header, backing, image) ==> hdr_07(out) && hdr_08(out);
     ensures image_place: content_encodable(header, backing, image) ==> hdr_10(out) && hdr_11(out) && hdr_13(out);
     ensures backing_text: content_encodable(header, backing, image) ==> hdr_09(out);
     ensures image_text: content_encodable(header, backing, image) ==> hdr_12(out);
     ensures padding: hdr_18(out);
     ensures differ: content_encodable(header, backing, image) ==> hdr_19(out);
  @/
  static void names_keep_rules(struct addcow_header *header, uint8_t *backing, uint8_t *image, uint8_t *out)
  {
    /@ assert backing_there: content_encodable(header, backing, image) ==>
         \forall integer k; 0 <= k < header->backing_size ==> (out + header->backing_offset)[k] == backing[k]; @/
    /@ assert image_there: content_encodable(header, backing, image) ==>
         \forall integer k; 0 <= k < header->image_size ==> (out + header->image_offset)[k] == image[k]; @/
    same_pairs(out + header->backing_offset, backing, out + header->image_offset, image, header->backing_size);
    same_pairs(out + header->backing_offset, backing, out + header->image_offset, image, header->image_size);
    /@ assert pairs: content_encodable(header, backing, image) && header->backing_size == header->image_size ==>
         (equal(out + header->backing_offset, out + header->image_offset, header->image_size) <==>
           equal(backing, image, header->image_size)); @/
    return;
  }
*/

/*@ ghost
  /@ requires numbers: numbers_stored{Here, Here}(out, header);
     requires formats: formats_match{Here, Here}(out, header);
     terminates \true;
     assigns \nothing;
     ensures backing: content_encodable(header, backing, image) ==> hdr_14(out);
     ensures backing_absent: content_encodable(header, backing, image) ==> hdr_15(out);
     ensures image: content_encodable(header, backing, image) ==> hdr_16(out);
     ensures image_absent: content_encodable(header, backing, image) ==> hdr_17(out);
  @/
  static void formats_keep_rules(struct addcow_header *header, uint8_t *backing, uint8_t *image, uint8_t *out)
  {
    //@ assert first: out[44] == header->backing_format[0] && out[60] == header->image_format[0];
    same_texts(out + 44, (uint8_t *)header->backing_format, 16);
    same_texts(out + 60, (uint8_t *)header->image_format, 16);
    return;
  }
*/

/* Behind the stored fields comes the rest of the header, and then the rules that judge it. */
/*@ requires \valid_read(header) && 4096 <= header->header_size && \valid(out + (0 .. header->header_size - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, header->header_size);
    requires size_known(out) && is_r20(out);
    requires numbers: numbers_stored{Pre, Pre}(out, header);
    requires formats: formats_match{Pre, Pre}(out, header);
    terminates \true;
    assigns out[76 .. header->header_size - 1];
    ensures valid: \result == ADDCOW_RULE_NONE ==> named(out) && filled(out);
    ensures magic: is_r20(out);
    ensures numbers: numbers_stored{Post, Pre}(out, header);
    ensures formats: formats_match{Post, Pre}(out, header);
    ensures sizes: size_known(out) && le64(out, 24) == \old(le64(out, 24));
    ensures names: \result == ADDCOW_RULE_NONE ==>
      names_match{Post, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures complete: content_encodable{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name) ==>
      \result == ADDCOW_RULE_NONE;
*/
static enum addcow_rule encode_content(const struct addcow_header *header, const uint8_t *backing_name,
                                       const uint8_t *image_name, uint8_t *out)
{
    store_names(header, backing_name, image_name, out);
    //@ assert fields: equal{Pre, Here}(out, 76);
    //@ assert backing_kept: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    //@ assert backing_format_kept: equal{Pre, Here}((uint8_t *)header->backing_format, 16);
    //@ assert image_format_kept: equal{Pre, Here}((uint8_t *)header->image_format, 16);
    /*@ assert differ: header->backing_size == header->image_size ==>
          (equal{Pre}((uint8_t *)backing_name, (uint8_t *)image_name, header->image_size) <==>
            equal((uint8_t *)backing_name, (uint8_t *)image_name, header->image_size)); */
    /*@ assert encodable: content_encodable{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name) ==>
          content_encodable{Here}(header, (uint8_t *)backing_name, (uint8_t *)image_name); */
    //@ assert magic: le32(out, 0) == \at(le32(out, 0), Pre);
    //@ assert backing_offset: backing_offset(out) == \at(backing_offset(out), Pre);
    //@ assert backing_size: backing_size(out) == \at(backing_size(out), Pre);
    //@ assert image_offset: image_offset(out) == \at(image_offset(out), Pre);
    //@ assert image_size: image_size(out) == \at(image_size(out), Pre);
    //@ assert cluster_bits: cluster_bits(out) == \at(cluster_bits(out), Pre);
    //@ assert header_size: header_size(out) == \at(header_size(out), Pre);
    //@ assert features_low: le32(out, 24) == \at(le32(out, 24), Pre);
    //@ assert features_high: le32(out, 28) == \at(le32(out, 28), Pre);
    //@ assert compatible_low: le32(out, 32) == \at(le32(out, 32), Pre);
    //@ assert compatible_high: le32(out, 36) == \at(le32(out, 36), Pre);
    //@ assert known: size_known(out);
    //@ assert numbers: numbers_stored{Here, Here}(out, header);
    //@ assert formats: formats_match{Here, Here}(out, header);
    //@ assert contents: contents(header, (uint8_t *)backing_name, (uint8_t *)image_name, out);
    /*@ ghost
      names_keep_rules((struct addcow_header *)header, (uint8_t *)backing_name, (uint8_t *)image_name, out);
      formats_keep_rules((struct addcow_header *)header, (uint8_t *)backing_name, (uint8_t *)image_name, out);
    */
    return check_content(out);
}

/*@ requires header->layout == ADDCOW_R20;
    requires \valid_read(header) && 4096 <= capacity && \valid(out + (0 .. capacity - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    terminates \true;
    assigns out[0 .. 75], out[76 .. header->header_size - 1];
    ensures magic: is_r20(out);
    ensures valid: \result == ADDCOW_RULE_NONE ==> valid_r20(out, capacity);
    ensures numbers: \result == ADDCOW_RULE_NONE ==> numbers_match{Post, Pre}(out, header);
    ensures formats: \result == ADDCOW_RULE_NONE ==> formats_match{Post, Pre}(out, header);
    ensures names: \result == ADDCOW_RULE_NONE ==>
      names_match{Post, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures complete: encodable_r20{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity) ==>
      \result == ADDCOW_RULE_NONE;
*/
static enum addcow_rule encode_r20(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    enum addcow_rule rule;
    store_fields(header, out);
    //@ assert backing_kept: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    //@ assert backing_format_kept: equal{Pre, Here}((uint8_t *)header->backing_format, 16);
    //@ assert image_format_kept: equal{Pre, Here}((uint8_t *)header->image_format, 16);
    /*@ assert differ: header->backing_size == header->image_size ==>
          (equal{Pre}((uint8_t *)backing_name, (uint8_t *)image_name, header->image_size) <==>
            equal((uint8_t *)backing_name, (uint8_t *)image_name, header->image_size)); */
    /*@ assert encodable: content_encodable{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name) ==>
          content_encodable{Here}(header, (uint8_t *)backing_name, (uint8_t *)image_name); */
    rule = check_size(out, capacity);
    /*@ assert sized: encodable_r20{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity) ==>
          rule == ADDCOW_RULE_NONE; */
    if (rule != ADDCOW_RULE_NONE) {
        return rule;
    }
    return encode_content(header, backing_name, image_name, out);
}

/*@ requires \valid_read(format + (0 .. 15));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> text_raw(format);
*/
static int is_raw(const uint8_t *format)
{
    return format[0] == 'r' && format[1] == 'a' && format[2] == 'w' && all_zero(format, 3, ADDCOW_FORMAT_SIZE);
}

/* r9 has no place for other values than these; the rule of r20 about the field stands for it. */
/*@ // HR9-08
    requires \valid_read(header);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> expressible_r9(header);
*/
static enum addcow_rule check_r9_fields(const struct addcow_header *header)
{
    if (header->features != 0 || header->compatible_features != 0) {
        return ADDCOW_RULE_FEATURES;
    }
    if (header->cluster_bits != R9_CLUSTER_BITS) {
        return ADDCOW_RULE_CLUSTER_BITS;
    }
    if (header->header_size != ADDCOW_HEADER_MIN) {
        return ADDCOW_RULE_HEADER_SIZE;
    }
    if (header->backing_offset != ADDCOW_R9_BACKING_OFFSET) {
        return ADDCOW_RULE_BACKING_RANGE;
    }
    if (header->image_offset != ADDCOW_R9_IMAGE_OFFSET) {
        return ADDCOW_RULE_IMAGE_RANGE;
    }
    if (!is_raw(header->backing_format)) {
        return ADDCOW_RULE_BACKING_FORMAT;
    }
    if (!is_raw(header->image_format)) {
        return ADDCOW_RULE_IMAGE_FORMAT;
    }
    return ADDCOW_RULE_NONE;
}

/* Stores a name and pads it with zeros. Returns 1 if it fits with its NUL and has none inside, else 0. */
/*@ requires \valid(field + (0 .. 1023)) && \valid_read(name + (0 .. size - 1));
    requires \separated(field + (0 .. 1023), name + (0 .. size - 1));
    terminates \true;
    assigns field[0 .. 1023];
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> size < 1024 && \old(no_nul(name, size));
    ensures stored: \result == 1 ==> \forall integer k; 0 <= k < size ==> field[k] == \old(name[k]);
    ensures ends: \result == 1 ==> ends_at(field, 1024, size);
*/
static int store_r9_name(const uint8_t *name, uint32_t size, uint8_t *field)
{
    zero_bytes(field, 0, ADDCOW_R9_NAME_SIZE);
    if (size >= ADDCOW_R9_NAME_SIZE) {
        return 0;
    }
    copy_bytes(field, name, size);
    return has_no_nul(field, size);
}

/* Names that differ are stored as fields that differ, and each is there. */
/*@ ghost
  /@ requires backing: ends_at(p, 1024, m);
     requires image: ends_at(q, 1024, n);
     requires backing_name: \forall integer k; 0 <= k < m ==> p[k] == backing[k];
     requires image_name: \forall integer k; 0 <= k < n ==> q[k] == image[k];
     terminates \true;
     assigns \nothing;
     ensures backing_valid: padded_text(p, 1024);
     ensures image_valid: padded_text(q, 1024);
     ensures backing_present: m >= 1 ==> p[0] != 0;
     ensures image_present: n >= 1 ==> q[0] != 0;
     ensures differ: !(m == n && equal(backing, image, n)) ==> !equal(p, q, 1024);
  @/
  static void r9_names_keep_rules(uint8_t *p, uint8_t *q, uint8_t *backing, uint8_t *image, uint32_t m, uint32_t n)
  {
    //@ assert sizes: equal(p, q, 1024) ==> m == n;
    return;
  }
*/

/*@ requires \valid(out + (0 .. 11));
    terminates \true;
    assigns out[0 .. 11];
    ensures magic: is_r9(out) && !is_r20(out);
    ensures version: hr9_01(out);
*/
static void store_r9_magic(uint8_t *out)
{
    store32(out, 0, MAGIC_R9_LOW);
    store32(out, 4, MAGIC_R9_HIGH);
    //@ assert low: le32(out, 0) == MAGIC_R9_LOW;
    store32(out, R9_VERSION, 1);
}

/* Stores both names. Returns ADDCOW_RULE_NONE, or the rule that one of them breaks. */
/*@ requires \valid_read(header) && \valid(out + (0 .. 4095));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, 4096);
    terminates \true;
    assigns out[12 .. 2059];
    ensures backing: \result == ADDCOW_RULE_NONE ==> ends_at(out + 12, 1024, header->backing_size);
    ensures image: \result == ADDCOW_RULE_NONE ==> ends_at(out + 1036, 1024, header->image_size);
    ensures backing_name: \result == ADDCOW_RULE_NONE ==>
      \forall integer k; 0 <= k < header->backing_size ==> out[12 + k] == \old(backing_name[k]);
    ensures image_name: \result == ADDCOW_RULE_NONE ==>
      \forall integer k; 0 <= k < header->image_size ==> out[1036 + k] == \old(image_name[k]);
    ensures complete: header->backing_size <= 1023 && header->image_size <= 1023 &&
      no_nul{Pre}((uint8_t *)backing_name, header->backing_size) &&
      no_nul{Pre}((uint8_t *)image_name, header->image_size) ==> \result == ADDCOW_RULE_NONE;
*/
static enum addcow_rule store_r9_names(const struct addcow_header *header, const uint8_t *backing_name,
                                       const uint8_t *image_name, uint8_t *out)
{
    if (!store_r9_name(backing_name, header->backing_size, out + ADDCOW_R9_BACKING_OFFSET)) {
        return ADDCOW_RULE_R9_BACKING_NUL;
    }
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    if (!store_r9_name(image_name, header->image_size, out + ADDCOW_R9_IMAGE_OFFSET)) {
        return ADDCOW_RULE_R9_IMAGE_NUL;
    }
    return ADDCOW_RULE_NONE;
}

/*@ requires header->layout == ADDCOW_R9;
    requires \valid_read(header) && \valid(out + (0 .. 4095));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, 4096);
    terminates \true;
    assigns out[0 .. 4095];
    ensures valid: \result == ADDCOW_RULE_NONE ==> valid_r9(out);
    ensures magic: \result == ADDCOW_RULE_NONE ==> !is_r20(out);
    ensures fields: \result == ADDCOW_RULE_NONE ==> fields_r9{Post, Pre}(out, header);
    ensures names: \result == ADDCOW_RULE_NONE ==>
      names_match{Post, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures complete: encodable_r9{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name) ==>
      \result == ADDCOW_RULE_NONE;
*/
static enum addcow_rule encode_r9(const struct addcow_header *header, const uint8_t *backing_name,
                                  const uint8_t *image_name, uint8_t *out)
{
    enum addcow_rule rule = check_r9_fields(header);
    if (rule != ADDCOW_RULE_NONE) {
        return rule;
    }
    //@ assert offsets: header->backing_offset == 12 && header->image_offset == 1036;
    store_r9_magic(out);
    //@ assert backing_kept: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    zero_bytes(out, R9_PADDING, ADDCOW_HEADER_MIN);
    //@ ghost Framed: ;
    //@ assert start: is_r9(out) && !is_r20(out) && hr9_01(out);
    //@ assert backing_still: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    //@ assert image_still: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    rule = store_r9_names(header, backing_name, image_name, out);
    if (rule != ADDCOW_RULE_NONE) {
        return rule;
    }
    //@ assert frame: equal{Framed, Here}(out, 12);
    //@ assert padding: hr9_06(out);
    //@ assert magic: is_r9(out) && !is_r20(out) && hr9_01(out);
    //@ assert backing_name: name_at{Here, Pre}(out, 12, (uint8_t *)backing_name, header->backing_size);
    //@ assert image_name: name_at{Here, Pre}(out, 1036, (uint8_t *)image_name, header->image_size);
    //@ assert names: names_match{Here, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name);
    //@ assert backing_same: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    //@ assert image_same: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    /*@ ghost r9_names_keep_rules(out + 12, out + 1036, (uint8_t *)backing_name, (uint8_t *)image_name,
          header->backing_size, header->image_size); */
    /*@ assert differ: header->backing_size == header->image_size ==>
          (equal{Pre}((uint8_t *)backing_name, (uint8_t *)image_name, header->image_size) <==>
            equal((uint8_t *)backing_name, (uint8_t *)image_name, header->image_size)); */
    return check_r9(out);
}

enum addcow_rule addcow_encode(const struct addcow_header *header, const uint8_t *backing_name,
                               const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    if (!long_enough(capacity)) {
        return ADDCOW_RULE_LENGTH;
    }
    if (header->layout == ADDCOW_R20) {
        return encode_r20(header, backing_name, image_name, out, capacity);
    }
    if (header->layout == ADDCOW_R9) {
        return encode_r9(header, backing_name, image_name, out);
    }
    return ADDCOW_RULE_MAGIC;
}

/* ---- Opening (section 4) ---- */

/* Whether the first `:` comes before the first `/`. */
/*@ // LNK-02
    requires \valid_read(name + (0 .. size - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> protocol(name, size);
*/
static int has_protocol(const uint8_t *name, uint32_t size)
{
    uint32_t i = 0;
    /*@ loop invariant 0 <= i <= size;
        loop invariant \forall integer k; 0 <= k < i ==> name[k] != ':' && name[k] != '/';
        loop assigns i;
        loop variant size - i;
    */
    while (i < size && name[i] != ':' && name[i] != '/') {
        i++;
    }
    return i < size && name[i] == ':';
}

/*@ requires \valid_read(format + (0 .. 15));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> text_addcow(format);
*/
static int is_addcow(const uint8_t *format)
{
    return format[0] == 'a' && format[1] == 'd' && format[2] == 'd' && format[3] == '-' && format[4] == 'c' &&
           format[5] == 'o' && format[6] == 'w' && all_zero(format, 7, ADDCOW_FORMAT_SIZE);
}

enum addcow_rule addcow_check_open(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint64_t file_length, uint64_t image_length)
{
    if (has_protocol(backing_name, header->backing_size) || has_protocol(image_name, header->image_size)) {
        return ADDCOW_RULE_NAME_PROTOCOL;
    }
    if (!is_raw(header->image_format)) {
        return ADDCOW_RULE_IMAGE_FORMAT_RAW;
    }
    if (header->backing_size != 0 && !is_raw(header->backing_format) && !is_addcow(header->backing_format)) {
        return ADDCOW_RULE_BACKING_FORMAT_KNOWN;
    }
    if (image_length > ADDCOW_SIZE_MAX) {
        return ADDCOW_RULE_VIRTUAL_SIZE;
    }
    if (file_length <
        header->header_size + addcow_bitmap_bytes(image_length, addcow_cluster_size(header->cluster_bits))) {
        return ADDCOW_RULE_BITMAP_LENGTH;
    }
    return ADDCOW_RULE_NONE;
}

int addcow_backing_is_addcow(const struct addcow_header *header)
{
    return is_addcow(header->backing_format);
}

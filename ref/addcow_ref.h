/*
 * add-cow reference engine: the semantics of spec/add-cow.md, in memory.
 *
 * Everything here works on byte arrays that the caller owns. There is no allocation, no I/O, no libc and no thread: the
 * disk as mathematics. It is the oracle that every other implementation is compared with, and its header codec is also
 * the production codec of fast/.
 *
 * Thread-safety: functions that take a `const` pointer may run at once on the same object; others may not.
 */
#ifndef ADDCOW_REF_H
#define ADDCOW_REF_H

#include <stdint.h>

/* The class of an error (spec section 12). 0 is success. */
enum addcow_status {
    ADDCOW_OK = 0,
    ADDCOW_MALFORMED,
    ADDCOW_UNSUPPORTED,
    ADDCOW_UNLINKABLE,
    ADDCOW_IO,
    ADDCOW_RANGE,
    ADDCOW_READONLY,
    ADDCOW_NOSPACE,
    ADDCOW_BUSY,
};

/* One rule of sections 2, 3 and 4 that can be judged from bytes and lengths alone. Each is one clause. */
enum addcow_rule {
    ADDCOW_RULE_NONE = 0,
    ADDCOW_RULE_LENGTH,                /* HDR-01 */
    ADDCOW_RULE_MAGIC,                 /* HDR-02 */
    ADDCOW_RULE_FEATURES,              /* HDR-03 */
    ADDCOW_RULE_CLUSTER_BITS,          /* HDR-04 */
    ADDCOW_RULE_HEADER_SIZE,           /* HDR-05 */
    ADDCOW_RULE_HEADER_LENGTH,         /* HDR-06 */
    ADDCOW_RULE_BACKING_PRESENCE,      /* HDR-07 */
    ADDCOW_RULE_BACKING_RANGE,         /* HDR-08 */
    ADDCOW_RULE_BACKING_NUL,           /* HDR-09 */
    ADDCOW_RULE_IMAGE_PRESENCE,        /* HDR-10 */
    ADDCOW_RULE_IMAGE_RANGE,           /* HDR-11 */
    ADDCOW_RULE_IMAGE_NUL,             /* HDR-12 */
    ADDCOW_RULE_NAMES_OVERLAP,         /* HDR-13 */
    ADDCOW_RULE_BACKING_FORMAT,        /* HDR-14 */
    ADDCOW_RULE_BACKING_FORMAT_ABSENT, /* HDR-15 */
    ADDCOW_RULE_IMAGE_FORMAT,          /* HDR-16 */
    ADDCOW_RULE_IMAGE_FORMAT_ABSENT,   /* HDR-17 */
    ADDCOW_RULE_PADDING,               /* HDR-18 */
    ADDCOW_RULE_NAMES_EQUAL,           /* HDR-19 */
    ADDCOW_RULE_R9_VERSION,            /* HR9-01 */
    ADDCOW_RULE_R9_BACKING_NUL,        /* HR9-02 */
    ADDCOW_RULE_R9_BACKING_ABSENT,     /* HR9-03 */
    ADDCOW_RULE_R9_IMAGE_NUL,          /* HR9-04 */
    ADDCOW_RULE_R9_IMAGE_ABSENT,       /* HR9-05 */
    ADDCOW_RULE_R9_PADDING,            /* HR9-06 */
    ADDCOW_RULE_R9_NAMES_EQUAL,        /* HR9-07 */
    ADDCOW_RULE_BITMAP_LENGTH,         /* BMP-03 */
    ADDCOW_RULE_NAME_PROTOCOL,         /* LNK-02 */
    ADDCOW_RULE_IMAGE_FORMAT_RAW,      /* LNK-03 */
    ADDCOW_RULE_BACKING_FORMAT_KNOWN,  /* LNK-04 */
    ADDCOW_RULE_VIRTUAL_SIZE,          /* VRT-01 */
    ADDCOW_RULE_COUNT
};

enum addcow_layout { ADDCOW_R20 = 20, ADDCOW_R9 = 9 };

#define ADDCOW_CLUSTER_BITS_MIN 12u
#define ADDCOW_CLUSTER_BITS_MAX 21u
#define ADDCOW_CLUSTER_BITS_DEFAULT 16u
#define ADDCOW_HEADER_MIN 4096u
#define ADDCOW_NAMES_OFFSET 76u
#define ADDCOW_FORMAT_SIZE 16u
#define ADDCOW_COMPATIBLE_OFFSET 32u
#define ADDCOW_ALL_ALLOCATED 1u /* bit of compatible_features */
#define ADDCOW_R9_BACKING_OFFSET 12u
#define ADDCOW_R9_IMAGE_OFFSET 1036u
#define ADDCOW_R9_NAME_SIZE 1024u
#define ADDCOW_SIZE_MAX 0x4000000000000000u /* VRT-01 */

/*
 * A decoded header of either layout. The names are not copied: they stand at name_offset in the file's bytes, name_size
 * bytes long without a NUL. For r9 the fields that the layout lacks have the values of HR9-08.
 */
struct addcow_header {
    uint32_t layout; /* enum addcow_layout */
    uint32_t cluster_bits;
    uint32_t header_size;    /* bytes */
    uint32_t backing_offset; /* 0 with backing_size 0: no backing file */
    uint32_t backing_size;
    uint32_t image_offset;
    uint32_t image_size;
    uint64_t features;
    uint64_t compatible_features;
    uint8_t backing_format[ADDCOW_FORMAT_SIZE];
    uint8_t image_format[ADDCOW_FORMAT_SIZE];
};

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
/*@ requires class_code <= ADDCOW_BUSY;
    terminates \true;
    assigns \nothing;
*/
const char *addcow_status_name(enum addcow_status class_code);

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
    ensures none: \result == ADDCOW_RULE_NONE <==> valid_header{Pre}(file, length); // HDR-01..19, HR9-01..07
    ensures first: \result != ADDCOW_RULE_NONE ==> first_broken{Pre}(file, length, \result);
    ensures fields: \result == ADDCOW_RULE_NONE ==> decodes_to{Pre, Post}(file, header); // HDR-20, HR9-08
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
    ensures answer: \result == 1 <==> rule_holds(file, length, rule); // CHK-01
*/
int addcow_header_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule);

/*
 * Encodes a header: writes exactly header->header_size bytes to `out`, which has room for `capacity`. backing_name and
 * image_name hold backing_size and image_size bytes (backing_name may be null when there is none). Returns
 * ADDCOW_RULE_NONE, or the first rule that the result would break; then `out` is unspecified.
 */
/*@ requires \valid_read(header) && \valid(out + (0 .. capacity - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1];
    ensures valid: \result == ADDCOW_RULE_NONE ==> valid_header(out, capacity); // HDR-22
    ensures fields: \result == ADDCOW_RULE_NONE ==> decodes_to{Post, Pre}(out, header); // HDR-21
    ensures names: \result == ADDCOW_RULE_NONE ==>
      names_match{Post, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures complete: encodable{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity) ==>
      \result == ADDCOW_RULE_NONE;
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
    ensures value: \result == clusters(size, cluster_size); // BMP-02
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
    ensures r9: header->layout == ADDCOW_R9 ==> // BMP-04
      \result == header->header_size + bitmap_bytes(size, cluster_of(header->cluster_bits));
    ensures r20: header->layout == ADDCOW_R20 ==> \result == header->header_size +
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
    ensures LNK_02: // LNK-02
      \result == ADDCOW_RULE_NAME_PROTOCOL <==> !lnk_02(header, (uint8_t *)backing_name, (uint8_t *)image_name);
    ensures LNK_03: \result == ADDCOW_RULE_IMAGE_FORMAT_RAW ==> !lnk_03(header); // LNK-03
    ensures LNK_04: // LNK-04
      \result == ADDCOW_RULE_BACKING_FORMAT_KNOWN ==> lnk_03(header) && !lnk_04(header);
    ensures VRT_01: // VRT-01
      \result == ADDCOW_RULE_VIRTUAL_SIZE ==> lnk_03(header) && lnk_04(header) && image_length > ADDCOW_SIZE_MAX;
    ensures BMP_03: // BMP-03
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

/* ---- Requests (section 6) ---- Each returns ADDCOW_OK, or ADDCOW_RANGE and then has touched nothing. */

/*@ requires valid_disk(disk);
    requires within(disk, offset, length) ==> \valid(buffer + (0 .. length - 1)) && foreign(disk, buffer, length);
    terminates \true;
    assigns buffer[0 .. length - 1];
    ensures class: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE); // REQ-01
    ensures data: within(disk, offset, length) ==> // RD-01
      \forall integer i; offset <= i < offset + length ==> buffer[i - offset] == virt(disk, i);
    ensures refused: !within(disk, offset, length) ==>
      \forall integer k; 0 <= k < length ==> buffer[k] == \old(buffer[k]);
*/
enum addcow_status addcow_ref_read(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer);
/*@ requires valid_disk(disk);
    requires within(disk, offset, length) && length > 0 ==>
      \valid_read(buffer + (0 .. length - 1)) && foreign(disk, (uint8_t *)buffer, length) && buffer != \null;
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures class: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE); // REQ-01
    ensures data: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> virt(disk, i) == \old(buffer[i - offset]); // WR-01
    ensures before: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, 0, offset);
    ensures after: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: within(disk, offset, length) ==>
      \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==> // WR-02, REQ-02, MAP-02
        \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: \forall integer i; 0 <= i < disk->capacity && // WR-05
      !(within(disk, offset, length) && meets(offset, length, disk->cluster_size, i / disk->cluster_size)) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures refused: !within(disk, offset, length) ==>
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
enum addcow_status addcow_ref_write(struct addcow_ref *disk, uint64_t offset, uint64_t length, const uint8_t *buffer);
/*@ requires valid_disk(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures class: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE); // REQ-01
    ensures data: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> virt(disk, i) == 0; // ZR-01
    ensures before: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, 0, offset);
    ensures after: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: within(disk, offset, length) ==>
      \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==> // WR-02, REQ-02, MAP-02
        \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: \forall integer i; 0 <= i < disk->capacity && // WR-05
      !(within(disk, offset, length) && meets(offset, length, disk->cluster_size, i / disk->cluster_size)) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures refused: !within(disk, offset, length) ==>
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
enum addcow_status addcow_ref_zero(struct addcow_ref *disk, uint64_t offset, uint64_t length);
/*@ requires valid_disk(disk);
    terminates \true;
    assigns disk->image[0 .. disk->size - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures class: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE); // REQ-01
    ensures data: within(disk, offset, length) ==>
      \forall integer i; offset <= i < offset + length ==> virt(disk, i) == 0; // DC-01
    ensures before: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, 0, offset);
    ensures after: within(disk, offset, length) ==> virt_same{Pre, Post}(disk, offset + length, disk->size);
    ensures bits: within(disk, offset, length) ==>
      \forall integer k; 0 <= k < bits_of(disk) ==> (bit(disk->bitmap, k) <==> // WR-02, REQ-02, MAP-02
        \old(bit(disk->bitmap, k)) || (disk->all_allocated == 0 && meets(offset, length, disk->cluster_size, k)));
    ensures image: \forall integer i; 0 <= i < disk->capacity && // WR-05
      !(within(disk, offset, length) && meets(offset, length, disk->cluster_size, i / disk->cluster_size)) ==>
      disk->image[i] == \old(disk->image[i]);
    ensures refused: !within(disk, offset, length) ==>
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
*/
enum addcow_status addcow_ref_discard(struct addcow_ref *disk, uint64_t offset, uint64_t length);

/* MAP-01: *allocated becomes 0 or 1, *run the length in bytes of the longest run of that status in the range. */
/*@ requires valid_disk(disk) && \valid(allocated) && \valid(run) && \separated(allocated, disk) &&
  \separated(run, disk);
    requires \separated(allocated, run);
    terminates \true;
    assigns *allocated, *run;
    ensures class: \result == (offset <= disk->size &&
      length <= disk->size - offset ? ADDCOW_OK : ADDCOW_RANGE); // REQ-01
    ensures bool: within(disk, offset, length) ==> *allocated == 0 || *allocated == 1;
    ensures empty: within(disk, offset, length) && length == 0 ==> *allocated == 0 && *run == 0; // MAP-03
    ensures bounds: within(disk, offset, length) && length > 0 ==> 1 <= *run <= length;
    ensures status: within(disk, offset, length) && length > 0 ==> // MAP-01
      \forall integer i; offset <= i < offset + *run ==>
        (*allocated == 1 <==> allocated(disk, i / disk->cluster_size));
    ensures longest: within(disk, offset, length) && *run < length ==> // MAP-01
      !(*allocated == 1 <==> allocated(disk, (offset + *run) / disk->cluster_size));
    ensures refused: !within(disk, offset, length) ==> *allocated == \old(*allocated) && *run == \old(*run);
*/
enum addcow_status addcow_ref_map(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint32_t *allocated,
                                  uint64_t *run);

/* ---- Whole-disk operations (sections 8 and 9) ---- */

/* ADDCOW_RANGE if new_size > ADDCOW_SIZE_MAX; ADDCOW_NOSPACE if it is above the capacity. */
/*@ requires valid_disk(disk) && \valid(disk);
    terminates \true;
    assigns disk->size, disk->image[0 .. disk->capacity - 1], disk->bitmap[0 .. bitmap_bytes(disk->capacity,
      disk->cluster_size) - 1];
    ensures class: \result == (new_size > ADDCOW_SIZE_MAX ? ADDCOW_RANGE : // RSZ-09
      new_size > disk->capacity ? ADDCOW_NOSPACE : ADDCOW_OK);
    ensures size: \result == ADDCOW_OK ==> disk->size == new_size; // RSZ-01
    ensures refused: \result != ADDCOW_OK ==> disk->size == \old(disk->size) && // RSZ-07
      virt_same{Pre, Post}(disk, 0, disk->size) && same_bits{Pre, Post}(disk, 0, bits_of(disk));
    ensures kept: \result == ADDCOW_OK ==> virt_same{Pre, Post}(disk, 0, \min(new_size,
      \old(disk->size))); // RSZ-02, RSZ-05
    ensures zero: \result == ADDCOW_OK ==> // RSZ-02, RSZ-06
      \forall integer i; \old(disk->size) <= i < new_size ==> virt(disk, i) == 0;
    ensures grown: \result == ADDCOW_OK && new_size > \old(disk->size) ==> // RSZ-03
      \forall integer k; 0 <= k < clusters(new_size, disk->cluster_size) ==>
        (bit(disk->bitmap, k) <==> grown_bit{Pre}(disk, new_size, k));
    ensures shrunk: \result == ADDCOW_OK && new_size <= \old(disk->size) ==>
      same_bits{Pre, Post}(disk, 0, clusters(new_size, disk->cluster_size));
    ensures valid: valid_disk(disk);
*/
enum addcow_status addcow_ref_resize(struct addcow_ref *disk, uint64_t new_size);

/* STR: allocates every cluster, then sets all_allocated if `flag` is 1 (r20; 0 for r9). */
/*@ requires valid_disk(disk) && \valid(disk) && flag <= 1;
    terminates \true;
    assigns disk->all_allocated, disk->image[0 .. disk->size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures same: virt_same{Pre, Post}(disk, 0, disk->size); // STR-01
    ensures bits: \forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==>
      bit(disk->bitmap, k); // VRT-05
    ensures flag: disk->all_allocated == (flag == 1 ? 1 : \old(disk->all_allocated)); // STR-02
    ensures image: \forall integer i; 0 <= i < disk->size ==> virt(disk, i) == disk->image[i]; // STR-02
    ensures valid: valid_disk(disk);
*/
void addcow_ref_stream(struct addcow_ref *disk, uint32_t flag);

/* CMT: ADDCOW_UNSUPPORTED without a backing file, ADDCOW_RANGE if it is too short. */
/*@ requires valid_disk(disk) && \valid(disk);
    terminates \true;
    assigns disk->all_allocated, disk->backing[0 .. disk->backing_size - 1],
      disk->bitmap[0 .. bitmap_bytes(disk->capacity, disk->cluster_size) - 1];
    ensures alone: \result == ADDCOW_UNSUPPORTED <==> disk->has_backing == 0; // CMT-02
    ensures short_backing: \result == ADDCOW_RANGE <==>
      disk->has_backing != 0 && !backing_reaches{Pre}(disk); // CMT-02
    ensures done: \result == ADDCOW_OK <==> disk->has_backing != 0 && backing_reaches{Pre}(disk);
    ensures same: virt_same{Pre, Post}(disk, 0, disk->size); // CMT-01, CMT-03
    ensures clear: \result == ADDCOW_OK ==> disk->all_allocated == 0 && // CMT-01
      (\forall integer k; 0 <= k < clusters(disk->size, disk->cluster_size) ==> !bit(disk->bitmap, k));
    ensures backing: \result == ADDCOW_OK ==>
      \forall integer i; 0 <= i < disk->size && i < disk->backing_size ==> disk->backing[i] == virt(disk, i);
    ensures refused: \result != ADDCOW_OK ==> disk->all_allocated == \old(disk->all_allocated) &&
      same_bits{Pre, Post}(disk, 0, bits_of(disk)) &&
      (\forall integer i; 0 <= i < disk->backing_size ==> disk->backing[i] == \old(disk->backing[i]));
    ensures valid: valid_disk(disk);
*/
enum addcow_status addcow_ref_commit(struct addcow_ref *disk);

#endif

/*
 * What the contracts of the header codec speak about: sections 2 to 4 of spec/add-cow.md as logic. Only the prover
 * reads this.
 *
 * Each rule of the header is one predicate of the file's bytes, named after its clause. `rule_holds` says what "this
 * rule holds" means for a checker, and `valid_header` is section 2.
 *
 * Everything is a definition. There is no axiom.
 */
#ifndef ADDCOW_MODEL_H
#define ADDCOW_MODEL_H

/*@
  // ---- Bytes ----

  // The numbers at an offset of b. The offset is an argument, as provers do not see that (b + 4)[1] is b[5].
  logic integer le32{L}(uint8_t *b, integer at) =
    b[at] + 0x100 * b[at + 1] + 0x10000 * b[at + 2] + 0x1000000 * b[at + 3];
  logic integer le64{L}(uint8_t *b, integer at) = le32(b, at) + 0x100000000 * le32(b, at + 4);

  predicate no_nul{L}(uint8_t *p, integer n) = \forall integer k; 0 <= k < n ==> p[k] != 0;
  predicate zeros{L}(uint8_t *p, integer a, integer b) = \forall integer k; a <= k < b ==> p[k] == 0;
  predicate equal{L}(uint8_t *p, uint8_t *q, integer n) = \forall integer k; 0 <= k < n ==> p[k] == q[k];

  // k is the place of the first NUL of n bytes, and there is nothing but zeros from it on.
  predicate ends_at{L}(uint8_t *p, integer n, integer k) =
    0 <= k < n && no_nul(p, k) && p[k] == 0 && zeros(p, k, n);
  predicate padded_text{L}(uint8_t *p, integer n) = \exists integer k; ends_at(p, n, k);

  predicate text_raw{L}(uint8_t *p) = p[0] == 'r' && p[1] == 'a' && p[2] == 'w' && zeros(p, 3, 16);
  predicate text_addcow{L}(uint8_t *p) = p[0] == 'a' && p[1] == 'd' && p[2] == 'd' && p[3] == '-' && p[4] == 'c' &&
    p[5] == 'o' && p[6] == 'w' && zeros(p, 7, 16);

  // ---- Sizes ----

  // 2^bits, for bits in 12..21
  logic integer cluster_of(integer bits) =
    bits == 12 ? 4096 : bits == 13 ? 8192 : bits == 14 ? 16384 : bits == 15 ? 32768 : bits == 16 ? 65536 :
    bits == 17 ? 131072 : bits == 18 ? 262144 : bits == 19 ? 524288 : bits == 20 ? 1048576 : 2097152;

  // ceil(size / cluster), BMP-02
  logic integer clusters(integer size, integer cluster) = (size + cluster - 1) / cluster;
  logic integer bitmap_bytes(integer size, integer cluster) = (clusters(size, cluster) + 7) / 8;

  predicate cluster_size_ok(integer cluster) = 4096 <= cluster <= 2097152;

  // ---- The fields of r20 (section 2.1) ----

  logic integer backing_offset{L}(uint8_t *b) = le32(b, 4);
  logic integer backing_size{L}(uint8_t *b) = le32(b, 8);
  logic integer image_offset{L}(uint8_t *b) = le32(b, 12);
  logic integer image_size{L}(uint8_t *b) = le32(b, 16);
  logic integer cluster_bits{L}(uint8_t *b) = le32(b, 20);
  logic integer header_size{L}(uint8_t *b) = le32(b, 40);

  predicate is_r20{L}(uint8_t *b) = le32(b, 0) == 0x574F4341;
  predicate is_r9{L}(uint8_t *b) = le32(b, 0) == 0x5F444441 && le32(b, 4) == 0xFF574F43;

  predicate in_header(integer offset, integer size, integer header) = 76 <= offset && offset + size <= header;
  predicate in_name(integer k, integer offset, integer size) = offset <= k < offset + size;
  predicate disjoint(integer a, integer a_size, integer b, integer b_size) = a + a_size <= b || b + b_size <= a;

  // ---- The rules, one predicate a clause ----

  predicate hdr_01(integer length) = length >= 4096;
  predicate hdr_02{L}(uint8_t *b) = is_r20(b) || is_r9(b);
  predicate hdr_03{L}(uint8_t *b) = le64(b, 24) == 0;
  predicate hdr_04{L}(uint8_t *b) = 12 <= cluster_bits(b) <= 21;
  predicate hdr_05{L}(uint8_t *b) = header_size(b) == cluster_of(cluster_bits(b));
  predicate hdr_06{L}(uint8_t *b, integer length) = length >= header_size(b);
  predicate hdr_07{L}(uint8_t *b) = backing_offset(b) == 0 <==> backing_size(b) == 0;
  predicate hdr_08{L}(uint8_t *b) =
    backing_size(b) == 0 || in_header(backing_offset(b), backing_size(b), header_size(b));
  predicate hdr_09{L}(uint8_t *b) = no_nul(b + backing_offset(b), backing_size(b));
  predicate hdr_10{L}(uint8_t *b) = image_offset(b) != 0 && image_size(b) != 0;
  predicate hdr_11{L}(uint8_t *b) = in_header(image_offset(b), image_size(b), header_size(b));
  predicate hdr_12{L}(uint8_t *b) = no_nul(b + image_offset(b), image_size(b));
  predicate hdr_13{L}(uint8_t *b) = disjoint(backing_offset(b), backing_size(b), image_offset(b), image_size(b));
  predicate hdr_14{L}(uint8_t *b) = padded_text(b + 44, 16);
  predicate hdr_15{L}(uint8_t *b) = b[44] == 0 <==> backing_size(b) == 0;
  predicate hdr_16{L}(uint8_t *b) = padded_text(b + 60, 16);
  predicate hdr_17{L}(uint8_t *b) = b[60] != 0;
  predicate hdr_18{L}(uint8_t *b) = \forall integer k; 76 <= k < header_size(b) &&
    !in_name(k, backing_offset(b), backing_size(b)) && !in_name(k, image_offset(b), image_size(b)) ==> b[k] == 0;
  predicate hdr_19{L}(uint8_t *b) =
    !(backing_size(b) == image_size(b) && equal(b + backing_offset(b), b + image_offset(b), image_size(b)));

  predicate hr9_01{L}(uint8_t *b) = le32(b, 8) == 1;
  predicate hr9_02{L}(uint8_t *b) = padded_text(b + 12, 1024);
  predicate hr9_03{L}(uint8_t *b) = b[12] != 0;
  predicate hr9_04{L}(uint8_t *b) = padded_text(b + 1036, 1024);
  predicate hr9_05{L}(uint8_t *b) = b[1036] != 0;
  predicate hr9_06{L}(uint8_t *b) = zeros(b, 2060, 4096);
  predicate hr9_07{L}(uint8_t *b) = !equal(b + 12, b + 1036, 1024);

  // ---- Valid headers ----

  // HDR-03 to HDR-06
  predicate sized{L}(uint8_t *b, integer length) = hdr_03(b) && hdr_04(b) && hdr_05(b) && hdr_06(b, length);
  // HDR-07 to HDR-12
  predicate named{L}(uint8_t *b) = hdr_07(b) && hdr_08(b) && hdr_09(b) && hdr_10(b) && hdr_11(b) && hdr_12(b);
  // HDR-13 to HDR-19
  predicate filled{L}(uint8_t *b) =
    hdr_13(b) && hdr_14(b) && hdr_15(b) && hdr_16(b) && hdr_17(b) && hdr_18(b) && hdr_19(b);
  predicate valid_r20{L}(uint8_t *b, integer length) = is_r20(b) && sized(b, length) && named(b) && filled(b);
  predicate valid_r9{L}(uint8_t *b) = is_r9(b) && hr9_01(b) && hr9_02(b) && hr9_03(b) && hr9_04(b) && hr9_05(b) &&
    hr9_06(b) && hr9_07(b);
  predicate valid_header{L}(uint8_t *b, integer length) = hdr_01(length) && (valid_r20(b, length) || valid_r9(b));

  // ---- Rules by themselves: a rule holds if what it builds on is broken ----

  predicate size_known{L}(uint8_t *b) = hdr_04(b) && hdr_05(b);
  predicate complete{L}(uint8_t *b, integer length) = size_known(b) && hdr_06(b, length);
  predicate backing_located{L}(uint8_t *b) = size_known(b) && hdr_07(b) && hdr_08(b);
  predicate image_located{L}(uint8_t *b) = size_known(b) && hdr_10(b) && hdr_11(b);

  predicate field_rule{L}(uint8_t *b, integer length, integer rule) =
    (rule == ADDCOW_RULE_FEATURES ==> hdr_03(b)) &&
    (rule == ADDCOW_RULE_CLUSTER_BITS ==> hdr_04(b)) &&
    (rule == ADDCOW_RULE_HEADER_SIZE ==> hdr_04(b) ==> hdr_05(b)) &&
    (rule == ADDCOW_RULE_HEADER_LENGTH ==> size_known(b) ==> hdr_06(b, length)) &&
    (rule == ADDCOW_RULE_BACKING_PRESENCE ==> hdr_07(b)) &&
    (rule == ADDCOW_RULE_IMAGE_PRESENCE ==> hdr_10(b)) &&
    (rule == ADDCOW_RULE_BACKING_FORMAT ==> hdr_14(b)) &&
    (rule == ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> hdr_07(b) ==> hdr_15(b)) &&
    (rule == ADDCOW_RULE_IMAGE_FORMAT ==> hdr_16(b)) &&
    (rule == ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> hdr_17(b));

  predicate name_rule{L}(uint8_t *b, integer length, integer rule) =
    (rule == ADDCOW_RULE_BACKING_RANGE ==> size_known(b) && hdr_07(b) ==> hdr_08(b)) &&
    (rule == ADDCOW_RULE_BACKING_NUL ==> complete(b, length) && backing_located(b) ==> hdr_09(b)) &&
    (rule == ADDCOW_RULE_IMAGE_RANGE ==> size_known(b) && hdr_10(b) ==> hdr_11(b)) &&
    (rule == ADDCOW_RULE_IMAGE_NUL ==> complete(b, length) && image_located(b) ==> hdr_12(b)) &&
    (rule == ADDCOW_RULE_NAMES_OVERLAP ==> backing_located(b) && image_located(b) ==> hdr_13(b)) &&
    (rule == ADDCOW_RULE_PADDING ==>
      complete(b, length) && backing_located(b) && image_located(b) ==> hdr_18(b)) &&
    (rule == ADDCOW_RULE_NAMES_EQUAL ==>
      complete(b, length) && backing_located(b) && image_located(b) ==> hdr_19(b));

  predicate r9_rule{L}(uint8_t *b, integer rule) =
    (rule == ADDCOW_RULE_R9_VERSION ==> hr9_01(b)) &&
    (rule == ADDCOW_RULE_R9_BACKING_NUL ==> hr9_02(b)) &&
    (rule == ADDCOW_RULE_R9_BACKING_ABSENT ==> hr9_03(b)) &&
    (rule == ADDCOW_RULE_R9_IMAGE_NUL ==> hr9_04(b)) &&
    (rule == ADDCOW_RULE_R9_IMAGE_ABSENT ==> hr9_05(b)) &&
    (rule == ADDCOW_RULE_R9_PADDING ==> hr9_06(b)) &&
    (rule == ADDCOW_RULE_R9_NAMES_EQUAL ==> hr9_02(b) && hr9_04(b) ==> hr9_07(b));

  predicate rule_holds{L}(uint8_t *b, integer length, integer rule) =
    (rule == ADDCOW_RULE_LENGTH ==> hdr_01(length)) &&
    (hdr_01(length) ==>
      (rule == ADDCOW_RULE_MAGIC ==> hdr_02(b)) &&
      (is_r20(b) ==> field_rule(b, length, rule) && name_rule(b, length, rule)) &&
      (is_r9(b) ==> r9_rule(b, rule)));

  // `rule` is broken, and no rule that stands before it in the spec.
  predicate first_broken{L}(uint8_t *b, integer length, integer rule) =
    !rule_holds(b, length, rule) && (\forall integer r; ADDCOW_RULE_NONE < r < rule ==> rule_holds(b, length, r));

  // What a decoder may look at: the first 4096 bytes, and then the header that they announce.
  predicate readable{L}(uint8_t *b, integer length) =
    \valid_read(b + (0 .. (length < 4096 ? length : 4096) - 1)) &&
    (length >= 4096 && is_r20(b) && complete(b, length) ==> \valid_read(b + (0 .. header_size(b) - 1)));

  // ---- Decoded headers ----

  // The bytes are those of label B, the header is that of label H.
  predicate numbers_stored{B, H}(uint8_t *b, struct addcow_header *h) =
    \at(h->cluster_bits, H) == cluster_bits{B}(b) && \at(h->header_size, H) == header_size{B}(b) &&
    \at(h->backing_offset, H) == backing_offset{B}(b) && \at(h->backing_size, H) == backing_size{B}(b) &&
    \at(h->image_offset, H) == image_offset{B}(b) && \at(h->image_size, H) == image_size{B}(b) &&
    \at(h->features, H) == le64{B}(b, 24) && \at(h->compatible_features, H) == le64{B}(b, 32);

  predicate numbers_match{B, H}(uint8_t *b, struct addcow_header *h) =
    \at(h->layout, H) == ADDCOW_R20 && numbers_stored{B, H}(b, h);

  predicate formats_match{B, H}(uint8_t *b, struct addcow_header *h) = \forall integer k; 0 <= k < 16 ==>
    \at(h->backing_format[k], H) == \at(b[44 + k], B) && \at(h->image_format[k], H) == \at(b[60 + k], B);

  // HR9-08
  predicate fields_r9{B, H}(uint8_t *b, struct addcow_header *h) =
    \at(h->layout, H) == ADDCOW_R9 && \at(h->cluster_bits, H) == 16 && \at(h->header_size, H) == 4096 &&
    \at(h->backing_offset, H) == 12 && \at(h->image_offset, H) == 1036 &&
    ends_at{B}(b + 12, 1024, \at(h->backing_size, H)) && ends_at{B}(b + 1036, 1024, \at(h->image_size, H)) &&
    \at(h->features, H) == 0 && \at(h->compatible_features, H) == 0 &&
    \at(text_raw((uint8_t *)h->backing_format), H) && \at(text_raw((uint8_t *)h->image_format), H);

  // `h` says what the bytes say. At most one h does, for valid bytes.
  predicate decodes_to{B, H}(uint8_t *b, struct addcow_header *h) =
    (is_r20{B}(b) ==> numbers_match{B, H}(b, h) && formats_match{B, H}(b, h)) &&
    (!is_r20{B}(b) ==> fields_r9{B, H}(b, h));

  // ---- Encoding ----

  predicate equal{L1, L2}(uint8_t *p, integer n) = \forall integer k; 0 <= k < n ==> \at(p[k], L1) == \at(p[k], L2);

  // What encode is given may overlap in no way with what it writes.
  predicate apart{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, uint8_t *out, integer capacity) =
    \valid_read(backing + (0 .. h->backing_size - 1)) && \valid_read(image + (0 .. h->image_size - 1)) &&
    \separated(h, out + (0 .. capacity - 1)) &&
    \separated(backing + (0 .. h->backing_size - 1), out + (0 .. capacity - 1)) &&
    \separated(image + (0 .. h->image_size - 1), out + (0 .. capacity - 1));

  // A name stands at an offset of b. The bytes are those of label B, the name is that of label N.
  predicate name_at{B, N}(uint8_t *b, integer offset, uint8_t *name, integer size) =
    \forall integer k; 0 <= k < size ==> \at(b[offset + k], B) == \at(name[k], N);

  // The bytes at the names' places are the names. The bytes are those of label B, the names those of label N.
  predicate names_match{B, N}(uint8_t *b, struct addcow_header *h, uint8_t *backing, uint8_t *image) =
    name_at{B, N}(b, \at(h->backing_offset, N), backing, \at(h->backing_size, N)) &&
    name_at{B, N}(b, \at(h->image_offset, N), image, \at(h->image_size, N));

  // HDR-07 to HDR-19, said of the fields and names
  predicate content_encodable{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image) =
    (h->backing_offset == 0 <==> h->backing_size == 0) &&
    (h->backing_size == 0 || in_header(h->backing_offset, h->backing_size, h->header_size)) &&
    no_nul(backing, h->backing_size) && h->image_offset != 0 && h->image_size != 0 &&
    in_header(h->image_offset, h->image_size, h->header_size) && no_nul(image, h->image_size) &&
    disjoint(h->backing_offset, h->backing_size, h->image_offset, h->image_size) &&
    padded_text((uint8_t *)h->backing_format, 16) && padded_text((uint8_t *)h->image_format, 16) &&
    (h->backing_format[0] == 0 <==> h->backing_size == 0) && h->image_format[0] != 0 &&
    !(h->backing_size == h->image_size && equal(backing, image, h->image_size));

  // The headers of r20 that have an encoding: section 2.1, said of the fields and names
  predicate encodable_r20{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer capacity) =
    h->layout == ADDCOW_R20 && h->features == 0 && 12 <= h->cluster_bits <= 21 &&
    h->header_size == cluster_of(h->cluster_bits) && h->header_size <= capacity &&
    content_encodable(h, backing, image);

  predicate expressible_r9{L}(struct addcow_header *h) =
    h->features == 0 && h->compatible_features == 0 && h->cluster_bits == 16 && h->header_size == 4096 &&
    h->backing_offset == 12 && h->image_offset == 1036 &&
    text_raw((uint8_t *)h->backing_format) && text_raw((uint8_t *)h->image_format);

  // The headers of r9 that have an encoding: section 2.2 said of the fields and names.
  predicate encodable_r9{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image) =
    h->layout == ADDCOW_R9 && expressible_r9(h) &&
    1 <= h->backing_size <= 1023 && no_nul(backing, h->backing_size) &&
    1 <= h->image_size <= 1023 && no_nul(image, h->image_size) &&
    !(h->backing_size == h->image_size && equal(backing, image, h->image_size));

  predicate encodable{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer capacity) =
    capacity >= 4096 && (encodable_r20(h, backing, image, capacity) || encodable_r9(h, backing, image));

  // What encode is given keeps a rule, said of the fields and names: HDR-07 to HDR-19, ...
  predicate keeps_content{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer rule) =
    (rule == ADDCOW_RULE_BACKING_PRESENCE ==> (h->backing_offset == 0 <==> h->backing_size == 0)) &&
    (rule == ADDCOW_RULE_BACKING_RANGE ==>
      h->backing_size == 0 || in_header(h->backing_offset, h->backing_size, h->header_size)) &&
    (rule == ADDCOW_RULE_BACKING_NUL ==> no_nul(backing, h->backing_size)) &&
    (rule == ADDCOW_RULE_IMAGE_PRESENCE ==> h->image_offset != 0 && h->image_size != 0) &&
    (rule == ADDCOW_RULE_IMAGE_RANGE ==> in_header(h->image_offset, h->image_size, h->header_size)) &&
    (rule == ADDCOW_RULE_IMAGE_NUL ==> no_nul(image, h->image_size)) &&
    (rule == ADDCOW_RULE_NAMES_OVERLAP ==>
      disjoint(h->backing_offset, h->backing_size, h->image_offset, h->image_size)) &&
    (rule == ADDCOW_RULE_BACKING_FORMAT ==> padded_text((uint8_t *)h->backing_format, 16)) &&
    (rule == ADDCOW_RULE_BACKING_FORMAT_ABSENT ==> (h->backing_format[0] == 0 <==> h->backing_size == 0)) &&
    (rule == ADDCOW_RULE_IMAGE_FORMAT ==> padded_text((uint8_t *)h->image_format, 16)) &&
    (rule == ADDCOW_RULE_IMAGE_FORMAT_ABSENT ==> h->image_format[0] != 0) &&
    (rule == ADDCOW_RULE_NAMES_EQUAL ==>
      !(h->backing_size == h->image_size && equal(backing, image, h->image_size)));

  // ... all of r20 ...
  predicate keeps_r20{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer capacity, integer rule) =
    (rule == ADDCOW_RULE_FEATURES ==> h->features == 0) &&
    (rule == ADDCOW_RULE_CLUSTER_BITS ==> 12 <= h->cluster_bits <= 21) &&
    (rule == ADDCOW_RULE_HEADER_SIZE ==> h->header_size == cluster_of(h->cluster_bits)) &&
    (rule == ADDCOW_RULE_HEADER_LENGTH ==> h->header_size <= capacity) &&
    keeps_content(h, backing, image, rule);

  // ... and r9, which has no place for other values than these (HR9-08). The rule of r20 about a field names it.
  predicate keeps_r9{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer rule) =
    (rule == ADDCOW_RULE_FEATURES ==> h->features == 0 && h->compatible_features == 0) &&
    (rule == ADDCOW_RULE_CLUSTER_BITS ==> h->cluster_bits == 16) &&
    (rule == ADDCOW_RULE_HEADER_SIZE ==> h->header_size == 4096) &&
    (rule == ADDCOW_RULE_BACKING_RANGE ==> h->backing_offset == 12) &&
    (rule == ADDCOW_RULE_IMAGE_RANGE ==> h->image_offset == 1036) &&
    (rule == ADDCOW_RULE_BACKING_FORMAT ==> text_raw((uint8_t *)h->backing_format)) &&
    (rule == ADDCOW_RULE_IMAGE_FORMAT ==> text_raw((uint8_t *)h->image_format)) &&
    (rule == ADDCOW_RULE_R9_BACKING_NUL ==> h->backing_size <= 1023 && no_nul(backing, h->backing_size)) &&
    (rule == ADDCOW_RULE_R9_BACKING_ABSENT ==> h->backing_size != 0) &&
    (rule == ADDCOW_RULE_R9_IMAGE_NUL ==> h->image_size <= 1023 && no_nul(image, h->image_size)) &&
    (rule == ADDCOW_RULE_R9_IMAGE_ABSENT ==> h->image_size != 0) &&
    (rule == ADDCOW_RULE_R9_NAMES_EQUAL ==>
      !(h->backing_size == h->image_size && equal(backing, image, h->image_size)));

  predicate keeps{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer capacity, integer rule) =
    (rule == ADDCOW_RULE_LENGTH ==> capacity >= 4096) &&
    (rule == ADDCOW_RULE_MAGIC ==> h->layout == ADDCOW_R20 || h->layout == ADDCOW_R9) &&
    (h->layout == ADDCOW_R20 ==> keeps_r20(h, backing, image, capacity, rule)) &&
    (h->layout == ADDCOW_R9 ==> keeps_r9(h, backing, image, rule));

  // What encode is given breaks `rule`, and no rule that stands before it in the spec.
  predicate first_not_kept{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer capacity,
                              integer rule) =
    !keeps(h, backing, image, capacity, rule) &&
    (\forall integer r; ADDCOW_RULE_NONE < r < rule ==> keeps(h, backing, image, capacity, r));

  // Where a writer places the names.
  predicate hdr_22{L}(struct addcow_header *h) =
    (h->layout == ADDCOW_R20 ==>
      h->backing_offset == (h->backing_size == 0 ? 0 : 76) && h->image_offset == 76 + h->backing_size) &&
    (h->layout == ADDCOW_R9 ==> h->backing_offset == 12 && h->image_offset == 1036);

  // The first ':' of a name comes before its first '/' (LNK-02).
  predicate protocol{L}(uint8_t *name, integer size) = \exists integer k; 0 <= k < size && name[k] == ':' &&
    (\forall integer j; 0 <= j < k ==> name[j] != '/');

  // A header whose sizes can be computed with.
  predicate sane_header{L}(struct addcow_header *h) =
    12 <= h->cluster_bits <= 21 && h->header_size <= 2097152 && (h->layout == ADDCOW_R20 || h->layout == ADDCOW_R9);

  // ---- Opening (sections 3 to 5) ----

  predicate lnk_02{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image) =
    !protocol(backing, h->backing_size) && !protocol(image, h->image_size);
  predicate lnk_03{L}(struct addcow_header *h) = text_raw((uint8_t *)h->image_format);
  predicate lnk_04{L}(struct addcow_header *h) = h->backing_size == 0 ||
    text_raw((uint8_t *)h->backing_format) || text_addcow((uint8_t *)h->backing_format);
  predicate bmp_03{L}(struct addcow_header *h, integer file_length, integer image_length) =
    file_length >= h->header_size + bitmap_bytes(image_length, cluster_of(h->cluster_bits));
  predicate opens{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, integer file_length,
                     integer image_length) =
    lnk_02(h, backing, image) && lnk_03(h) && lnk_04(h) && image_length <= ADDCOW_SIZE_MAX &&
    bmp_03(h, file_length, image_length);
*/

#endif

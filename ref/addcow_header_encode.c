/*
 * Encodes a header (HDR-21, HDR-22).
 *
 * Encode writes what it was given and then lets the rules of addcow_header_rules.c judge the result, so nothing that
 * decode would refuse ever leaves it.
 */
#include "addcow_header_parts.h"

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
    codec_store32(out, 0, MAGIC_R20);
    codec_store32(out, BACKING_OFFSET, header->backing_offset);
    //@ assert m1: is_r20(out);
    codec_store32(out, BACKING_SIZE, header->backing_size);
    //@ assert m2: is_r20(out);
    //@ assert bo2: backing_offset(out) == header->backing_offset;
    codec_store32(out, IMAGE_OFFSET, header->image_offset);
    //@ assert m3: is_r20(out);
    //@ assert bo3: backing_offset(out) == header->backing_offset;
    //@ assert bs3: backing_size(out) == header->backing_size;
    codec_store32(out, IMAGE_SIZE, header->image_size);
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
    codec_store32(out, CLUSTER_BITS, header->cluster_bits);
    codec_store64(out, FEATURES, header->features);
    //@ assert cb1: cluster_bits(out) == header->cluster_bits;
    codec_store64(out, ADDCOW_COMPATIBLE_OFFSET, header->compatible_features);
    //@ assert cb2: cluster_bits(out) == header->cluster_bits;
    //@ assert f2: le64(out, 24) == header->features;
    codec_store32(out, HEADER_SIZE, header->header_size);
}

/*@ requires \valid(out + (44 .. 75)) && \valid_read(header) && \separated(header, out + (44 .. 75));
    terminates \true;
    assigns out[44 .. 75];
    ensures formats: formats_match{Post, Pre}(out, header);
*/
static void store_formats(const struct addcow_header *header, uint8_t *out)
{
    codec_copy_bytes(out + BACKING_FORMAT, header->backing_format, ADDCOW_FORMAT_SIZE);
    //@ assert image: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == \at(header->image_format[k], Pre);
    codec_copy_bytes(out + IMAGE_FORMAT, header->image_format, ADDCOW_FORMAT_SIZE);
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

/* Leaves out a name that does not lie within the header; the rules then find its range broken. */
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
    if (codec_name_in_header(offset, size, header_size)) {
        codec_copy_bytes(out + offset, name, size);
    }
}

/* Where the names share bytes, the backing name stands there: its rules come first. */
/*@ requires \valid_read(header) && 76 <= header->header_size && \valid(out + (0 .. header->header_size - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, header->header_size);
    terminates \true;
    assigns out[76 .. header->header_size - 1];
    ensures backing: in_header(header->backing_offset, header->backing_size, header->header_size) ==>
      \forall integer k; 0 <= k < header->backing_size ==> out[header->backing_offset + k] == \old(backing_name[k]);
    ensures image: in_header(header->image_offset, header->image_size, header->header_size) ==>
      \forall integer k; 0 <= k < header->image_size &&
        !in_name(header->image_offset + k, header->backing_offset, header->backing_size) ==>
        out[header->image_offset + k] == \old(image_name[k]);
    ensures padding: \forall integer k; 76 <= k < header->header_size &&
      !in_name(k, header->backing_offset, header->backing_size) &&
      !in_name(k, header->image_offset, header->image_size) ==> out[k] == 0;
*/
static void store_names(const struct addcow_header *header, const uint8_t *backing_name, const uint8_t *image_name,
                        uint8_t *out)
{
    uint32_t size = header->header_size;
    codec_zero_bytes(out, ADDCOW_NAMES_OFFSET, size);
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    store_name(image_name, header->image_offset, header->image_size, size, out);
    //@ assert backing_kept: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    store_name(backing_name, header->backing_offset, header->backing_size, size, out);
}

/*@
  // What texts say depends on their bytes alone.
  lemma text_kept{L1, L2}: \forall uint8_t *p, integer n;
    equal{L1, L2}(p, n) ==> no_nul{L1}(p, n) ==> no_nul{L2}(p, n);
  lemma end_kept{L1, L2}: \forall uint8_t *p, integer n, k;
    equal{L1, L2}(p, n) ==> ends_at{L1}(p, n, k) ==> ends_at{L2}(p, n, k);
  lemma padded_kept{L1, L2}: \forall uint8_t *p, integer n;
    equal{L1, L2}(p, n) ==> padded_text{L1}(p, n) ==> padded_text{L2}(p, n);
  lemma padded_same{L1, L2}: \forall uint8_t *p, integer n;
    equal{L1, L2}(p, n) ==> (padded_text{L1}(p, n) <==> padded_text{L2}(p, n));
*/

/*@
  // The names and the padding between them stand where the header says, as far as the places allow.
  predicate contents{L}(struct addcow_header *h, uint8_t *backing, uint8_t *image, uint8_t *b) =
    (in_header(h->backing_offset, h->backing_size, h->header_size) ==>
      \forall integer k; 0 <= k < h->backing_size ==> b[h->backing_offset + k] == backing[k]) &&
    (in_header(h->image_offset, h->image_size, h->header_size) ==>
      \forall integer k; 0 <= k < h->image_size &&
        !in_name(h->image_offset + k, h->backing_offset, h->backing_size) ==> b[h->image_offset + k] == image[k]) &&
    (\forall integer k; 76 <= k < h->header_size && !in_name(k, h->backing_offset, h->backing_size) &&
      !in_name(k, h->image_offset, h->image_size) ==> b[k] == 0);
*/

/* A lemma for the prover, as the other ghost functions below: equal bytes are equal texts. */
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

/* Copies p and q of a and b are texts if a and b are, and equal if a and b are. */
/*@ ghost
  /@ terminates \true;
     assigns \nothing;
     ensures first: (\forall integer k; 0 <= k < n ==> p[k] == a[k]) ==> (no_nul(a, n) <==> no_nul(p, n));
     ensures second: (\forall integer k; 0 <= k < n ==> q[k] == b[k]) ==> (no_nul(b, n) <==> no_nul(q, n));
     ensures equal: (\forall integer k; 0 <= k < n ==> p[k] == a[k]) &&
       (\forall integer k; 0 <= k < n ==> q[k] == b[k]) ==> (equal(p, q, n) <==> equal(a, b, n));
  @/
  static void same_pairs(uint8_t *p, uint8_t *a, uint8_t *q, uint8_t *b, uint32_t n)
  {
    return;
  }
*/

/* Each byte of p is one of a, or one of b at another place: p is a text if a and b are. */
/*@ ghost
  /@ terminates \true;
     assigns \nothing;
     ensures text: (\forall integer k; 0 <= k < n ==> p[k] == a[k] || (0 <= k + shift < m && p[k] == b[k + shift])) ==>
       no_nul(a, n) ==> no_nul(b, m) ==> no_nul(p, n);
  @/
  static void mixed_text(uint8_t *p, uint8_t *a, uint32_t n, uint8_t *b, uint32_t m, int64_t shift)
  {
    return;
  }
*/

/*@
  // The places of both names are right, as far as r20 has rules about that.
  predicate placed{L}(struct addcow_header *h) =
    (h->backing_offset == 0 <==> h->backing_size == 0) &&
    (h->backing_size == 0 || in_header(h->backing_offset, h->backing_size, h->header_size)) &&
    h->image_offset != 0 && h->image_size != 0 && in_header(h->image_offset, h->image_size, h->header_size);
  predicate apart_placed{L}(struct addcow_header *h) = placed(h) &&
    disjoint(h->backing_offset, h->backing_size, h->image_offset, h->image_size);
*/

/* What is stored keeps a rule of names if and only if the header does, and the earlier rules are kept. */
/*@ ghost
  /@ requires \valid_read(header);
     requires numbers: numbers_stored{Here, Here}(out, header);
     requires contents: contents(header, backing, image, out);
     terminates \true;
     assigns \nothing;
     ensures backing_presence: hdr_07(out) <==> (header->backing_offset == 0 <==> header->backing_size == 0);
     ensures backing_range: hdr_08(out) <==>
       header->backing_size == 0 || in_header(header->backing_offset, header->backing_size, header->header_size);
     ensures backing_text: hdr_08(out) ==> (hdr_09(out) <==> no_nul(backing, header->backing_size));
     ensures image_presence: hdr_10(out) <==> header->image_offset != 0 && header->image_size != 0;
     ensures image_range: hdr_11(out) <==> in_header(header->image_offset, header->image_size, header->header_size);
     ensures overlap: hdr_13(out) <==>
       disjoint(header->backing_offset, header->backing_size, header->image_offset, header->image_size);
     ensures image_text: placed(header) && no_nul(backing, header->backing_size) &&
       no_nul(image, header->image_size) ==> hdr_12(out);
     ensures image_text_alone: apart_placed(header) && hdr_12(out) ==> no_nul(image, header->image_size);
     ensures padding: hdr_18(out);
     ensures differ: apart_placed(header) ==> (hdr_19(out) <==>
       !(header->backing_size == header->image_size && equal(backing, image, header->image_size)));
  @/
  static void names_keep_rules(struct addcow_header *header, uint8_t *backing, uint8_t *image, uint8_t *out)
  {
    /@ assert backing_there:
         header->backing_size == 0 || in_header(header->backing_offset, header->backing_size, header->header_size) ==>
         \forall integer k; 0 <= k < header->backing_size ==> (out + header->backing_offset)[k] == backing[k]; @/
    /@ assert image_there: apart_placed(header) ==>
         \forall integer k; 0 <= k < header->image_size ==> (out + header->image_offset)[k] == image[k]; @/
    /@ assert image_mixed: placed(header) ==> \forall integer k; 0 <= k < header->image_size ==>
         (out + header->image_offset)[k] == image[k] ||
         (0 <= k + (header->image_offset - header->backing_offset) < header->backing_size &&
           (out + header->image_offset)[k] == backing[k + (header->image_offset - header->backing_offset)]); @/
    /@ assert backing_apart: apart_placed(header) ==>
         \forall integer k; 0 <= k < header->backing_size ==> (out + header->backing_offset)[k] == backing[k]; @/
    mixed_text(out + header->image_offset, image, header->image_size, backing, header->backing_size,
               (int64_t)header->image_offset - (int64_t)header->backing_offset);
    same_pairs(out + header->backing_offset, backing, out + header->image_offset, image, header->backing_size);
    same_pairs(out + header->backing_offset, backing, out + header->image_offset, image, header->image_size);
    /@ assert backing_pairs: apart_placed(header) && header->backing_size == header->image_size ==>
         \forall integer k; 0 <= k < header->image_size ==> (out + header->backing_offset)[k] == backing[k]; @/
    /@ assert pairs: apart_placed(header) && header->backing_size == header->image_size ==>
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
     ensures backing: hdr_14(out) <==> padded_text((uint8_t *)header->backing_format, 16);
     ensures backing_absent: hdr_15(out) <==> (header->backing_format[0] == 0 <==> header->backing_size == 0);
     ensures image: hdr_16(out) <==> padded_text((uint8_t *)header->image_format, 16);
     ensures image_absent: hdr_17(out) <==> header->image_format[0] != 0;
  @/
  static void formats_keep_rules(struct addcow_header *header, uint8_t *out)
  {
    //@ assert first: out[44] == header->backing_format[0] && out[60] == header->image_format[0];
    same_texts(out + 44, (uint8_t *)header->backing_format, 16);
    same_texts(out + 60, (uint8_t *)header->image_format, 16);
    return;
  }
*/

/* Stores the rest of the header behind the fields, and lets the rules judge the result. */
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
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_BACKING_PRESENCE <= \result <= ADDCOW_RULE_NAMES_EQUAL;
    ensures broken: \result != ADDCOW_RULE_NONE ==>
      !keeps_content{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, \result);
    ensures first: \forall integer r; ADDCOW_RULE_NONE < r < \result ==>
      keeps_content{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r);
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
    /*@ assert backing_stored: in_header(header->backing_offset, header->backing_size, header->header_size) ==>
          \forall integer k; 0 <= k < header->backing_size ==> out[header->backing_offset + k] == backing_name[k]; */
    /*@ assert image_stored: in_header(header->image_offset, header->image_size, header->header_size) ==>
          \forall integer k; 0 <= k < header->image_size &&
            !in_name(header->image_offset + k, header->backing_offset, header->backing_size) ==>
            out[header->image_offset + k] == image_name[k]; */
    //@ assert contents: contents(header, (uint8_t *)backing_name, (uint8_t *)image_name, out);
    /*@ ghost
      names_keep_rules((struct addcow_header *)header, (uint8_t *)backing_name, (uint8_t *)image_name, out);
      formats_keep_rules((struct addcow_header *)header, out);
    */
    /*@ assert backing_text: no_nul{Pre}((uint8_t *)backing_name, header->backing_size) <==>
          no_nul((uint8_t *)backing_name, header->backing_size); */
    /*@ assert image_text: no_nul{Pre}((uint8_t *)image_name, header->image_size) <==>
          no_nul((uint8_t *)image_name, header->image_size); */
    /*@ assert backing_format: padded_text{Pre}((uint8_t *)header->backing_format, 16) <==>
          padded_text((uint8_t *)header->backing_format, 16); */
    /*@ assert image_format: padded_text{Pre}((uint8_t *)header->image_format, 16) <==>
          padded_text((uint8_t *)header->image_format, 16); */
    /*@ assert kept: \forall integer r;
          keeps_content{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r) <==>
          keeps_content{Here}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r); */
    /*@ assert names: in_header(header->backing_offset, header->backing_size, header->header_size) &&
          in_header(header->image_offset, header->image_size, header->header_size) &&
          disjoint(header->backing_offset, header->backing_size, header->image_offset, header->image_size) ==>
          names_match{Here, Pre}(out, header, (uint8_t *)backing_name, (uint8_t *)image_name); */
    enum addcow_rule rule = codec_check_content(out);
    if (rule == ADDCOW_RULE_NAMES_OVERLAP && !codec_has_no_nul(image_name, header->image_size)) {
        return ADDCOW_RULE_IMAGE_NUL; /* the backing name covers the NUL */
    }
    return rule;
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
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_FEATURES <= \result <= ADDCOW_RULE_NAMES_EQUAL;
    ensures broken: \result != ADDCOW_RULE_NONE ==>
      !keeps_r20{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity, \result);
    ensures first: \forall integer r; ADDCOW_RULE_NONE < r < \result ==>
      keeps_r20{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity, r);
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
    rule = codec_check_size(out, capacity);
    /*@ assert backing_text: no_nul{Pre}((uint8_t *)backing_name, header->backing_size) <==>
          no_nul((uint8_t *)backing_name, header->backing_size); */
    /*@ assert image_text: no_nul{Pre}((uint8_t *)image_name, header->image_size) <==>
          no_nul((uint8_t *)image_name, header->image_size); */
    /*@ assert backing_format: padded_text{Pre}((uint8_t *)header->backing_format, 16) <==>
          padded_text((uint8_t *)header->backing_format, 16); */
    /*@ assert image_format: padded_text{Pre}((uint8_t *)header->image_format, 16) <==>
          padded_text((uint8_t *)header->image_format, 16); */
    /*@ assert kept: \forall integer r;
          keeps_content{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r) <==>
          keeps_content{Here}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r); */
    /*@ assert sized: encodable_r20{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity) ==>
          rule == ADDCOW_RULE_NONE; */
    if (rule != ADDCOW_RULE_NONE) {
        return rule;
    }
    return encode_content(header, backing_name, image_name, out);
}

/* r9 cannot store other values than these. The rule of r20 about the same field names the refusal. */
/*@ requires \valid_read(header);
    terminates \true;
    assigns \nothing;
    ensures none: \result == ADDCOW_RULE_NONE <==> expressible_r9(header);
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_FEATURES <= \result <= ADDCOW_RULE_IMAGE_FORMAT;
    ensures broken: \result != ADDCOW_RULE_NONE ==>
      \forall uint8_t *backing, *image; !keeps_r9(header, backing, image, \result);
    ensures first: \forall integer r, uint8_t *backing, *image; ADDCOW_RULE_NONE < r < \result ==>
      keeps_r9(header, backing, image, r);
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
    if (!codec_is_raw(header->backing_format)) {
        return ADDCOW_RULE_BACKING_FORMAT;
    }
    if (!codec_is_raw(header->image_format)) {
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
    codec_zero_bytes(field, 0, ADDCOW_R9_NAME_SIZE);
    if (size >= ADDCOW_R9_NAME_SIZE) {
        return 0;
    }
    codec_copy_bytes(field, name, size);
    return codec_has_no_nul(field, size);
}

/* Stored names are valid and present, and differ if the names do. */
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
     ensures image_absent: n == 0 ==> q[0] == 0;
     ensures differ: !(m == n && equal(backing, image, n)) <==> !equal(p, q, 1024);
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
    codec_store32(out, 0, MAGIC_R9_LOW);
    codec_store32(out, 4, MAGIC_R9_HIGH);
    //@ assert low: le32(out, 0) == MAGIC_R9_LOW;
    codec_store32(out, R9_VERSION, 1);
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
      no_nul{Pre}((uint8_t *)image_name, header->image_size) && header->backing_size != 0 ==>
      \result == ADDCOW_RULE_NONE;
    ensures present: \result == ADDCOW_RULE_NONE || \result == ADDCOW_RULE_R9_IMAGE_NUL ==> header->backing_size != 0;
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_R9_BACKING_NUL <= \result <= ADDCOW_RULE_R9_IMAGE_NUL;
    ensures broken: \result != ADDCOW_RULE_NONE ==>
      !keeps_r9{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, \result);
    ensures first: \forall integer r; ADDCOW_RULE_IMAGE_FORMAT < r <= ADDCOW_RULE_R9_IMAGE_NUL &&
      (r < \result || \result == ADDCOW_RULE_NONE) ==>
      keeps_r9{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r);
*/
static enum addcow_rule store_r9_names(const struct addcow_header *header, const uint8_t *backing_name,
                                       const uint8_t *image_name, uint8_t *out)
{
    if (!store_r9_name(backing_name, header->backing_size, out + ADDCOW_R9_BACKING_OFFSET)) {
        return ADDCOW_RULE_R9_BACKING_NUL;
    }
    if (header->backing_size == 0) {
        return ADDCOW_RULE_R9_BACKING_ABSENT;
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
    ensures code: \result == ADDCOW_RULE_NONE || ADDCOW_RULE_FEATURES <= \result <= ADDCOW_RULE_R9_NAMES_EQUAL;
    ensures broken: \result != ADDCOW_RULE_NONE ==>
      !keeps_r9{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, \result);
    ensures first: \forall integer r; ADDCOW_RULE_NONE < r < \result ==>
      keeps_r9{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r);
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
    codec_zero_bytes(out, R9_PADDING, ADDCOW_HEADER_MIN);
    //@ ghost Framed: ;
    //@ assert start: is_r9(out) && !is_r20(out) && hr9_01(out);
    //@ assert backing_still: equal{Pre, Here}((uint8_t *)backing_name, header->backing_size);
    //@ assert image_still: equal{Pre, Here}((uint8_t *)image_name, header->image_size);
    /*@ assert backing_text: no_nul{Pre}((uint8_t *)backing_name, header->backing_size) <==>
          no_nul((uint8_t *)backing_name, header->backing_size); */
    /*@ assert image_text: no_nul{Pre}((uint8_t *)image_name, header->image_size) <==>
          no_nul((uint8_t *)image_name, header->image_size); */
    /*@ assert kept: \forall integer r; ADDCOW_RULE_IMAGE_FORMAT < r <= ADDCOW_RULE_R9_IMAGE_ABSENT ==>
          (keeps_r9{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r) <==>
           keeps_r9{Here}(header, (uint8_t *)backing_name, (uint8_t *)image_name, r)); */
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
    return codec_check_r9(out);
}

enum addcow_rule addcow_encode(const struct addcow_header *header, const uint8_t *backing_name,
                               const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    if (!codec_long_enough(capacity)) {
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

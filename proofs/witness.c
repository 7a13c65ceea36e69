/*
 * Proofs about the public contracts together. Only the prover reads this; it is no part of the library.
 *
 * A contract of the form "if it succeeds, then ..." is empty if the function never succeeds. make_r20 and make_r9 build
 * headers that satisfy the precondition of encode's success. round_trip shows, from the public contracts alone, that
 * whatever can be encoded is decoded to the same header. reach_r20 and reach_r9 put the two together: there are headers
 * that go there and back.
 *
 * The round trip is proved for one layout at a time and one field at a time. Each step states only what the next step
 * needs: the provers fail where a whole header and all the rules of its bytes are in sight at once.
 *
 * The last functions rely on the rule that a refusal names, and on the places of new names.
 */
#include "addcow_header.h"

/*@ requires \valid(format + (0 .. 15));
    terminates \true;
    assigns format[0 .. 15];
    ensures raw: text_raw(format);
    ensures ends: ends_at(format, 16, 3);
*/
static void make_raw(uint8_t *format)
{
    /*@ loop invariant 3 <= i <= 16;
        loop invariant zeros(format, 3, i);
        loop assigns i, format[3 .. 15];
        loop variant 16 - i;
    */
    for (uint32_t i = 3; i < 16; i++) {
        format[i] = 0;
    }
    format[0] = 'r';
    format[1] = 'a';
    format[2] = 'w';
    //@ assert ends: ends_at(format, 16, 3);
}

/*@ requires \valid(header) && \valid(names + (0 .. 1)) && \separated(header, names + (0 .. 1));
    terminates \true;
    assigns header->backing_format[0 .. 15], header->image_format[0 .. 15], names[0 .. 1];
    ensures names: names[0] == 'b' && names[1] == 'i';
    ensures backing: text_raw((uint8_t *)header->backing_format);
    ensures image: text_raw((uint8_t *)header->image_format);
    ensures backing_ends: ends_at((uint8_t *)header->backing_format, 16, 3);
    ensures image_ends: ends_at((uint8_t *)header->image_format, 16, 3);
*/
static void make_texts(struct addcow_header *header, uint8_t *names)
{
    make_raw(header->backing_format);
    make_raw(header->image_format);
    //@ assert backing_kept: text_raw((uint8_t *)header->backing_format);
    names[0] = 'b';
    names[1] = 'i';
}

/*@ requires \valid(header) && \valid(names + (0 .. 1)) && \separated(header, names + (0 .. 1));
    terminates \true;
    assigns *header, names[0 .. 1];
    ensures exists: encodable_r20(header, names, names + 1, 4096);
    ensures sizes: header->backing_size == 1 && header->image_size == 1;
*/
void make_r20(struct addcow_header *header, uint8_t *names)
{
    header->layout = ADDCOW_R20;
    header->cluster_bits = 12;
    header->header_size = 4096;
    header->backing_offset = 76;
    header->backing_size = 1;
    header->image_offset = 77;
    header->image_size = 1;
    header->features = 0;
    header->compatible_features = 0;
    make_texts(header, names);
    //@ assert differ: !equal(names, names + 1, 1);
    //@ assert named: no_nul(names, 1) && no_nul(names + 1, 1);
    //@ assert filled: header->backing_format[0] == 'r' && header->image_format[0] == 'r';
    //@ assert backing: padded_text((uint8_t *)header->backing_format, 16);
    //@ assert image: padded_text((uint8_t *)header->image_format, 16);
}

/*@ requires \valid(header) && \valid(names + (0 .. 1)) && \separated(header, names + (0 .. 1));
    terminates \true;
    assigns *header, names[0 .. 1];
    ensures exists: encodable_r9(header, names, names + 1);
    ensures sizes: header->backing_size == 1 && header->image_size == 1;
*/
void make_r9(struct addcow_header *header, uint8_t *names)
{
    header->layout = ADDCOW_R9;
    header->cluster_bits = 16;
    header->header_size = 4096;
    header->backing_offset = 12;
    header->backing_size = 1;
    header->image_offset = 1036;
    header->image_size = 1;
    header->features = 0;
    header->compatible_features = 0;
    make_texts(header, names);
}

/*@
  // The text "raw" with its padding, byte by byte
  logic integer raw_at(integer k) = k == 0 ? 'r' : k == 1 ? 'a' : k == 2 ? 'w' : 0;
*/

/*@ requires text_raw((uint8_t *)format);
    terminates \true;
    assigns \nothing;
    ensures cells: \forall integer k; 0 <= k < 16 ==> format[k] == raw_at(k);
*/
static void raw_cells(const uint8_t *format)
{
}

/*@ // HDR-22, of r20
    requires \valid_read(header) && \valid(out + (0 .. capacity - 1)) && capacity >= 4096;
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    requires encodable_r20(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1];
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures valid: valid_header(out, capacity);
    ensures layout: is_r20(out);
    ensures cluster_bits: header->cluster_bits == cluster_bits(out);
    ensures header_size: header->header_size == header_size(out);
    ensures backing_offset: header->backing_offset == backing_offset(out);
    ensures backing_size: header->backing_size == backing_size(out);
    ensures image_offset: header->image_offset == image_offset(out);
    ensures image_size: header->image_size == image_size(out);
    ensures features: header->features == le64(out, 24);
    ensures compatible: header->compatible_features == le64(out, 32);
    ensures backing_format: \forall integer k; 0 <= k < 16 ==> header->backing_format[k] == out[44 + k];
    ensures image_format: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == out[60 + k];
    ensures backing_name: \forall integer k; 0 <= k < header->backing_size ==>
      out[header->backing_offset + k] == \old(backing_name[k]);
    ensures image_name: \forall integer k; 0 <= k < header->image_size ==>
      out[header->image_offset + k] == \old(image_name[k]);
*/
static enum addcow_rule stored_r20(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    return addcow_encode(header, backing_name, image_name, out, capacity);
}

/*@ // HDR-22, of r9
    requires \valid_read(header) && \valid(out + (0 .. capacity - 1)) && capacity >= 4096;
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    requires encodable_r9(header, (uint8_t *)backing_name, (uint8_t *)image_name);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1];
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures valid: valid_header(out, capacity);
    ensures layout: !is_r20(out);
    ensures backing_end: ends_at(out + 12, 1024, header->backing_size);
    ensures image_end: ends_at(out + 1036, 1024, header->image_size);
    ensures backing_format: \forall integer k; 0 <= k < 16 ==> header->backing_format[k] == raw_at(k);
    ensures image_format: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == raw_at(k);
    ensures backing_name: \forall integer k; 0 <= k < header->backing_size ==>
      out[header->backing_offset + k] == \old(backing_name[k]);
    ensures image_name: \forall integer k; 0 <= k < header->image_size ==>
      out[header->image_offset + k] == \old(image_name[k]);
*/
static enum addcow_rule stored_r9(const struct addcow_header *header, const uint8_t *backing_name,
                                  const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    raw_cells(header->backing_format);
    raw_cells(header->image_format);
    //@ assert backing_raw: \forall integer k; 0 <= k < 16 ==> header->backing_format[k] == raw_at(k);
    //@ assert image_raw: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == raw_at(k);
    enum addcow_rule rule = addcow_encode(header, backing_name, image_name, out, capacity);
    //@ assert backing_kept: equal{Pre, Here}((uint8_t *)header->backing_format, 16);
    //@ assert image_kept: equal{Pre, Here}((uint8_t *)header->image_format, 16);
    return rule;
}

/*@ // What is needed of decode's contract
    requires capacity >= 4096 && \valid_read(file + (0 .. capacity - 1)) && readable(file, capacity);
    requires \valid(header) && \separated(header, file + (0 .. capacity - 1));
    terminates \true;
    assigns *header;
    ensures accepted: valid_header{Pre}(file, capacity) ==> \result == ADDCOW_RULE_NONE;
    ensures same: equal{Pre, Post}((uint8_t *)file, capacity);
    ensures fields: \result == ADDCOW_RULE_NONE ==> decodes_to{Pre, Post}(file, header);
*/
static enum addcow_rule load(const uint8_t *file, uint64_t capacity, struct addcow_header *header)
{
    return addcow_decode(file, capacity, header);
}

/*@ // HDR-20, of r20
    requires capacity >= 4096 && \valid_read(file + (0 .. capacity - 1)) && valid_header(file, capacity);
    requires is_r20((uint8_t *)file);
    requires \valid(header) && \separated(header, file + (0 .. capacity - 1));
    terminates \true;
    assigns *header;
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures same: equal{Pre, Post}((uint8_t *)file, capacity);
    ensures layout: header->layout == ADDCOW_R20;
    ensures cluster_bits: header->cluster_bits == \old(cluster_bits((uint8_t *)file));
    ensures header_size: header->header_size == \old(header_size((uint8_t *)file));
    ensures backing_offset: header->backing_offset == \old(backing_offset((uint8_t *)file));
    ensures backing_size: header->backing_size == \old(backing_size((uint8_t *)file));
    ensures image_offset: header->image_offset == \old(image_offset((uint8_t *)file));
    ensures image_size: header->image_size == \old(image_size((uint8_t *)file));
    ensures features: header->features == \old(le64((uint8_t *)file, 24));
    ensures compatible: header->compatible_features == \old(le64((uint8_t *)file, 32));
    ensures backing_format: \forall integer k; 0 <= k < 16 ==> header->backing_format[k] == \old(file[44 + k]);
    ensures image_format: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == \old(file[60 + k]);
*/
static enum addcow_rule loaded_r20(const uint8_t *file, uint64_t capacity, struct addcow_header *header)
{
    return load(file, capacity, header);
}

/*@ // HDR-20, of r9
    requires capacity >= 4096 && \valid_read(file + (0 .. capacity - 1)) && valid_header(file, capacity);
    requires !is_r20((uint8_t *)file);
    requires \valid(header) && \separated(header, file + (0 .. capacity - 1));
    terminates \true;
    assigns *header;
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures same: equal{Pre, Post}((uint8_t *)file, capacity);
    ensures layout: header->layout == ADDCOW_R9;
    ensures cluster_bits: header->cluster_bits == 16;
    ensures header_size: header->header_size == 4096;
    ensures backing_offset: header->backing_offset == 12;
    ensures backing_end: ends_at{Pre}((uint8_t *)file + 12, 1024, header->backing_size);
    ensures image_offset: header->image_offset == 1036;
    ensures image_end: ends_at{Pre}((uint8_t *)file + 1036, 1024, header->image_size);
    ensures features: header->features == 0;
    ensures compatible: header->compatible_features == 0;
    ensures backing_format: \forall integer k; 0 <= k < 16 ==> header->backing_format[k] == raw_at(k);
    ensures image_format: \forall integer k; 0 <= k < 16 ==> header->image_format[k] == raw_at(k);
*/
static enum addcow_rule loaded_r9(const uint8_t *file, uint64_t capacity, struct addcow_header *header)
{
    enum addcow_rule rule = load(file, capacity, header);
    //@ assert fields: fields_r9{Pre, Here}((uint8_t *)file, header);
    //@ assert backing_raw: text_raw((uint8_t *)header->backing_format);
    //@ assert image_raw: text_raw((uint8_t *)header->image_format);
    return rule;
}

/*@ // HDR-21, of r20
    requires \valid_read(header) && \valid(out + (0 .. capacity - 1)) && capacity >= 4096;
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    requires \valid(again) && \separated(again, header) && \separated(again, out + (0 .. capacity - 1));
    requires encodable_r20(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1], *again;
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures layout: again->layout == header->layout;
    ensures cluster_bits: again->cluster_bits == header->cluster_bits;
    ensures header_size: again->header_size == header->header_size;
    ensures backing_offset: again->backing_offset == header->backing_offset;
    ensures backing_size: again->backing_size == header->backing_size;
    ensures image_offset: again->image_offset == header->image_offset;
    ensures image_size: again->image_size == header->image_size;
    ensures features: again->features == header->features;
    ensures compatible: again->compatible_features == header->compatible_features;
    ensures formats: \forall integer k; 0 <= k < 16 ==>
      again->backing_format[k] == header->backing_format[k] && again->image_format[k] == header->image_format[k];
    ensures backing_name: \forall integer k; 0 <= k < header->backing_size ==>
      out[header->backing_offset + k] == \old(backing_name[k]);
    ensures image_name: \forall integer k; 0 <= k < header->image_size ==>
      out[header->image_offset + k] == \old(image_name[k]);
*/
static enum addcow_rule round_trip_r20(const struct addcow_header *header, const uint8_t *backing_name,
                                       const uint8_t *image_name, uint8_t *out, uint64_t capacity,
                                       struct addcow_header *again)
{
    const uint32_t backing = header->backing_offset, backing_size = header->backing_size;
    const uint32_t image = header->image_offset, image_size = header->image_size;
    stored_r20(header, backing_name, image_name, out, capacity);
    //@ assert backing_put: \forall integer k; 0 <= k < backing_size ==> out[backing + k] == \at(backing_name[k], Pre);
    //@ assert image_put: \forall integer k; 0 <= k < image_size ==> out[image + k] == \at(image_name[k], Pre);
    enum addcow_rule rule = loaded_r20(out, capacity, again);
    //@ assert backing_kept: \forall integer k; 0 <= k < backing_size ==> out[backing + k] == \at(backing_name[k], Pre);
    //@ assert image_kept: \forall integer k; 0 <= k < image_size ==> out[image + k] == \at(image_name[k], Pre);
    //@ assert backing_place: header->backing_offset == backing;
    //@ assert backing_length: header->backing_size == backing_size;
    //@ assert image_place: header->image_offset == image;
    //@ assert image_length: header->image_size == image_size;
    return rule;
}

/*@ // HDR-21, of r9
    requires \valid_read(header) && \valid(out + (0 .. capacity - 1)) && capacity >= 4096;
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    requires \valid(again) && \separated(again, header) && \separated(again, out + (0 .. capacity - 1));
    requires encodable_r9(header, (uint8_t *)backing_name, (uint8_t *)image_name);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1], *again;
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures layout: again->layout == header->layout;
    ensures cluster_bits: again->cluster_bits == header->cluster_bits;
    ensures header_size: again->header_size == header->header_size;
    ensures backing_offset: again->backing_offset == header->backing_offset;
    ensures backing_size: again->backing_size == header->backing_size;
    ensures image_offset: again->image_offset == header->image_offset;
    ensures image_size: again->image_size == header->image_size;
    ensures features: again->features == header->features;
    ensures compatible: again->compatible_features == header->compatible_features;
    ensures formats: \forall integer k; 0 <= k < 16 ==>
      again->backing_format[k] == header->backing_format[k] && again->image_format[k] == header->image_format[k];
    ensures backing_name: \forall integer k; 0 <= k < header->backing_size ==>
      out[header->backing_offset + k] == \old(backing_name[k]);
    ensures image_name: \forall integer k; 0 <= k < header->image_size ==>
      out[header->image_offset + k] == \old(image_name[k]);
*/
static enum addcow_rule round_trip_r9(const struct addcow_header *header, const uint8_t *backing_name,
                                      const uint8_t *image_name, uint8_t *out, uint64_t capacity,
                                      struct addcow_header *again)
{
    const uint32_t backing = header->backing_offset, backing_size = header->backing_size;
    const uint32_t image = header->image_offset, image_size = header->image_size;
    stored_r9(header, backing_name, image_name, out, capacity);
    //@ assert backing_put: \forall integer k; 0 <= k < backing_size ==> out[backing + k] == \at(backing_name[k], Pre);
    //@ assert image_put: \forall integer k; 0 <= k < image_size ==> out[image + k] == \at(image_name[k], Pre);
    enum addcow_rule rule = loaded_r9(out, capacity, again);
    //@ assert backing_kept: \forall integer k; 0 <= k < backing_size ==> out[backing + k] == \at(backing_name[k], Pre);
    //@ assert image_kept: \forall integer k; 0 <= k < image_size ==> out[image + k] == \at(image_name[k], Pre);
    //@ assert backing_end: again->backing_size == backing_size;
    //@ assert image_end: again->image_size == image_size;
    //@ assert backing_place: header->backing_offset == backing;
    //@ assert backing_length: header->backing_size == backing_size;
    //@ assert image_place: header->image_offset == image;
    //@ assert image_length: header->image_size == image_size;
    return rule;
}

/*@ // HDR-21, HDR-22: decode(encode(h)) == h for every h that has an encoding
    requires \valid_read(header) && \valid(again) && \valid(out + (0 .. capacity - 1));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    requires \separated(again, header) && \separated(again, out + (0 .. capacity - 1));
    requires \separated(again, out + (0 .. 4095));
    requires encodable(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1], *again;
    ensures accepted: \result == ADDCOW_RULE_NONE;
    ensures layout: again->layout == header->layout;
    ensures cluster_bits: again->cluster_bits == header->cluster_bits;
    ensures header_size: again->header_size == header->header_size;
    ensures backing_offset: again->backing_offset == header->backing_offset;
    ensures backing_size: again->backing_size == header->backing_size;
    ensures image_offset: again->image_offset == header->image_offset;
    ensures image_size: again->image_size == header->image_size;
    ensures features: again->features == header->features;
    ensures compatible: again->compatible_features == header->compatible_features;
    ensures formats: \forall integer k; 0 <= k < 16 ==>
      again->backing_format[k] == header->backing_format[k] && again->image_format[k] == header->image_format[k];
    ensures backing_name: \forall integer k; 0 <= k < header->backing_size ==>
      out[header->backing_offset + k] == \old(backing_name[k]);
    ensures image_name: \forall integer k; 0 <= k < header->image_size ==>
      out[header->image_offset + k] == \old(image_name[k]);
*/
enum addcow_rule round_trip(const struct addcow_header *header, const uint8_t *backing_name, const uint8_t *image_name,
                            uint8_t *out, uint64_t capacity, struct addcow_header *again)
{
    if (header->layout == ADDCOW_R20) {
        return round_trip_r20(header, backing_name, image_name, out, capacity, again);
    }
    return round_trip_r9(header, backing_name, image_name, out, capacity, again);
}

/*@ // HDR-21, of a header of r20 that exists
    requires \valid(header) && \valid(again) && \valid(names + (0 .. 1)) && \valid(out + (0 .. 4095));
    requires \separated(header, names + (0 .. 1)) && \separated(header, out + (0 .. 4095));
    requires \separated(names + (0 .. 1), out + (0 .. 4095));
    requires \separated(again, header) && \separated(again, out + (0 .. 4095));
    terminates \true;
    assigns *header, names[0 .. 1], out[0 .. 4095], *again;
    ensures there_and_back: \result == ADDCOW_RULE_NONE;
*/
enum addcow_rule reach_r20(struct addcow_header *header, uint8_t *names, uint8_t *out, struct addcow_header *again)
{
    make_r20(header, names);
    return round_trip(header, names, names + 1, out, 4096, again);
}

/*@ // HDR-21, of a header of r9 that exists
    requires \valid(header) && \valid(again) && \valid(names + (0 .. 1)) && \valid(out + (0 .. 4095));
    requires \separated(header, names + (0 .. 1)) && \separated(header, out + (0 .. 4095));
    requires \separated(names + (0 .. 1), out + (0 .. 4095));
    requires \separated(again, header) && \separated(again, out + (0 .. 4095));
    terminates \true;
    assigns *header, names[0 .. 1], out[0 .. 4095], *again;
    ensures there_and_back: \result == ADDCOW_RULE_NONE;
*/
enum addcow_rule reach_r9(struct addcow_header *header, uint8_t *names, uint8_t *out, struct addcow_header *again)
{
    make_r9(header, names);
    return round_trip(header, names, names + 1, out, 4096, again);
}

/* ---- Refusals, and the places of names ---- */

/*@ // HDR-03: an unknown feature is told, whatever else is wrong
    requires \valid_read(header) && \valid(out + (0 .. capacity - 1)) && capacity >= 4096;
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, capacity);
    requires header->layout == ADDCOW_R20 && header->features != 0;
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1];
    ensures first: \result == ADDCOW_RULE_FEATURES;
*/
enum addcow_rule refused_for_features(const struct addcow_header *header, const uint8_t *backing_name,
                                      const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    enum addcow_rule rule = addcow_encode(header, backing_name, image_name, out, capacity);
    /*@ assert broken: !keeps{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, capacity,
          ADDCOW_RULE_FEATURES); */
    //@ assert refused: rule != ADDCOW_RULE_NONE;
    //@ assert not_later: rule <= ADDCOW_RULE_FEATURES;
    //@ assert not_earlier: rule >= ADDCOW_RULE_FEATURES;
    return rule;
}

/*@ // HR9-03: of two broken rules, the first
    requires \valid_read(header) && \valid(out + (0 .. 4095));
    requires apart(header, (uint8_t *)backing_name, (uint8_t *)image_name, out, 4096);
    requires header->layout == ADDCOW_R9 && expressible_r9(header);
    requires header->backing_size == 0 && !no_nul((uint8_t *)image_name, header->image_size);
    terminates \true;
    assigns out[0 .. 4095], out[76 .. header->header_size - 1];
    ensures first: \result == ADDCOW_RULE_R9_BACKING_ABSENT;
*/
enum addcow_rule refused_without_backing(const struct addcow_header *header, const uint8_t *backing_name,
                                         const uint8_t *image_name, uint8_t *out)
{
    enum addcow_rule rule = addcow_encode(header, backing_name, image_name, out, 4096);
    /*@ assert broken: !keeps{Pre}(header, (uint8_t *)backing_name, (uint8_t *)image_name, 4096,
          ADDCOW_RULE_R9_BACKING_ABSENT); */
    //@ assert layout: rule == ADDCOW_RULE_NONE ==> !is_r20(out);
    //@ assert absent: rule == ADDCOW_RULE_NONE ==> ends_at(out + 12, 1024, 0);
    //@ assert empty: rule == ADDCOW_RULE_NONE ==> out[12] == 0;
    //@ assert present: rule == ADDCOW_RULE_NONE ==> hr9_03(out);
    //@ assert refused: rule != ADDCOW_RULE_NONE;
    //@ assert not_later: rule <= ADDCOW_RULE_R9_BACKING_ABSENT;
    //@ assert not_earlier: rule >= ADDCOW_RULE_R9_BACKING_ABSENT;
    return rule;
}

/*@ // HDR-22
    requires \valid(header) && header->backing_size <= 2097152 && header->layout == ADDCOW_R20;
    terminates \true;
    assigns header->backing_offset, header->image_offset;
    ensures backing: header->backing_size != 0 ==> header->backing_offset == 76;
    ensures alone: header->backing_size == 0 ==> header->backing_offset == 0;
    ensures image: header->image_offset == 76 + header->backing_size;
*/
void place_r20(struct addcow_header *header)
{
    addcow_place_names(header);
}

/*
 * Proofs about the public contracts together. Nothing here is part of the library; only the prover reads it.
 *
 * A contract of the form "if it succeeds, then ..." is empty if it never succeeds. make_r20 and make_r9 build headers that satisfy the
 * precondition of encode's success, and round_trip shows from the public contracts alone that whatever can be encoded
 * is decoded to the same header.
 */
#include "addcow_ref.h"

/*@ requires \valid(format + (0 .. 15));
    terminates \true;
    assigns format[0 .. 15];
    ensures raw: text_raw(format);
    ensures padded: padded_text(format, 16);
*/
static void make_raw(uint8_t *format)
{
    /*@ loop invariant 3 <= i <= 16;
        loop invariant zeros(format, 3, i);
        loop assigns i, format[3 .. 15];
        loop variant 16 - i;
    */
    for (uint32_t i = 3; i < 16; i++)
        format[i] = 0;
    format[0] = 'r';
    format[1] = 'a';
    format[2] = 'w';
    //@ assert ends: ends_at(format, 16, 3);
}

/*@ requires \valid(header) && \valid(names + (0 .. 1)) && \separated(header, names + (0 .. 1));
    terminates \true;
    assigns *header, names[0 .. 1];
    ensures exists: encodable_r20(header, names, names + 1, 4096);
*/
void make_r20(struct addcow_header *header, uint8_t *names)
{
    make_raw(header->backing_format);
    make_raw(header->image_format);
    names[0] = 'b';
    names[1] = 'i';
    header->layout = ADDCOW_R20;
    header->cluster_bits = 12;
    header->header_size = 4096;
    header->backing_offset = 76;
    header->backing_size = 1;
    header->image_offset = 77;
    header->image_size = 1;
    header->features = 0;
    header->compatible_features = 0;
    //@ assert backing: padded_text((uint8_t *)header->backing_format, 16);
    //@ assert image: padded_text((uint8_t *)header->image_format, 16);
}

/*@ requires \valid(header) && \valid(names + (0 .. 1)) && \separated(header, names + (0 .. 1));
    terminates \true;
    assigns *header, names[0 .. 1];
    ensures exists: encodable_r9(header, names, names + 1);
*/
void make_r9(struct addcow_header *header, uint8_t *names)
{
    make_raw(header->backing_format);
    make_raw(header->image_format);
    names[0] = 'b';
    names[1] = 'i';
    header->layout = ADDCOW_R9;
    header->cluster_bits = 16;
    header->header_size = 4096;
    header->backing_offset = 12;
    header->backing_size = 1;
    header->image_offset = 1036;
    header->image_size = 1;
    header->features = 0;
    header->compatible_features = 0;
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
    enum addcow_rule rule = addcow_encode(header, backing_name, image_name, out, capacity);
    //@ assert encoded: rule == ADDCOW_RULE_NONE;
    //@ assert valid: valid_header(out, capacity);
    //@ assert said: decodes_to{Here, Pre}(out, header);
    //@ ghost Encoded: ;
    rule = addcow_decode(out, capacity, again);
    //@ assert decoded: rule == ADDCOW_RULE_NONE;
    //@ assert heard: decodes_to{Encoded, Here}(out, again);
    return rule;
}

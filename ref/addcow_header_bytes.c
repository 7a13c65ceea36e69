/*
 * Numbers, copies, comparisons and texts: what the rest of the header codec is built on.
 *
 * The code is shaped for proof: numbers are read and written by division and multiplication, and there is neither
 * shift, cast between pointer types, nor libc.
 */
#include "addcow_header_parts.h"

uint32_t codec_load32(const uint8_t *p, uint32_t at)
{
    return p[at] + 0x100u * p[at + 1] + 0x10000u * p[at + 2] + 0x1000000u * p[at + 3];
}

uint64_t codec_load64(const uint8_t *p, uint32_t at)
{
    return codec_load32(p, at) + (uint64_t)0x100000000u * codec_load32(p, at + 4);
}

void codec_store32(uint8_t *p, uint32_t at, uint32_t value)
{
    /*@ assert digits: value == value % 0x100 + 0x100 * (value / 0x100 % 0x100) + 0x10000 * (value / 0x10000 % 0x100) +
          0x1000000 * (value / 0x1000000); */
    p[at] = (uint8_t)(value % 0x100u);
    p[at + 1] = (uint8_t)(value / 0x100u % 0x100u);
    p[at + 2] = (uint8_t)(value / 0x10000u % 0x100u);
    p[at + 3] = (uint8_t)(value / 0x1000000u);
}

void codec_store64(uint8_t *p, uint32_t at, uint64_t value)
{
    codec_store32(p, at, (uint32_t)(value % 0x100000000u));
    codec_store32(p, at + 4, (uint32_t)(value / 0x100000000u));
}

void codec_copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count)
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

void codec_zero_bytes(uint8_t *p, uint32_t from, uint32_t to)
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

int codec_all_zero(const uint8_t *p, uint32_t from, uint32_t to)
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

int codec_same_bytes(const uint8_t *p, const uint8_t *q, uint32_t count)
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

int codec_has_no_nul(const uint8_t *p, uint32_t count)
{
    return text_length(p, count) == count;
}

uint32_t codec_padded_length(const uint8_t *p, uint32_t count)
{
    uint32_t length = text_length(p, count);
    //@ assert before: \forall integer k; ends_at(p, count, k) ==> k <= length;
    //@ assert only: \forall integer k; ends_at(p, count, k) ==> k == length;
    return length;
}

int codec_is_padded_text(const uint8_t *p, uint32_t count)
{
    uint32_t length = text_length(p, count);
    //@ assert before: \forall integer k; ends_at(p, count, k) ==> k <= length;
    //@ assert only: \forall integer k; ends_at(p, count, k) ==> k == length;
    return length < count && codec_all_zero(p, length, count);
}

int codec_is_raw(const uint8_t *format)
{
    return format[0] == 'r' && format[1] == 'a' && format[2] == 'w' && codec_all_zero(format, 3, ADDCOW_FORMAT_SIZE);
}

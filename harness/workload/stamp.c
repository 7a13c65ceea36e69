/*
 * Stamps: bytes that identify their writer and their offset.
 *
 * The disk consists of words of eight bytes. Word n of a writer is the 64-bit number composed of source, number and n,
 * mapped by a fixed permutation of the 64-bit numbers. The permutation spreads every input bit over all eight
 * bytes, so different writers or places differ in nearly every byte. Its inverse computes the writer and the place
 * from a word.
 */
#include "workload/stamp.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

#define WORD 8u
#define PLACE_BITS 40
#define NUMBER_BITS 21

/* The finaliser of SplitMix64: each step is invertible. */
static uint64_t permute(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    x ^= x >> 31;
    return x;
}

/* permute backwards: the multipliers are the inverses modulo 2^64, and x ^= x >> s is undone by repeating it. */
static uint64_t unpermute(uint64_t x)
{
    x ^= x >> 31 ^ x >> 62;
    x *= 0x319642B2D24D8EC3u;
    x ^= x >> 27 ^ x >> 54;
    x *= 0x96DE1B173F119089u;
    x ^= x >> 30 ^ x >> 60;
    return x;
}

/* The bytes of word number `place`, first byte lowest. */
static uint64_t make_word(struct stamp stamp, uint64_t place)
{
    if (stamp.source == STAMP_ZERO) {
        return 0;
    }
    uint64_t writer = (uint64_t)stamp.source << NUMBER_BITS | stamp.number;
    return htole64(permute(writer << PLACE_BITS | place));
}

/*
 * The part of the word at `offset` that lies in [offset, offset + length): returns its length, and its first byte in
 * *start.
 */
static size_t word_part(uint64_t offset, size_t length, size_t *start)
{
    *start = (size_t)(offset % WORD);
    size_t rest = WORD - *start;
    return rest < length ? rest : length;
}

void stamp_fill(struct stamp stamp, uint64_t offset, void *buffer, size_t length)
{
    uint8_t *out = buffer;
    while (length > 0) {
        uint64_t word = make_word(stamp, offset / WORD);
        size_t start;
        size_t part = word_part(offset, length, &start);
        if (part == WORD) {
            memcpy(out, &word, WORD);
        } else {
            memcpy(out, (const uint8_t *)&word + start, part);
        }
        out += part;
        offset += part;
        length -= part;
    }
}

bool stamp_matches(struct stamp stamp, uint64_t offset, const void *buffer, size_t length)
{
    const uint8_t *in = buffer;
    while (length > 0) {
        uint64_t word = make_word(stamp, offset / WORD);
        size_t start;
        size_t part = word_part(offset, length, &start);
        if (memcmp(in, (const uint8_t *)&word + start, part) != 0) {
            return false;
        }
        in += part;
        offset += part;
        length -= part;
    }
    return true;
}

bool stamp_identify(const uint8_t word[8], struct stamp *stamp, uint64_t *offset)
{
    uint64_t value;
    memcpy(&value, word, WORD);
    value = le64toh(value);
    if (value == 0) {
        *stamp = (struct stamp){.source = STAMP_ZERO};
        *offset = 0;
        return true;
    }
    value = unpermute(value);
    uint64_t source = value >> (PLACE_BITS + NUMBER_BITS);
    if (source == STAMP_ZERO || source >= STAMP_SOURCES) {
        return false;
    }
    stamp->source = (enum stamp_source)source;
    stamp->number = (uint32_t)(value >> PLACE_BITS & STAMP_NUMBER_MAX);
    *offset = (value & (((uint64_t)1 << PLACE_BITS) - 1)) * WORD;
    return true;
}

void stamp_print(FILE *out, struct stamp stamp)
{
    switch (stamp.source) {
    case STAMP_ZERO:
        fputs("zeros", out);
        break;
    case STAMP_WRITE:
        fprintf(out, "operation %" PRIu32, stamp.number);
        break;
    case STAMP_IMAGE:
        fputs("the image file as it was at the start", out);
        break;
    case STAMP_BACKING:
        fputs("the backing file", out);
        break;
    case STAMP_HIDDEN:
        fputs("a hidden part of the backing chain", out);
        break;
    case STAMP_SOURCES:
        break;
    }
}

/* The origin of a word. Adjacent words with equal origins are printed on one line. */
struct origin {
    bool known;
    struct stamp stamp;
    int64_t shift; /* from the place that it was written for to where it was found; 0 for zeros */
};

static struct origin origin_of(const uint8_t *word, uint64_t offset)
{
    struct origin origin = {.known = false};
    uint64_t place;
    /* A random word names some writer in five of eight cases, but a place within reach of the offset hardly ever. */
    if (stamp_identify(word, &origin.stamp, &place)) {
        origin.shift = origin.stamp.source == STAMP_ZERO ? 0 : (int64_t)(offset - place);
        origin.known = origin.shift > -((int64_t)1 << 28) && origin.shift < (int64_t)1 << 28;
    }
    return origin;
}

static bool same_origin(const struct origin *left, const struct origin *right)
{
    if (!left->known || !right->known) {
        return left->known == right->known;
    }
    return left->stamp.source == right->stamp.source && left->stamp.number == right->stamp.number &&
           left->shift == right->shift;
}

static void print_origin(FILE *out, const struct origin *origin, uint64_t begin, uint64_t end)
{
    fprintf(out, "    bytes %" PRIu64 "..%" PRIu64 ": ", begin, end - 1);
    if (!origin->known) {
        fputs("no writer's (a mixture, or damaged)\n", out);
        return;
    }
    stamp_print(out, origin->stamp);
    if (origin->shift != 0) {
        fprintf(out, ", but what belongs at %" PRIu64, begin - (uint64_t)origin->shift);
    }
    fputc('\n', out);
}

void stamp_print_writers(FILE *out, uint64_t offset, const uint8_t *buffer, size_t length)
{
    size_t begin = (size_t)((WORD - offset % WORD) % WORD);
    while (begin + WORD <= length) {
        struct origin origin = origin_of(buffer + begin, offset + begin);
        size_t end = begin + WORD;
        while (end + WORD <= length) {
            struct origin next = origin_of(buffer + end, offset + end);
            if (!same_origin(&origin, &next)) {
                break;
            }
            end += WORD;
        }
        print_origin(out, &origin, offset + begin, offset + end);
        begin = end;
    }
}

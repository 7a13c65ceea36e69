/*
 * Any numbers as a header to encode: encoded headers decode to the same value, and refused ones would not open either.
 *
 * fuzz_header goes the other way, from bytes to fields. The input is a record of fixed length, then the bytes of the
 * two names. A name that is longer than the rest of them is padded with zeros.
 */
#include "addcow_header.h"
#include "lib/fuzz.h"
#include "base/report.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 4200u

struct record {
    const uint8_t *bytes;
    size_t count;
};

static uint64_t take(struct record *record, size_t size)
{
    uint64_t value = 0;
    size = size < record->count ? size : record->count;
    for (size_t i = size; i > 0; i--) {
        value = value << 8 | record->bytes[i - 1];
    }
    record->bytes += size;
    record->count -= size;
    return value;
}

static void take_format(struct record *record, uint8_t format[ADDCOW_FORMAT_SIZE])
{
    size_t count = record->count < ADDCOW_FORMAT_SIZE ? record->count : ADDCOW_FORMAT_SIZE;
    memset(format, 0, ADDCOW_FORMAT_SIZE);
    memcpy(format, record->bytes, count);
    record->bytes += count;
    record->count -= count;
}

static void take_header(struct record *record, struct addcow_header *header)
{
    static const uint32_t layouts[] = {ADDCOW_R20, ADDCOW_R9, 0};
    *header = (struct addcow_header){.layout = layouts[take(record, 1) % 3]};
    header->cluster_bits = (uint32_t)take(record, 1);
    header->header_size = (uint32_t)take(record, 4);
    header->backing_offset = (uint32_t)take(record, 4);
    header->backing_size = (uint32_t)take(record, 2) % NAME_MAX_BYTES;
    header->image_offset = (uint32_t)take(record, 4);
    header->image_size = (uint32_t)take(record, 2) % NAME_MAX_BYTES;
    header->features = take(record, 8);
    header->compatible_features = take(record, 8);
    take_format(record, header->backing_format);
    take_format(record, header->image_format);
}

static uint8_t *take_name(struct record *record, uint32_t size)
{
    uint8_t *name = report_allocate(size > 0 ? size : 1, 1);
    size_t count = size < record->count ? size : record->count;
    memcpy(name, record->bytes, count);
    record->bytes += count;
    record->count -= count;
    return name;
}

static bool same_header(const struct addcow_header *a, const struct addcow_header *b)
{
    return a->layout == b->layout && a->cluster_bits == b->cluster_bits && a->header_size == b->header_size &&
           a->backing_offset == b->backing_offset && a->backing_size == b->backing_size &&
           a->image_offset == b->image_offset && a->image_size == b->image_size && a->features == b->features &&
           a->compatible_features == b->compatible_features &&
           memcmp(a->backing_format, b->backing_format, ADDCOW_FORMAT_SIZE) == 0 &&
           memcmp(a->image_format, b->image_format, ADDCOW_FORMAT_SIZE) == 0;
}

static void judge_decoding(const struct addcow_header *header, const uint8_t *backing, const uint8_t *image,
                           const uint8_t *out, uint64_t capacity)
{
    struct addcow_header again;
    fuzz_require(addcow_decode(out, capacity, &again) == ADDCOW_RULE_NONE, "what encodes decodes (HDR-22)");
    fuzz_require(same_header(header, &again), "decode(encode(header)) == header (HDR-21)");
    fuzz_require(memcmp(out + header->backing_offset, backing, header->backing_size) == 0 &&
                     memcmp(out + header->image_offset, image, header->image_size) == 0,
                 "the names are at the offsets in the header");
}

/* The rules of opening, for any two lengths. */
static void judge_lengths(const struct addcow_header *header, const uint8_t *backing, const uint8_t *image,
                          uint64_t file_length, uint64_t image_length)
{
    enum addcow_rule rule = addcow_check_open(header, backing, image, file_length, image_length);
    bool sized = image_length <= ADDCOW_SIZE_MAX;
    fuzz_require(rule != ADDCOW_RULE_VIRTUAL_SIZE || !sized,
                 "only a size that is too large is refused as such (VRT-01)");
    fuzz_require(rule != ADDCOW_RULE_NONE || sized, "a size that is too large is refused (VRT-01)");
    if (!sized) {
        return;
    }
    uint64_t least = header->header_size + addcow_bitmap_bytes(image_length, addcow_cluster_size(header->cluster_bits));
    fuzz_require(rule != ADDCOW_RULE_BITMAP_LENGTH || file_length < least, "a whole bitmap is enough (BMP-03)");
    fuzz_require(rule != ADDCOW_RULE_NONE || file_length >= least, "a cut bitmap is refused (BMP-03)");
    uint64_t written = addcow_file_length(header, image_length);
    fuzz_require(written >= least, "the length that a writer gives is enough (BMP-04)");
}

static void judge_rule(enum addcow_rule rule)
{
    fuzz_require((addcow_rule_status(rule) == ADDCOW_OK) == (rule == ADDCOW_RULE_NONE),
                 "only a broken rule has a status");
    fuzz_require((addcow_rule_clause(rule)[0] == '\0') == (rule == ADDCOW_RULE_NONE),
                 "only a broken rule has a clause");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record = {data, size};
    struct addcow_header header;
    uint64_t file_length = take(&record, 8);
    uint64_t image_length = take(&record, 8);
    uint64_t capacity = take(&record, 2) * 64;
    judge_rule((enum addcow_rule)(take(&record, 1) % ADDCOW_RULE_COUNT));
    take_header(&record, &header);
    uint8_t *backing = take_name(&record, header.backing_size);
    uint8_t *image = take_name(&record, header.image_size);
    uint8_t *out = report_allocate(capacity > 0 ? capacity : 1, 1);
    enum addcow_rule rule = addcow_encode(&header, backing, image, out, capacity);
    judge_rule(rule);
    if (rule == ADDCOW_RULE_NONE) {
        judge_decoding(&header, backing, image, out, capacity);
        judge_lengths(&header, backing, image, file_length, image_length);
    }
    free(out);
    free(image);
    free(backing);
    return 0;
}

/* The header codec: encoding, the worked example of the spec, lengths and links. */
#include "reference/header_support.h"

static uint8_t encoded[ROOM];

/* ---- Encode ---- */

static void same_headers(const struct addcow_header *a, const struct addcow_header *b)
{
    assert_int_equal(a->layout, b->layout);
    assert_int_equal(a->cluster_bits, b->cluster_bits);
    assert_int_equal(a->header_size, b->header_size);
    assert_int_equal(a->backing_offset, b->backing_offset);
    assert_int_equal(a->backing_size, b->backing_size);
    assert_int_equal(a->image_offset, b->image_offset);
    assert_int_equal(a->image_size, b->image_size);
    assert_true(a->features == b->features);
    assert_true(a->compatible_features == b->compatible_features);
    assert_memory_equal(a->backing_format, b->backing_format, sizeof a->backing_format);
    assert_memory_equal(a->image_format, b->image_format, sizeof a->image_format);
}

/* The header in `file` decodes, encodes to the same bytes, and decodes to the same fields (HDR-21, HDR-22). */
static struct addcow_header expect_round_trip(uint64_t length)
{
    struct addcow_header header, again;
    assert_int_equal(addcow_decode(file, length, &header), ADDCOW_RULE_NONE);
    memset(encoded, 0xEE, sizeof encoded);
    assert_int_equal(addcow_encode(&header, file + header.backing_offset, file + header.image_offset, encoded, length),
                     ADDCOW_RULE_NONE);
    assert_memory_equal(encoded, file, header.header_size);
    if (header.header_size < sizeof encoded) {
        assert_int_equal(encoded[header.header_size], 0xEE);
    }
    assert_int_equal(addcow_decode(encoded, length, &again), ADDCOW_RULE_NONE);
    same_headers(&header, &again);
    return header;
}

static void round_trips(void **state)
{
    (void)state;
    make_r20();
    put(32, 8, 0xFEDCBA9876543211);
    assert_true(expect_round_trip(4096).compatible_features == 0xFEDCBA9876543211);
    make_r20_alone();
    expect_round_trip(4096);
    make_r9();
    expect_round_trip(4096);
    memset(file + 12, 'b', 1023);
    expect_round_trip(4096);
    for (uint32_t bits = 12; bits <= 21; bits++) {
        make_r20();
        put(20, 4, bits);
        put(40, 4, (uint64_t)1 << bits);
        put(12, 4, ((uint64_t)1 << bits) - 8);
        memset(file + 87, 0, 8);
        put_text((1u << bits) - 8, "test.raw");
        expect_round_trip((uint64_t)1 << bits);
    }
}

/* What decode would refuse is not encoded: HDR-22, and what r9 cannot express, HR9-08. */
static void encode_refuses(void **state)
{
    static const char *const texts[] = {"HDR-03", "HDR-04", "HDR-05", "HDR-07", "HDR-08", "HDR-08",
                                        "HDR-10", "HDR-11", "HDR-13", "HDR-15", "HDR-17", "HDR-02"};
    struct addcow_header valid, header[LENGTH(texts)];
    (void)state;
    make_r20();
    assert_int_equal(addcow_decode(file, 4096, &valid), ADDCOW_RULE_NONE);
    for (size_t i = 0; i < LENGTH(texts); i++) {
        header[i] = valid;
    }
    header[0].features = 1;
    header[1].cluster_bits = 22;
    header[2].header_size = 8192;
    header[3].backing_offset = 0;
    header[4].backing_offset = 0xFFFFFFFF;
    header[5].backing_size = 0xFFFFFFFF;
    header[6].image_size = 0;
    header[7].image_offset = 4089;
    header[8].image_offset = 86;
    memset(header[9].backing_format, 0, 16);
    memset(header[10].image_format, 0, 16);
    header[11].layout = 0;
    for (size_t i = 0; i < LENGTH(texts); i++) {
        enum addcow_rule rule =
            addcow_encode(&header[i], (const uint8_t *)"backing.raw", (const uint8_t *)"test.raw", encoded, 4096);
        assert_string_equal(addcow_rule_clause(rule), texts[i]);
    }
    assert_int_equal(addcow_encode(&valid, file + 76, file + 87, encoded, 4095), ADDCOW_RULE_LENGTH);
    assert_int_equal(addcow_encode(&valid, (const uint8_t *)"a\0cking.raw", file + 87, encoded, 4096),
                     ADDCOW_RULE_BACKING_NUL);
    valid.cluster_bits = 13;
    valid.header_size = 8192;
    assert_int_equal(addcow_encode(&valid, file + 76, file + 87, encoded, 8191), ADDCOW_RULE_HEADER_LENGTH);
    assert_int_equal(addcow_encode(&valid, file + 76, file + 87, encoded, 8192), ADDCOW_RULE_NONE);
}

static void encode_refuses_r9(void **state)
{
    static const char *const texts[] = {"HDR-03", "HDR-03", "HDR-04", "HDR-05", "HDR-08", "HDR-11",
                                        "HDR-14", "HDR-16", "HR9-02", "HR9-03", "HR9-04", "HR9-05"};
    static const uint8_t long_name[1024] = {'x'};
    struct addcow_header valid, header[LENGTH(texts)];
    (void)state;
    make_r9();
    assert_int_equal(addcow_decode(file, 4096, &valid), ADDCOW_RULE_NONE);
    for (size_t i = 0; i < LENGTH(texts); i++) {
        header[i] = valid;
    }
    header[0].features = 1;
    header[1].compatible_features = ADDCOW_ALL_ALLOCATED;
    header[2].cluster_bits = 12;
    header[3].header_size = 65536;
    header[4].backing_offset = 76;
    header[5].image_offset = 87;
    header[6].backing_format[0] = 'R';
    header[7].image_format[15] = 1;
    header[8].backing_size = 12; /* the NUL behind the name is taken for a part of it */
    header[9].backing_size = 0;
    header[10].image_size = 1024;
    header[11].image_size = 0;
    for (size_t i = 0; i < LENGTH(texts); i++) {
        const uint8_t *image_name = header[i].image_size == 1024 ? long_name : file + 1036;
        enum addcow_rule rule = addcow_encode(&header[i], file + 12, image_name, encoded, 4096);
        assert_string_equal(addcow_rule_clause(rule), texts[i]);
    }
    valid.image_size = 12;
    assert_int_equal(addcow_encode(&valid, file + 12, file + 12, encoded, 4096), ADDCOW_RULE_R9_IMAGE_NUL);
    valid.image_size = 11;
    assert_int_equal(addcow_encode(&valid, file + 12, file + 12, encoded, 4096), ADDCOW_RULE_R9_NAMES_EQUAL);
}

/* Of two broken rules, the first is told: HR9-03 before HR9-04. */
static void first_of_r9(void **state)
{
    static const uint8_t nul[] = {'a', 0, 'b'};
    struct addcow_header header;
    (void)state;
    make_r9();
    assert_int_equal(addcow_decode(file, 4096, &header), ADDCOW_RULE_NONE);
    header.image_size = 3;
    header.backing_size = 0;
    assert_int_equal(addcow_encode(&header, nul, nul, encoded, 4096), ADDCOW_RULE_R9_BACKING_ABSENT);
    header.backing_size = 2;
    assert_int_equal(addcow_encode(&header, nul, nul, encoded, 4096), ADDCOW_RULE_R9_BACKING_NUL);
    header.backing_size = 1;
    assert_int_equal(addcow_encode(&header, nul, nul, encoded, 4096), ADDCOW_RULE_R9_IMAGE_NUL);
    header.backing_offset = 76;
    assert_int_equal(addcow_encode(&header, nul, nul, encoded, 4096), ADDCOW_RULE_BACKING_RANGE);
}

/* Names that share bytes are judged one by one all the same: HDR-09 and HDR-12 before HDR-13. */
static void first_of_overlapping_names(void **state)
{
    static const uint8_t nul_first[] = {0, 'b', 'c'}, nul_last[] = {'a', 'b', 0}, text[] = {'a', 'b', 'c'};
    struct addcow_header header;
    (void)state;
    make_r20();
    assert_int_equal(addcow_decode(file, 4096, &header), ADDCOW_RULE_NONE);
    header.backing_offset = 76;
    header.image_offset = 77;
    header.backing_size = header.image_size = 3;
    assert_int_equal(addcow_encode(&header, text, text, encoded, 4096), ADDCOW_RULE_NAMES_OVERLAP);
    assert_int_equal(addcow_encode(&header, nul_last, text, encoded, 4096), ADDCOW_RULE_BACKING_NUL);
    assert_int_equal(addcow_encode(&header, text, nul_first, encoded, 4096), ADDCOW_RULE_IMAGE_NUL);
    assert_int_equal(addcow_encode(&header, text, nul_last, encoded, 4096), ADDCOW_RULE_IMAGE_NUL);
    assert_int_equal(addcow_encode(&header, nul_last, nul_first, encoded, 4096), ADDCOW_RULE_BACKING_NUL);
}

/* HDR-22, and section 2.2. */
static void places(void **state)
{
    struct addcow_header header = {.layout = ADDCOW_R20, .backing_size = 11, .backing_offset = 99};
    (void)state;
    addcow_place_names(&header);
    assert_int_equal(header.backing_offset, 76);
    assert_int_equal(header.image_offset, 87);
    header.backing_size = 0;
    addcow_place_names(&header);
    assert_int_equal(header.backing_offset, 0);
    assert_int_equal(header.image_offset, 76);
    header.layout = ADDCOW_R9;
    addcow_place_names(&header);
    assert_int_equal(header.backing_offset, 12);
    assert_int_equal(header.image_offset, 1036);
}

/* Section 16, byte for byte, and its lengths (BMP-04). */
static void worked_example(void **state)
{
    static const uint8_t start[] = {
        0x41, 0x43, 0x4f, 0x57, 0x4c, 0, 0, 0, 0x0b, 0, 0, 0, 0x57, 0, 0, 0, 8,    0,    0,    0, 0x10, 0,
        0,    0,    0,    0,    0,    0, 0, 0, 0,    0, 0, 0, 0,    0, 0, 0, 0,    0,    0,    0, 1,    0,
        0x72, 0x61, 0x77, 0,    0,    0, 0, 0, 0,    0, 0, 0, 0,    0, 0, 0, 0x72, 0x61, 0x77, 0,
    };
    struct addcow_header header = {.layout = ADDCOW_R20,
                                   .cluster_bits = 16,
                                   .header_size = 65536,
                                   .backing_offset = 76,
                                   .backing_size = 11,
                                   .image_offset = 87,
                                   .image_size = 8,
                                   .backing_format = "raw",
                                   .image_format = "raw"};
    (void)state;
    memset(file, 0, sizeof file);
    memcpy(file, start, sizeof start);
    put_text(76, "backing.rawtest.raw");
    assert_int_equal(addcow_encode(&header, (const uint8_t *)"backing.raw", (const uint8_t *)"test.raw", encoded, ROOM),
                     ADDCOW_RULE_NONE);
    assert_memory_equal(encoded, file, 65536);
    expect_round_trip(131072);
    assert_int_equal(addcow_file_length(&header, 10u << 20), 131072);
    assert_true(addcow_file_length(&header, (uint64_t)40 << 30) == 196608);
    header.cluster_bits = 12;
    header.header_size = 4096;
    assert_int_equal(addcow_file_length(&header, 256u << 20), 12288);
    header.layout = ADDCOW_R9;
    header.cluster_bits = 16;
    assert_int_equal(addcow_file_length(&header, 10u << 20), 4096 + 20);
}

/* ---- Lengths and links ---- */

/* BMP-02, BMP-03: counts at their edges. */
static void counts(void **state)
{
    (void)state;
    for (uint32_t bits = 12; bits <= 21; bits++) {
        assert_true(addcow_cluster_size(bits) == (uint64_t)1 << bits);
    }
    assert_true(addcow_cluster_count(0, 4096) == 0);
    assert_true(addcow_cluster_count(1, 4096) == 1);
    assert_true(addcow_cluster_count(4096, 4096) == 1);
    assert_true(addcow_cluster_count(4097, 4096) == 2);
    assert_true(addcow_cluster_count(ADDCOW_SIZE_MAX, 4096) == ADDCOW_SIZE_MAX / 4096);
    assert_true(addcow_bitmap_bytes(8 * 4096, 4096) == 1);
    assert_true(addcow_bitmap_bytes(8 * 4096 + 1, 4096) == 2);
}

static enum addcow_rule check_open(const char *backing, const char *image, const char *backing_format,
                                   const char *image_format)
{
    struct addcow_header header = {.layout = ADDCOW_R20,
                                   .cluster_bits = 12,
                                   .header_size = 4096,
                                   .backing_size = (uint32_t)strlen(backing),
                                   .image_size = (uint32_t)strlen(image)};
    memcpy(header.backing_format, backing_format, strlen(backing_format));
    memcpy(header.image_format, image_format, strlen(image_format));
    return addcow_check_open(&header, (const uint8_t *)backing, (const uint8_t *)image, 8192, 4096);
}

/* LNK-02, LNK-03, LNK-04 */
static void names_and_formats(void **state)
{
    (void)state;
    assert_int_equal(check_open("b", "i", "raw", "raw"), ADDCOW_RULE_NONE);
    assert_int_equal(check_open("b", "i", "add-cow", "raw"), ADDCOW_RULE_NONE);
    assert_int_equal(check_open("", "i", "", "raw"), ADDCOW_RULE_NONE);
    assert_int_equal(check_open("./nbd:b", "/i:", "raw", "raw"), ADDCOW_RULE_NONE);
    assert_int_equal(check_open("nbd:b/c", "i", "raw", "raw"), ADDCOW_RULE_NAME_PROTOCOL);
    assert_int_equal(check_open("b:", "i", "raw", "raw"), ADDCOW_RULE_NAME_PROTOCOL);
    assert_int_equal(check_open(":", "i", "raw", "raw"), ADDCOW_RULE_NAME_PROTOCOL);
    assert_int_equal(check_open("b", "file:///i", "qcow2", "qcow2"), ADDCOW_RULE_NAME_PROTOCOL);
    assert_int_equal(check_open("b", "i", "qcow2", "qcow2"), ADDCOW_RULE_IMAGE_FORMAT_RAW);
    assert_int_equal(check_open("b", "i", "raw", "rawx"), ADDCOW_RULE_IMAGE_FORMAT_RAW);
    assert_int_equal(check_open("b", "i", "raw", "add-cow"), ADDCOW_RULE_IMAGE_FORMAT_RAW);
    assert_int_equal(check_open("b", "i", "ra", "raw"), ADDCOW_RULE_BACKING_FORMAT_KNOWN);
    assert_int_equal(check_open("b", "i", "add-cows", "raw"), ADDCOW_RULE_BACKING_FORMAT_KNOWN);
    assert_int_equal(check_open("b", "i", "ADD-COW", "raw"), ADDCOW_RULE_BACKING_FORMAT_KNOWN);
    assert_string_equal(addcow_rule_clause(ADDCOW_RULE_NAME_PROTOCOL), "LNK-02");
    assert_string_equal(addcow_rule_clause(ADDCOW_RULE_IMAGE_FORMAT_RAW), "LNK-03");
    assert_string_equal(addcow_rule_clause(ADDCOW_RULE_BACKING_FORMAT_KNOWN), "LNK-04");
    assert_int_equal(addcow_rule_status(ADDCOW_RULE_NAME_PROTOCOL), ADDCOW_UNSUPPORTED);
    assert_int_equal(addcow_rule_status(ADDCOW_RULE_IMAGE_FORMAT_RAW), ADDCOW_UNSUPPORTED);
    assert_int_equal(addcow_rule_status(ADDCOW_RULE_BACKING_FORMAT_KNOWN), ADDCOW_UNSUPPORTED);
}

/* BMP-03, VRT-01 */
static void lengths(void **state)
{
    struct addcow_header header = {.layout = ADDCOW_R20, .cluster_bits = 12, .header_size = 4096, .image_size = 1};
    const uint8_t *name = (const uint8_t *)"i";
    uint64_t most = ADDCOW_SIZE_MAX / 4096 / 8;
    (void)state;
    memcpy(header.image_format, "raw", 3);
    assert_int_equal(addcow_check_open(&header, 0, name, 4096, 0), ADDCOW_RULE_NONE);
    assert_int_equal(addcow_check_open(&header, 0, name, 4096, 1), ADDCOW_RULE_BITMAP_LENGTH);
    assert_int_equal(addcow_check_open(&header, 0, name, 4097, 8 * 4096), ADDCOW_RULE_NONE);
    assert_int_equal(addcow_check_open(&header, 0, name, 4097, 8 * 4096 + 1), ADDCOW_RULE_BITMAP_LENGTH);
    assert_int_equal(addcow_check_open(&header, 0, name, 4096 + most, ADDCOW_SIZE_MAX), ADDCOW_RULE_NONE);
    assert_int_equal(addcow_check_open(&header, 0, name, 4095 + most, ADDCOW_SIZE_MAX), ADDCOW_RULE_BITMAP_LENGTH);
    assert_int_equal(addcow_check_open(&header, 0, name, UINT64_MAX, ADDCOW_SIZE_MAX + 1), ADDCOW_RULE_VIRTUAL_SIZE);
    assert_int_equal(addcow_check_open(&header, 0, name, UINT64_MAX, UINT64_MAX), ADDCOW_RULE_VIRTUAL_SIZE);
    assert_string_equal(addcow_rule_clause(ADDCOW_RULE_BITMAP_LENGTH), "BMP-03");
    assert_string_equal(addcow_rule_clause(ADDCOW_RULE_VIRTUAL_SIZE), "VRT-01");
    assert_int_equal(addcow_rule_status(ADDCOW_RULE_BITMAP_LENGTH), ADDCOW_MALFORMED);
    assert_int_equal(addcow_rule_status(ADDCOW_RULE_VIRTUAL_SIZE), ADDCOW_UNSUPPORTED);
    assert_int_equal(addcow_rule_status(ADDCOW_RULE_NONE), ADDCOW_OK);
}

/* ERR-01: the names of section 12. */
static void class_names(void **state)
{
    (void)state;
    assert_string_equal(addcow_status_name(ADDCOW_OK), "ok");
    assert_string_equal(addcow_status_name(ADDCOW_MALFORMED), "malformed");
    assert_string_equal(addcow_status_name(ADDCOW_UNSUPPORTED), "unsupported");
    assert_string_equal(addcow_status_name(ADDCOW_UNLINKABLE), "unlinkable");
    assert_string_equal(addcow_status_name(ADDCOW_IO), "io");
    assert_string_equal(addcow_status_name(ADDCOW_RANGE), "range");
    assert_string_equal(addcow_status_name(ADDCOW_READONLY), "readonly");
    assert_string_equal(addcow_status_name(ADDCOW_NOSPACE), "nospace");
    assert_string_equal(addcow_status_name(ADDCOW_BUSY), "busy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(encode_refuses),
        cmocka_unit_test(encode_refuses_r9),
        cmocka_unit_test(first_of_r9),
        cmocka_unit_test(first_of_overlapping_names),
        cmocka_unit_test(places),
        cmocka_unit_test(worked_example),
        cmocka_unit_test(counts),
        cmocka_unit_test(names_and_formats),
        cmocka_unit_test(lengths),
        cmocka_unit_test(class_names),
    };
    return cmocka_run_group_tests_name("encoding", tests, NULL, NULL);
}

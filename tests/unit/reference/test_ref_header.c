/* The header codec: each rule of sections 2 and 3 by itself, accepted and refused. */
#include "reference/header_support.h"

struct edit {
    uint32_t offset;
    unsigned width; /* 0 ends the list */
    uint64_t value;
};

struct refusal {
    const char *clause;
    enum addcow_rule rule;
    uint64_t length; /* 0: 4096 */
    struct edit edits[4];
};

/* The header in `file` is refused for `rule`, which is the first broken one, and *header stays as it was. */
static void expect_refused(uint64_t length, enum addcow_rule rule, const char *clause)
{
    struct addcow_header header, before;
    memset(&header, 0xA5, sizeof header);
    memcpy(&before, &header, sizeof header);
    if (addcow_decode(file, length, &header) != rule) {
        fail_msg("%s was not found broken", clause);
    }
    assert_memory_equal(&header, &before, sizeof header);
    assert_string_equal(addcow_rule_clause(rule), clause);
    assert_int_equal(addcow_header_rule_holds(file, length, rule), 0);
    for (int earlier = 1; earlier < (int)rule; earlier++) {
        assert_int_equal(addcow_header_rule_holds(file, length, (enum addcow_rule)earlier), 1);
    }
    assert_int_equal(addcow_rule_status(rule), rule == ADDCOW_RULE_FEATURES || rule == ADDCOW_RULE_R9_VERSION
                                                   ? ADDCOW_UNSUPPORTED
                                                   : ADDCOW_MALFORMED);
}

static void expect_accepted(uint64_t length)
{
    struct addcow_header header;
    assert_int_equal(addcow_decode(file, length, &header), ADDCOW_RULE_NONE);
    for (int rule = 1; rule < ADDCOW_RULE_COUNT; rule++) {
        assert_int_equal(addcow_header_rule_holds(file, length, (enum addcow_rule)rule), 1);
    }
}

static void apply(const struct edit *edit)
{
    for (int i = 0; i < 4 && edit[i].width != 0; i++) {
        put(edit[i].offset, edit[i].width, edit[i].value);
    }
}

static void expect_all_refused(const struct refusal *cases, size_t count, void (*make)(void))
{
    for (size_t i = 0; i < count; i++) {
        make();
        apply(cases[i].edits);
        expect_refused(cases[i].length ? cases[i].length : 4096, cases[i].rule, cases[i].clause);
    }
}

/* ---- r20 ---- */

static void r20_fields(void **state)
{
    static const struct refusal cases[] = {
        {"HDR-01", ADDCOW_RULE_LENGTH, 1, {{0}}},
        {"HDR-01", ADDCOW_RULE_LENGTH, 4095, {{0}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{0, 1, 0x42}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{1, 1, 0x63}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{2, 1, 0x4E}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{3, 1, 0}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{0, 4, 0x41434F57}}},
        {"HDR-03", ADDCOW_RULE_FEATURES, 0, {{24, 8, 1}}},
        {"HDR-03", ADDCOW_RULE_FEATURES, 0, {{24, 8, 0x8000000000000000}}},
        {"HDR-03", ADDCOW_RULE_FEATURES, 0, {{24, 8, 0x100000000}, {20, 4, 99}}},
        {"HDR-04", ADDCOW_RULE_CLUSTER_BITS, 0, {{20, 4, 11}}},
        {"HDR-04", ADDCOW_RULE_CLUSTER_BITS, 0, {{20, 4, 22}}},
        {"HDR-04", ADDCOW_RULE_CLUSTER_BITS, 0, {{20, 4, 0}}},
        {"HDR-04", ADDCOW_RULE_CLUSTER_BITS, 0, {{20, 4, 0xFFFFFFFF}}},
        {"HDR-04", ADDCOW_RULE_CLUSTER_BITS, 0, {{20, 4, 12 + 32}}},
        {"HDR-05", ADDCOW_RULE_HEADER_SIZE, 0, {{40, 4, 4095}}},
        {"HDR-05", ADDCOW_RULE_HEADER_SIZE, 0, {{40, 4, 4097}}},
        {"HDR-05", ADDCOW_RULE_HEADER_SIZE, 0, {{40, 4, 0}}},
        {"HDR-05", ADDCOW_RULE_HEADER_SIZE, 0, {{40, 4, 0xFFFFFFFF}}},
        {"HDR-05", ADDCOW_RULE_HEADER_SIZE, 8192, {{20, 4, 13}}},
        {"HDR-05", ADDCOW_RULE_HEADER_SIZE, 8192, {{40, 4, 8192}}},
        {"HDR-06", ADDCOW_RULE_HEADER_LENGTH, 8191, {{20, 4, 13}, {40, 4, 8192}}},
        {"HDR-06", ADDCOW_RULE_HEADER_LENGTH, 4096, {{20, 4, 21}, {40, 4, 2097152}}},
        {"HDR-06", ADDCOW_RULE_HEADER_LENGTH, 2097151, {{20, 4, 21}, {40, 4, 2097152}}},
    };
    (void)state;
    expect_all_refused(cases, LENGTH(cases), make_r20);
    memset(file, 0, sizeof file);
    expect_refused(4096, ADDCOW_RULE_MAGIC, "HDR-02");
    expect_refused(0, ADDCOW_RULE_LENGTH, "HDR-01");
}

static void r20_backing_name(void **state)
{
    static const struct refusal cases[] = {
        {"HDR-07", ADDCOW_RULE_BACKING_PRESENCE, 0, {{4, 4, 0}}},
        {"HDR-07", ADDCOW_RULE_BACKING_PRESENCE, 0, {{8, 4, 0}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 75}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 1}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 4086}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{8, 4, 4021}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 4096}, {8, 4, 1}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 4097}, {8, 4, 1}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 0xFFFFFFFF}, {8, 4, 1}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{4, 4, 0xFFFFFFFF}, {8, 4, 0x100}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{8, 4, 0xFFFFFFFF}}},
        {"HDR-08", ADDCOW_RULE_BACKING_RANGE, 0, {{8, 4, 0xFFFFFFFF - 75 + 11}}},
        {"HDR-09", ADDCOW_RULE_BACKING_NUL, 0, {{76, 1, 0}}},
        {"HDR-09", ADDCOW_RULE_BACKING_NUL, 0, {{86, 1, 0}}},
        {"HDR-09", ADDCOW_RULE_BACKING_NUL, 0, {{80, 1, 0}}},
    };
    (void)state;
    expect_all_refused(cases, LENGTH(cases), make_r20);
}

static void r20_image_name(void **state)
{
    static const struct refusal cases[] = {
        {"HDR-10", ADDCOW_RULE_IMAGE_PRESENCE, 0, {{12, 4, 0}}},
        {"HDR-10", ADDCOW_RULE_IMAGE_PRESENCE, 0, {{16, 4, 0}}},
        {"HDR-10", ADDCOW_RULE_IMAGE_PRESENCE, 0, {{12, 8, 0}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{12, 4, 75}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{12, 4, 4089}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{16, 4, 4010}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{12, 4, 4096}, {16, 4, 1}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{12, 4, 0xFFFFFFFF}, {16, 4, 1}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{12, 4, 0xFFFFFFFF}, {16, 4, 0x100}}},
        {"HDR-11", ADDCOW_RULE_IMAGE_RANGE, 0, {{16, 4, 0xFFFFFFFF}}},
        {"HDR-12", ADDCOW_RULE_IMAGE_NUL, 0, {{87, 1, 0}}},
        {"HDR-12", ADDCOW_RULE_IMAGE_NUL, 0, {{94, 1, 0}}},
        {"HDR-12", ADDCOW_RULE_IMAGE_NUL, 0, {{16, 4, 9}}},
        {"HDR-13", ADDCOW_RULE_NAMES_OVERLAP, 0, {{12, 4, 86}}},
        {"HDR-13", ADDCOW_RULE_NAMES_OVERLAP, 0, {{12, 8, 76 | (uint64_t)11 << 32}}},
        {"HDR-13", ADDCOW_RULE_NAMES_OVERLAP, 0, {{8, 4, 12}}},
        {"HDR-13", ADDCOW_RULE_NAMES_OVERLAP, 0, {{4, 4, 83}, {12, 4, 76}}},
        {"HDR-13", ADDCOW_RULE_NAMES_OVERLAP, 0, {{8, 4, 1}, {12, 4, 76}}},
    };
    (void)state;
    expect_all_refused(cases, LENGTH(cases), make_r20);
}

static void r20_formats_and_padding(void **state)
{
    static const struct refusal cases[] = {
        {"HDR-14", ADDCOW_RULE_BACKING_FORMAT, 0, {{48, 1, 'x'}}},
        {"HDR-14", ADDCOW_RULE_BACKING_FORMAT, 0, {{59, 1, 1}}},
        {"HDR-14", ADDCOW_RULE_BACKING_FORMAT, 0, {{44, 8, 0x6161616161616161}, {52, 8, 0x6161616161616161}}},
        {"HDR-15", ADDCOW_RULE_BACKING_FORMAT_ABSENT, 0, {{44, 4, 0}}},
        {"HDR-16", ADDCOW_RULE_IMAGE_FORMAT, 0, {{64, 1, 'x'}}},
        {"HDR-16", ADDCOW_RULE_IMAGE_FORMAT, 0, {{75, 1, 1}}},
        {"HDR-16", ADDCOW_RULE_IMAGE_FORMAT, 0, {{60, 8, 0x6161616161616161}, {68, 8, 0x6161616161616161}}},
        {"HDR-17", ADDCOW_RULE_IMAGE_FORMAT_ABSENT, 0, {{60, 4, 0}}},
        {"HDR-18", ADDCOW_RULE_PADDING, 0, {{95, 1, 1}}},
        {"HDR-18", ADDCOW_RULE_PADDING, 0, {{4095, 1, 1}}},
        {"HDR-18", ADDCOW_RULE_PADDING, 0, {{16, 4, 7}}},
        {"HDR-18", ADDCOW_RULE_PADDING, 0, {{8, 4, 10}}},
        {"HDR-18", ADDCOW_RULE_PADDING, 0, {{4, 4, 77}, {8, 4, 10}}},
        {"HDR-18", ADDCOW_RULE_PADDING, 2097152, {{20, 4, 21}, {40, 4, 2097152}, {2097151, 1, 0x80}}},
        {"HDR-19", ADDCOW_RULE_NAMES_EQUAL, 0, {{8, 4, 8}, {76, 8, 0x7761722E74736574}, {84, 3, 0}}},
    };
    (void)state;
    expect_all_refused(cases, LENGTH(cases), make_r20);
    make_r20_alone();
    file[44] = 'r';
    expect_refused(4096, ADDCOW_RULE_BACKING_FORMAT_ABSENT, "HDR-15");
    make_r20_alone();
    file[75] = 1;
    expect_refused(4096, ADDCOW_RULE_IMAGE_FORMAT, "HDR-16");
}

/* Just inside every edge that the cases above step over. */
static void r20_accepts_edges(void **state)
{
    (void)state;
    make_r20();
    expect_accepted(4096);
    expect_accepted(UINT64_MAX);
    make_r20_alone();
    expect_accepted(4096);
    make_r20(); /* HDR-08, HDR-11: the names end exactly where the header does, image first (HDR-13, adjacent) */
    memset(file + 76, 0, 32);
    put_text(4077, "test.rawbacking.raw");
    put(4, 4, 4085);
    put(12, 4, 4077);
    expect_accepted(4096);
    make_r20(); /* HDR-05: the largest cluster */
    put(20, 4, 21);
    put(40, 4, 2097152);
    expect_accepted(2097152);
    make_r20(); /* HDR-20: unknown compatible features */
    put(32, 8, 0xFFFFFFFFFFFFFFFF);
    expect_accepted(4096);
    make_r20(); /* HDR-14, HDR-16: 15 bytes and a NUL; LNK-03, LNK-04 judge what they say */
    memset(file + 44, 'x', 15);
    memset(file + 60, 'y', 15);
    expect_accepted(4096);
    make_r20(); /* HDR-19: one byte differs, and one is the beginning of the other */
    memcpy(file + 76, "test.rax", 8);
    memset(file + 84, 0, 3);
    put(8, 4, 8);
    expect_accepted(4096);
    put(8, 4, 7);
    file[83] = 0;
    expect_accepted(4096);
}

/* ---- r9 ---- */

static void r9_rules(void **state)
{
    static const struct refusal cases[] = {
        {"HDR-01", ADDCOW_RULE_LENGTH, 4095, {{0}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{3, 1, ' '}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{7, 1, 0xFE}}},
        {"HDR-02", ADDCOW_RULE_MAGIC, 0, {{4, 1, 'c'}}},
        {"HR9-01", ADDCOW_RULE_R9_VERSION, 0, {{8, 4, 0}}},
        {"HR9-01", ADDCOW_RULE_R9_VERSION, 0, {{8, 4, 2}}},
        {"HR9-01", ADDCOW_RULE_R9_VERSION, 0, {{11, 1, 1}}},
        {"HR9-02", ADDCOW_RULE_R9_BACKING_NUL, 0, {{24, 1, 'x'}}},
        {"HR9-02", ADDCOW_RULE_R9_BACKING_NUL, 0, {{1035, 1, 'x'}}},
        {"HR9-03", ADDCOW_RULE_R9_BACKING_ABSENT, 0, {{12, 8, 0}, {20, 3, 0}}},
        {"HR9-04", ADDCOW_RULE_R9_IMAGE_NUL, 0, {{1045, 1, 'x'}}},
        {"HR9-04", ADDCOW_RULE_R9_IMAGE_NUL, 0, {{2059, 1, 'x'}}},
        {"HR9-05", ADDCOW_RULE_R9_IMAGE_ABSENT, 0, {{1036, 8, 0}}},
        {"HR9-06", ADDCOW_RULE_R9_PADDING, 0, {{2060, 1, 1}}},
        {"HR9-06", ADDCOW_RULE_R9_PADDING, 0, {{4095, 1, 1}}},
        {"HR9-07", ADDCOW_RULE_R9_NAMES_EQUAL, 0, {{12, 8, 0x7761722E74736574}, {20, 3, 0}}},
    };
    (void)state;
    expect_all_refused(cases, LENGTH(cases), make_r9);
    make_r9(); /* HR9-02, HR9-04: no NUL at all */
    memset(file + 12, 'b', 1024);
    expect_refused(4096, ADDCOW_RULE_R9_BACKING_NUL, "HR9-02");
    make_r9();
    memset(file + 1036, 'i', 1024);
    expect_refused(4096, ADDCOW_RULE_R9_IMAGE_NUL, "HR9-04");
}

/* HR9-08 and the longest names. */
static void r9_accepts(void **state)
{
    struct addcow_header header;
    (void)state;
    make_r9();
    expect_accepted(4096);
    memset(file + 12, 'b', 1023);
    memset(file + 1036, 'i', 1023);
    expect_accepted(4096);
    assert_int_equal(addcow_decode(file, 4096, &header), ADDCOW_RULE_NONE);
    assert_int_equal(header.layout, ADDCOW_R9);
    assert_int_equal(header.cluster_bits, 16);
    assert_int_equal(header.header_size, 4096);
    assert_int_equal(header.backing_offset, 12);
    assert_int_equal(header.backing_size, 1023);
    assert_int_equal(header.image_offset, 1036);
    assert_int_equal(header.image_size, 1023);
    assert_true(header.features == 0 && header.compatible_features == 0);
    assert_memory_equal(header.backing_format, "raw\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_memory_equal(header.image_format, "raw\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

/* ---- Each rule by itself (CHK-01) ---- */

/* Several broken rules are all found; one that builds on a broken one is not judged. */
static void rules_are_judged_by_themselves(void **state)
{
    (void)state;
    make_r20();
    put(24, 8, 1);  /* HDR-03 */
    put(4, 4, 0);   /* HDR-07, so that HDR-08, HDR-09, HDR-13, HDR-15, HDR-18 and HDR-19 cannot be judged */
    file[94] = 0;   /* HDR-12 */
    file[75] = 1;   /* HDR-16 */
    file[4095] = 1; /* would be HDR-18 */
    for (int rule = 1; rule < ADDCOW_RULE_COUNT; rule++) {
        int broken = rule == ADDCOW_RULE_FEATURES || rule == ADDCOW_RULE_BACKING_PRESENCE ||
                     rule == ADDCOW_RULE_IMAGE_NUL || rule == ADDCOW_RULE_IMAGE_FORMAT;
        assert_int_equal(addcow_header_rule_holds(file, 4096, (enum addcow_rule)rule), !broken);
    }
    put(20, 4, 99); /* HDR-04: now nothing about the place of the names can be judged */
    assert_int_equal(addcow_header_rule_holds(file, 4096, ADDCOW_RULE_CLUSTER_BITS), 0);
    assert_int_equal(addcow_header_rule_holds(file, 4096, ADDCOW_RULE_HEADER_SIZE), 1);
    assert_int_equal(addcow_header_rule_holds(file, 4096, ADDCOW_RULE_IMAGE_NUL), 1);
}

static uint64_t random_state = 20120529;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % bound);
}

/*
 * Decode names the first of the broken rules, and accepts when there is none: CHK-01 against section 2. The bytes stand
 * in a block of just their size, so that a sanitizer sees a read past them (SEC-02).
 */
static void decode_agrees_with_the_rules(void **state)
{
    static void (*const makers[])(void) = {make_r20, make_r20_alone, make_r9};
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct addcow_header header;
        uint64_t length = random_below(40) == 0 ? random_below(9000) : 8192;
        int first = 0;
        makers[random_below(3)]();
        for (uint32_t edits = random_below(4); edits > 0; edits--) {
            uint32_t offset = random_below(8) == 0 ? random_below(4096) : random_below(100);
            file[offset] = (uint8_t)(random_below(3) == 0 ? random_below(256) : random_below(2) * 76);
        }
        for (int rule = ADDCOW_RULE_COUNT - 1; rule > 0; rule--) {
            if (!addcow_header_rule_holds(file, length, (enum addcow_rule)rule)) {
                first = rule;
            }
        }
        uint8_t *exact = malloc((size_t)(length > 4096 ? 4096 : length + 1));
        assert_non_null(exact);
        memcpy(exact, file, (size_t)(length > 4096 ? 4096 : length));
        assert_int_equal(addcow_decode(exact, length, &header), first);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r20_fields),
        cmocka_unit_test(r20_backing_name),
        cmocka_unit_test(r20_image_name),
        cmocka_unit_test(r20_formats_and_padding),
        cmocka_unit_test(r20_accepts_edges),
        cmocka_unit_test(r9_rules),
        cmocka_unit_test(r9_accepts),
        cmocka_unit_test(rules_are_judged_by_themselves),
        cmocka_unit_test(decode_agrees_with_the_rules),
    };
    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}

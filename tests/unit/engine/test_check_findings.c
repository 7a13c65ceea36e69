/*
 * What a check says of a damaged disk: each damage by itself gives its own finding and no other, with the number that
 * helps to find it, and what can still be judged is (CHK-01).
 */
#include "support/disks.h"
#include "support/probe.h"

#define FINDINGS_MAX 4

struct findings {
    const struct probe *probe; /* null: none */
    struct addcow_check_result result;
    unsigned count;
    unsigned repairable;
    enum addcow_status codes[FINDINGS_MAX];
    char clauses[FINDINGS_MAX][8];
    char messages[FINDINGS_MAX][300];
};

/* Whether the metadata file was synced after the last change of it. */
static bool is_durable(const struct probe *probe)
{
    bool durable = true;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->file == 'm' && event->kind != EVENT_READ) {
            durable = event->kind == EVENT_SYNC;
        }
    }
    return durable;
}

static void note(void *context, const struct addcow_finding *finding)
{
    struct findings *findings = context;
    assert_true(findings->count < FINDINGS_MAX);
    assert_true(!finding->repaired || !findings->probe || is_durable(findings->probe));
    findings->repairable += finding->repairable;
    findings->codes[findings->count] = finding->code;
    snprintf(findings->clauses[findings->count], 8, "%s", finding->clause);
    snprintf(findings->messages[findings->count], 300, "%s", finding->message);
    findings->count++;
}

static struct findings check(void)
{
    struct findings findings = {.count = 0};
    assert_ok(addcow_check(in_directory("disk.add-cow"), false, NULL, note, &findings, &findings.result, &reason));
    assert_int_equal(findings.result.broken, findings.count);
    assert_int_equal(findings.result.repaired, 0);
    return findings;
}

static struct findings repair(struct probe *probe)
{
    struct findings findings = {.probe = probe};
    assert_ok(
        addcow_check(in_directory("disk.add-cow"), true, &probe->storage, note, &findings, &findings.result, &reason));
    assert_int_equal(findings.result.broken + findings.result.repaired, findings.count);
    return findings;
}

/* CHK-02: a repair mends so many things, which is all that was wrong. */
static void assert_repaired(unsigned count)
{
    struct probe *probe = make_probe();
    struct findings findings = repair(probe);
    assert_int_equal(findings.result.repaired, count);
    assert_int_equal(findings.result.broken, 0);
    free_probe(probe);
    assert_int_equal(check().count, 0);
}

/* 11 clusters, of which 1, 2 and 8 are allocated. */
static const struct disk_spec r20 = {
    .size = 10 * 4096 + 777, .backing_name = "base.raw", .backing_size = 5 * 4096, .allocated = 0x106};
static const struct disk_spec r9 = {.layout = ADDCOW_R9,
                                    .size = 10 * 65536 + 777,
                                    .backing_name = "base.raw",
                                    .backing_size = 5 * 4096,
                                    .allocated = 0x106};

/* CHK-02 mends these where the header is valid. */
static bool is_mended(const char *clause)
{
    return strcmp(clause, "BMP-04") == 0 || strcmp(clause, "BMP-05") == 0 || strcmp(clause, "VRT-05") == 0;
}

static void assert_finding(const struct findings *findings, unsigned number, enum addcow_status code,
                           const char *clause, const char *text)
{
    assert_true(number < findings->count);
    assert_string_equal(findings->clauses[number], clause);
    assert_int_equal(findings->codes[number], code);
    if (!strstr(findings->messages[number], text)) {
        fail_msg("'%s' does not say '%s'", findings->messages[number], text);
    }
}

static void assert_one(const struct findings *findings, enum addcow_status code, const char *clause, const char *text)
{
    assert_int_equal(findings->count, 1);
    assert_int_equal(findings->repairable, is_mended(clause));
    assert_finding(findings, 0, code, clause, text);
}

static void assert_header_rule(enum addcow_rule rule)
{
    struct findings findings = check();
    assert_one(&findings, addcow_rule_status(rule), addcow_rule_clause(rule), "disk.add-cow");
}

/* HDR-16 HR9-06: a header with one byte that should be zero is still read: geometry, image name and backing name. */
static void test_readable_header(void **state)
{
    (void)state;
    const struct disk_spec *specs[] = {&r20, &r9};
    for (size_t i = 0; i < 2; i++) {
        make_disk("disk", specs[i]);
        assert_int_equal(check().count, 0);
        patch_file("disk.add-cow", 4095, "x", 1);
        struct findings findings = check();
        assert_int_equal(findings.count, 1);
        assert_int_equal(findings.result.clusters, 11);
        assert_int_equal(findings.result.allocated, 3);
        assert_int_equal(unlink(in_directory("base.raw")), 0);
        findings = check();
        assert_int_equal(findings.count, 2);
        assert_non_null(strstr(findings.messages[1], "base.raw"));
        assert_int_equal(unlink(in_directory("disk.raw")), 0);
        findings = check();
        assert_int_equal(findings.count, 3);
        assert_non_null(strstr(findings.messages[1], "disk.raw"));
        assert_int_equal(findings.result.clusters, 0);
    }
}

/* HDR-01: a file that ends before the smallest header is judged no further, though its names are there. */
static void test_short_file(void **state)
{
    (void)state;
    const struct disk_spec *specs[] = {&r20, &r9};
    for (size_t i = 0; i < 2; i++) {
        make_disk("disk", specs[i]);
        assert_int_equal(truncate(in_directory("disk.add-cow"), 4095), 0);
        assert_header_rule(ADDCOW_RULE_LENGTH);
        assert_int_equal(check().result.clusters, 0);
        assert_int_equal(truncate(in_directory("disk.add-cow"), 0), 0);
        assert_header_rule(ADDCOW_RULE_LENGTH);
    }
}

/* The backing name is broken, so no backing file is looked for; the rest is judged. */
static void assert_backing_rule(enum addcow_rule rule)
{
    assert_header_rule(rule);
    assert_int_equal(check().result.clusters, 11);
    assert_int_equal(check().result.allocated, 3);
}

/* HDR-07 HDR-09 */
static void test_broken_backing_name(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    patch_file("disk.add-cow", 4, "\0\0\0\0", 4);
    assert_backing_rule(ADDCOW_RULE_BACKING_PRESENCE);
    make_disk("disk", &r20);
    patch_file("disk.add-cow", ADDCOW_NAMES_OFFSET + 4, "", 1);
    assert_backing_rule(ADDCOW_RULE_BACKING_NUL);
}

/* HR9-02 HR9-07: a name that has no end, and one that is the image's. */
static void test_broken_r9_backing_name(void **state)
{
    (void)state;
    char endless[ADDCOW_R9_NAME_SIZE];
    memset(endless, 'x', sizeof endless);
    make_disk("disk", &r9);
    patch_file("disk.add-cow", ADDCOW_R9_BACKING_OFFSET, endless, sizeof endless);
    assert_backing_rule(ADDCOW_RULE_R9_BACKING_NUL);
    make_disk("disk", &r9);
    patch_file("disk.add-cow", ADDCOW_R9_BACKING_OFFSET, "disk.raw", 9);
    assert_backing_rule(ADDCOW_RULE_R9_NAMES_EQUAL);
}

/* What is wrong with how the disk names its files. */
struct naming {
    const char *image_name;
    const char *image_format;
    const char *backing_name;
    const char *backing_format;
    enum addcow_rule broken[3]; /* until the first that is none */
    bool image_sound;
};

static void store_format(uint64_t offset, const char *format)
{
    char bytes[ADDCOW_FORMAT_SIZE] = {0};
    memcpy(bytes, format, strlen(format));
    patch_file("disk.add-cow", offset, bytes, sizeof bytes);
}

static void make_naming(const struct naming *naming)
{
    struct disk_spec spec = r20;
    spec.image_name = naming->image_name;
    spec.backing_name = naming->backing_name;
    make_disk("disk", &spec);
    store_format(60, naming->image_format);
    if (naming->backing_name) {
        store_format(44, naming->backing_format);
    }
}

/* LNK-02 LNK-03 LNK-04: neither hides another, and a broken backing name keeps nothing from being judged. */
static void test_names(void **state)
{
    (void)state;
    static const struct naming namings[] = {
        {"nbd:x", "raw", NULL, NULL, {ADDCOW_RULE_NAME_PROTOCOL}, false},
        {"nbd:x", "vhd", NULL, NULL, {ADDCOW_RULE_NAME_PROTOCOL, ADDCOW_RULE_IMAGE_FORMAT_RAW}, false},
        {"image", "raw", "nbd:y", "raw", {ADDCOW_RULE_NAME_PROTOCOL}, true},
        {"image", "raw", "nbd:y", "add-cow", {ADDCOW_RULE_NAME_PROTOCOL}, true},
        {"image", "raw", "nbd:y", "qcow2", {ADDCOW_RULE_NAME_PROTOCOL, ADDCOW_RULE_BACKING_FORMAT_KNOWN}, true},
        {"image", "raw", "base", "qcow2", {ADDCOW_RULE_BACKING_FORMAT_KNOWN}, true},
        {"nbd:x", "raw", "nbd:y", "raw", {ADDCOW_RULE_NAME_PROTOCOL, ADDCOW_RULE_NAME_PROTOCOL}, false},
        {"image", "vhd", "base", "qcow2", {ADDCOW_RULE_IMAGE_FORMAT_RAW, ADDCOW_RULE_BACKING_FORMAT_KNOWN}, false},
    };
    for (size_t i = 0; i < sizeof namings / sizeof namings[0]; i++) {
        const struct naming *naming = &namings[i];
        make_naming(naming);
        struct findings findings = check();
        unsigned count = 0;
        for (; naming->broken[count] != ADDCOW_RULE_NONE; count++) {
            assert_finding(&findings, count, ADDCOW_UNSUPPORTED, addcow_rule_clause(naming->broken[count]),
                           "disk.add-cow");
        }
        assert_int_equal(findings.count, count);
        assert_int_equal(findings.repairable, 0);
        assert_int_equal(findings.result.clusters, naming->image_sound ? 11 : 0);
    }
}

/* LNK-03: an image format that is not raw; the image is then not looked at. */
static void test_image_format(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    patch_file("disk.add-cow", 60, "vhd", 3);
    assert_int_equal(unlink(in_directory("disk.raw")), 0);
    struct findings findings = check();
    assert_one(&findings, ADDCOW_UNSUPPORTED, "LNK-03", "the image format is not raw");
    assert_int_equal(findings.result.clusters, 0);
}

/* BMP-03: the file ends inside the bitmap. */
static void test_cut_bitmap(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 1), 0);
    struct findings findings = check();
    assert_one(&findings, ADDCOW_MALFORMED, "BMP-03", "the file ends inside the bitmap");
}

/* BMP-05 VRT-05 CHK-02: which clusters; what is called repaired is durable. */
static void test_bits(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    patch_file("disk.add-cow", 4096 + 1, "\x51", 1); /* 8; 12 and 14 do not exist */
    struct findings findings = check();
    assert_one(&findings, ADDCOW_MALFORMED, "BMP-05",
               "2 bits past the last cluster are set, the first one for cluster 12");
    assert_int_equal(findings.result.allocated, 3);
    assert_repaired(1);
    struct disk_spec spec = r20;
    spec.compatible = ADDCOW_ALL_ALLOCATED;
    spec.allocated = 0x1FF;
    make_disk("disk", &spec);
    findings = check();
    assert_one(&findings, ADDCOW_MALFORMED, "VRT-05", "the bits of 2 are clear, the first one of cluster 9");
    assert_int_equal(findings.result.allocated, 11);
    assert_repaired(1);
}

/* BMP-04: padding that is missing, and padding that is used; its bits are also past the last cluster. */
static void test_padding(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 2), 0);
    struct findings findings = check();
    assert_one(&findings, ADDCOW_MALFORMED, "BMP-04",
               "the file is 4098 bytes long, and 8192 with the bitmap's padding");
    assert_repaired(1);
    make_disk("disk", &r20);
    patch_file("disk.add-cow", 8191, "\x80", 1);
    findings = check();
    assert_int_equal(findings.count, 2);
    assert_int_equal(findings.repairable, 2);
    assert_finding(&findings, 0, ADDCOW_MALFORMED, "BMP-04", "padding is not zero");
    assert_finding(&findings, 1, ADDCOW_MALFORMED, "BMP-05", "the first one for cluster 32767");
    assert_repaired(2);
}

/* CHK-02: where nothing is wrong, a repair writes nothing and changes no length. */
static void test_nothing_to_repair(void **state)
{
    (void)state;
    const struct disk_spec *specs[] = {&r20, &r9};
    for (size_t i = 0; i < 2; i++) {
        make_disk("disk", specs[i]);
        struct probe *probe = make_probe();
        assert_int_equal(repair(probe).count, 0);
        for (const char *file = "mib"; *file; file++) {
            assert_int_equal(count_events(probe, 0, EVENT_WRITE, *file), 0);
            assert_int_equal(count_events(probe, 0, EVENT_TRUNCATE, *file), 0);
            assert_int_equal(count_events(probe, 0, EVENT_PUNCH, *file), 0);
        }
        free_probe(probe);
    }
}

/* BMP-01 CHK-02: a bitmap of more than one piece, into which a bit is set in the second one. */
static void test_long_bitmap(void **state)
{
    (void)state;
    const uint64_t clusters = ((uint64_t)9 << 20) + 3;
    make_disk("disk", &(struct disk_spec){.size = 4096, .allocated = 1});
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)(clusters * 4096)), 0);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + (off_t)(2 << 20)), 0);
    patch_file("disk.add-cow", 4096 + ((uint64_t)9 << 17), "\x0f", 1);
    struct findings findings = check();
    char text[100];
    snprintf(text, sizeof text, "1 bits past the last cluster are set, the first one for cluster %" PRIu64, clusters);
    assert_one(&findings, ADDCOW_MALFORMED, "BMP-05", text);
    assert_int_equal(findings.result.clusters, clusters);
    assert_int_equal(findings.result.allocated, 4);
    assert_repaired(1);
    assert_int_equal(check().result.allocated, 4);
}

/* The n-th close of the metadata file fails. */
static int fail_close(struct probe *probe, const struct event *event)
{
    unsigned *left = probe->context;
    bool meant = event->kind == EVENT_CLOSE && event->file == 'm' && *left > 0;
    return meant && --*left == 0 ? -EIO : 0;
}

/* ERR-01: a check or a repair whose metadata file cannot be closed has failed. */
static void test_close_fails(void **state)
{
    (void)state;
    for (unsigned repairing = 0; repairing < 2; repairing++) {
        for (unsigned n = 1; n <= 2; n++) { /* the one that was opened by name to compare, and the file itself */
            struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
            struct addcow_error error = ADDCOW_ERROR_INIT;
            unsigned left = n;
            make_disk("disk", &r20);
            struct probe *probe = make_probe();
            probe->context = &left;
            probe->decide = fail_close;
            assert_int_equal(addcow_check(in_directory("disk.add-cow"), repairing != 0, &probe->storage, NULL, NULL,
                                          &result, &error),
                             ADDCOW_IO);
            assert_int_equal(left, 0);
            assert_int_equal(error.errnum, EIO);
            assert_non_null(strstr(error.message, "disk.add-cow: close failed"));
            free_probe(probe);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_readable_header),
        TEST(test_short_file),
        TEST(test_broken_backing_name),
        TEST(test_broken_r9_backing_name),
        TEST(test_names),
        TEST(test_image_format),
        TEST(test_cut_bitmap),
        TEST(test_bits),
        TEST(test_padding),
        TEST(test_nothing_to_repair),
        TEST(test_long_bitmap),
        TEST(test_close_fails),
    };
    return cmocka_run_group_tests_name("check, findings", tests, NULL, NULL);
}

/*
 * What a check says of a damaged disk: each damage by itself gives its own finding and no other, with the number that helps to find it, and what
 * can still be judged is (CHK-01).
 */
#include "support.h"

#define FINDINGS_MAX 4

struct findings {
    struct addcow_check_result result;
    unsigned count;
    char clauses[FINDINGS_MAX][8];
    char messages[FINDINGS_MAX][300];
};

static void note(void *context, const struct addcow_finding *finding)
{
    struct findings *findings = context;
    assert_true(findings->count < FINDINGS_MAX);
    snprintf(findings->clauses[findings->count], 8, "%s", finding->clause);
    snprintf(findings->messages[findings->count], 300, "%s", finding->message);
    findings->count++;
}

static struct findings check(void)
{
    struct findings findings = {.count = 0};
    assert_ok(addcow_check(in_directory("disk.add-cow"), false, NULL, note, &findings, &findings.result, &reason));
    assert_int_equal(findings.result.broken, findings.count);
    return findings;
}

/* 11 clusters, of which 1, 2 and 8 are allocated. */
static const struct disk_spec r20 = {
    .size = 10 * 4096 + 777, .backing_name = "base.raw", .backing_size = 5 * 4096, .allocated = 0x106};
static const struct disk_spec r9 = {.layout = ADDCOW_R9,
                                    .size = 10 * 65536 + 777,
                                    .backing_name = "base.raw",
                                    .backing_size = 5 * 4096,
                                    .allocated = 0x106};

static void assert_one(const struct findings *findings, const char *clause, const char *text)
{
    assert_int_equal(findings->count, 1);
    assert_string_equal(findings->clauses[0], clause);
    if (!strstr(findings->messages[0], text))
        fail_msg("'%s' does not say '%s'", findings->messages[0], text);
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

/* LNK-03: an image format that is not raw; the image is then not looked at. */
static void test_image_format(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    patch_file("disk.add-cow", 60, "vhd", 3);
    assert_int_equal(unlink(in_directory("disk.raw")), 0);
    struct findings findings = check();
    assert_one(&findings, "LNK-03", "the image format is not raw");
    assert_int_equal(findings.result.clusters, 0);
}

/* BMP-03: the file ends inside the bitmap. */
static void test_cut_bitmap(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 1), 0);
    struct findings findings = check();
    assert_one(&findings, "BMP-03", "the file ends inside the bitmap");
}

/* BMP-05 VRT-05: which clusters. */
static void test_bits(void **state)
{
    (void)state;
    make_disk("disk", &r20);
    patch_file("disk.add-cow", 4096 + 1, "\x51", 1); /* 8; 12 and 14 do not exist */
    struct findings findings = check();
    assert_one(&findings, "BMP-05", "2 bits past the last cluster are set, the first one for cluster 12");
    assert_int_equal(findings.result.allocated, 3);
    struct disk_spec spec = r20;
    spec.compatible = ADDCOW_ALL_ALLOCATED;
    spec.allocated = 0x1FF;
    make_disk("disk", &spec);
    findings = check();
    assert_one(&findings, "VRT-05", "the bits of 2 are clear, the first one of cluster 9");
    assert_int_equal(findings.result.allocated, 11);
}

/* BMP-01: a bitmap of more than one piece, into which a bit is set in the second one. */
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
    assert_one(&findings, "BMP-05", text);
    assert_int_equal(findings.result.clusters, clusters);
    assert_int_equal(findings.result.allocated, 4);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_readable_header), TEST(test_image_format), TEST(test_cut_bitmap), TEST(test_bits),
        TEST(test_long_bitmap),
    };
    return cmocka_run_group_tests_name("check, findings", tests, NULL, NULL);
}

/*
 * The files below a disk that is being created or checked, and is not opened for it: which of them count, that none of
 * them is also a file of the disk itself, and how many there may be (LNK-07, LNK-09, LNK-10); and the limits of what a
 * creation accepts.
 */
#include "support/disks.h"

#define SIZE (3 * 4096u)

/* "low" on base.raw, and "middle" on that. */
static void make_chain(bool all_allocated)
{
    make_disk("low", &(struct disk_spec){.size = SIZE, .backing_name = "base.raw", .backing_size = SIZE});
    make_disk("middle", &(struct disk_spec){.size = SIZE,
                                            .backing_name = "low.add-cow",
                                            .backing_format = "add-cow",
                                            .compatible = all_allocated ? ADDCOW_ALL_ALLOCATED : 0,
                                            .allocated = all_allocated ? 7 : 0});
}

static enum addcow_status create_over(const char *backing, const char *format, const char *image,
                                      struct addcow_error *error)
{
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = image,
                                                  .backing_name = backing,
                                                  .backing_format = format,
                                                  .hide_image_data = true};
    return addcow_create(in_directory("new.add-cow"), &options, NULL, error);
}

struct findings {
    unsigned count;
    enum addcow_status code; /* of the last one */
    char clause[8];
};

static void note(void *context, const struct addcow_finding *finding)
{
    struct findings *findings = context;
    findings->count++;
    findings->code = finding->code;
    snprintf(findings->clause, sizeof findings->clause, "%s", finding->clause);
    assert_null(strstr(finding->message, "(null)"));
    assert_false(finding->repairable);
}

static struct findings check(const char *name)
{
    struct findings findings = {0};
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    assert_ok(addcow_check(in_directory(name), false, NULL, note, &findings, &result, &reason));
    assert_int_equal(result.broken, findings.count);
    return findings;
}

/* The files of the chain, from the top, and whether they count when "middle" is all allocated. */
static const struct {
    const char *name;
    bool counts_always;
} chain[] = {
    {"middle.add-cow", true}, {"middle.raw", true}, {"low.add-cow", false}, {"low.raw", false}, {"base.raw", false}};

/* CRE-05 LNK-07 LNK-10: the image of a new disk is none of the files below it. */
static void test_create(void **state)
{
    (void)state;
    for (int all_allocated = 0; all_allocated < 2; all_allocated++) {
        for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
            make_chain(all_allocated);
            assert_int_equal(link(in_directory(chain[i].name), in_directory("alias.raw")), 0);
            enum addcow_status code = create_over("middle.add-cow", "add-cow", "alias.raw", &reason);
            if (all_allocated && !chain[i].counts_always) {
                assert_ok(code);
                assert_int_equal(unlink(in_directory("new.add-cow")), 0);
            } else {
                assert_int_equal(code, ADDCOW_UNLINKABLE);
                assert_string_equal(reason.clause, "LNK-07");
            }
            assert_int_equal(unlink(in_directory("alias.raw")), 0);
        }
    }
    assert_int_equal(link(in_directory("base.raw"), in_directory("alias.raw")), 0);
    assert_int_equal(create_over("base.raw", "raw", "alias.raw", &reason), ADDCOW_UNLINKABLE);
    assert_string_equal(reason.clause, "LNK-07");
}

/* CHK-01 LNK-07 LNK-10: the same of a disk that is there. */
static void test_check(void **state)
{
    (void)state;
    for (int all_allocated = 0; all_allocated < 2; all_allocated++) {
        for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
            make_disk("top",
                      &(struct disk_spec){.size = SIZE, .backing_name = "middle.add-cow", .backing_format = "add-cow"});
            make_chain(all_allocated);
            assert_int_equal(check("top.add-cow").count, 0);
            assert_int_equal(unlink(in_directory("top.raw")), 0);
            assert_int_equal(link(in_directory(chain[i].name), in_directory("top.raw")), 0);
            struct findings findings = check("top.add-cow");
            if (all_allocated && !chain[i].counts_always) {
                assert_int_equal(findings.count, 0);
            } else {
                assert_int_equal(findings.count, 1);
                assert_int_equal(findings.code, ADDCOW_UNLINKABLE);
                assert_string_equal(findings.clause, "LNK-07");
            }
            assert_int_equal(unlink(in_directory("top.raw")), 0);
        }
    }
}

/* CMT-02 LNK-07: all is allocated, so that only the commit opens the backing file, which is one of the disk's own. */
static void test_commit(void **state)
{
    (void)state;
    static const char *const own[] = {"disk.raw", "disk.add-cow"};
    const struct disk_spec spec = {.size = SIZE,
                                   .backing_name = "base.raw",
                                   .backing_size = SIZE,
                                   .compatible = ADDCOW_ALL_ALLOCATED,
                                   .allocated = 7};
    for (size_t i = 0; i < 2; i++) {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        make_disk("disk", &spec);
        assert_int_equal(unlink(in_directory("base.raw")), 0);
        assert_int_equal(link(in_directory(own[i]), in_directory("base.raw")), 0);
        uint8_t *before = load_file("disk.raw");
        struct addcow *disk = open_disk("disk.add-cow");
        assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_UNLINKABLE);
        assert_string_equal(error.clause, "LNK-07");
        close_disk(disk);
        uint8_t *after = load_file("disk.raw");
        assert_memory_equal(before, after, SIZE);
        free(before);
        free(after);
        assert_int_equal(unlink(in_directory("base.raw")), 0);
    }
}

/* CHK-01 LNK-07: the image is the metadata file itself. */
static void test_image_is_metadata(void **state)
{
    (void)state;
    make_disk("disk", &(struct disk_spec){.size = SIZE});
    assert_int_equal(unlink(in_directory("disk.raw")), 0);
    assert_int_equal(link(in_directory("disk.add-cow"), in_directory("disk.raw")), 0);
    struct findings findings = check("disk.add-cow");
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.code, ADDCOW_UNLINKABLE);
    assert_string_equal(findings.clause, "LNK-07");
}

/* LNK-09: at most 16 metadata files, of which the new or checked one is the first. */
static void test_depth(void **state)
{
    (void)state;
    make_disk("d1", &(struct disk_spec){.size = SIZE, .backing_name = "base.raw", .backing_size = SIZE});
    for (int i = 2; i <= 17; i++) {
        char name[16], below[32];
        snprintf(name, sizeof name, "d%d", i);
        snprintf(below, sizeof below, "d%d.add-cow", i - 1);
        make_disk(name, &(struct disk_spec){.size = SIZE, .backing_name = below, .backing_format = "add-cow"});
    }
    store_pattern("alias.raw", 1, SIZE);
    assert_ok(create_over("d15.add-cow", "add-cow", "alias.raw", &reason));
    assert_int_equal(unlink(in_directory("new.add-cow")), 0);
    assert_int_equal(create_over("d16.add-cow", "add-cow", "alias.raw", &reason), ADDCOW_UNSUPPORTED);
    assert_string_equal(reason.clause, "LNK-09");
    assert_int_equal(check("d16.add-cow").count, 0);
    struct findings findings = check("d17.add-cow");
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.code, ADDCOW_UNSUPPORTED);
    assert_string_equal(findings.clause, "LNK-09");
}

/* LNK-02 LNK-03: the header is judged before the files that it names are opened. */
static void test_names_come_first(void **state)
{
    (void)state;
    make_disk("disk", &(struct disk_spec){.size = SIZE, .image_name = "nbd:x"});
    assert_int_equal(unlink(in_directory("nbd:x")), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, addcow_rule_status(ADDCOW_RULE_NAME_PROTOCOL),
                addcow_rule_clause(ADDCOW_RULE_NAME_PROTOCOL));
    make_disk("disk", &(struct disk_spec){.size = SIZE});
    patch_file("disk.add-cow", 60, "vhd", 3);
    assert_int_equal(unlink(in_directory("disk.raw")), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNSUPPORTED, "LNK-03");
}

/* ---- Other things that a creation judges ---- */

/* "./././NAME" of exactly so many bytes. */
static const char *long_name(const char *name, size_t size)
{
    static char result[2][8192];
    static int next;
    char *text = result[next ^= 1];
    size_t rest = size - strlen(name);
    text[0] = '\0';
    if (rest % 2 == 1) {
        strcat(text, ".//");
        rest -= 3;
    }
    for (; rest > 0; rest -= 2) {
        strcat(text, "./");
    }
    return strcat(text, name);
}

static enum addcow_status create_named(enum addcow_layout layout, size_t backing_size, size_t image_size)
{
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = layout,
                                                  .cluster_bits = layout == ADDCOW_R9 ? 16 : 12,
                                                  .image_name = long_name("image.raw", image_size),
                                                  .backing_name = long_name("base.raw", backing_size),
                                                  .backing_format = "raw",
                                                  .hide_image_data = true};
    enum addcow_status code = addcow_create(in_directory("new.add-cow"), &options, NULL, &reason);
    if (code == ADDCOW_OK) {
        close_disk(open_disk("new.add-cow"));
        assert_int_equal(unlink(in_directory("new.add-cow")), 0);
    } else {
        assert_string_equal(reason.clause, "CRE-05");
    }
    return code;
}

/* CRE-05: names that just fit, and names that just do not. */
static void test_name_sizes(void **state)
{
    (void)state;
    const size_t room = ADDCOW_HEADER_MIN - ADDCOW_NAMES_OFFSET;
    store_pattern("base.raw", 1, SIZE);
    store_pattern("image.raw", 2, SIZE);
    assert_int_equal(create_named(ADDCOW_R9, ADDCOW_R9_NAME_SIZE - 1, ADDCOW_R9_NAME_SIZE - 1), ADDCOW_OK);
    assert_int_equal(create_named(ADDCOW_R9, ADDCOW_R9_NAME_SIZE, 20), ADDCOW_RANGE);
    assert_int_equal(create_named(ADDCOW_R9, 20, ADDCOW_R9_NAME_SIZE), ADDCOW_RANGE);
    assert_int_equal(create_named(ADDCOW_R20, 20, room - 20), ADDCOW_OK);
    assert_int_equal(create_named(ADDCOW_R20, room - 20, 20), ADDCOW_OK);
    assert_int_equal(create_named(ADDCOW_R20, 20, room - 19), ADDCOW_RANGE);
    assert_int_equal(create_named(ADDCOW_R20, room - 19, 20), ADDCOW_RANGE);
    assert_int_equal(create_named(ADDCOW_R20, room + 1, 20), ADDCOW_RANGE);
}

/* LNK-04: in both layouts, also when there is none. */
static void test_backing_format(void **state)
{
    (void)state;
    static const char *const formats[] = {NULL, "", "qcow2"};
    store_pattern("base.raw", 1, SIZE);
    store_pattern("image.raw", 2, SIZE);
    for (size_t i = 0; i < 6; i++) {
        const struct addcow_create_options options = {.struct_size = sizeof options,
                                                      .layout = i % 2 ? ADDCOW_R9 : ADDCOW_R20,
                                                      .cluster_bits = 16,
                                                      .image_name = "image.raw",
                                                      .backing_name = "base.raw",
                                                      .backing_format = formats[i / 2],
                                                      .hide_image_data = true};
        assert_int_equal(addcow_create(in_directory("new.add-cow"), &options, NULL, &reason), ADDCOW_UNSUPPORTED);
        assert_string_equal(reason.clause, "LNK-04");
    }
}

/* CRE-02: an image that stores zeros hides nothing, one with a single other byte far behind them does. */
static void test_stored_zeros(void **state)
{
    (void)state;
    const uint64_t size = (5 << 20) + 7;
    uint8_t *bytes = allocate_bytes(size);
    store_pattern("base.raw", 1, SIZE);
    store_file("image.raw", bytes, size);
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "image.raw",
                                                  .backing_name = "base.raw",
                                                  .backing_format = "raw"};
    assert_ok(addcow_create(in_directory("new.add-cow"), &options, NULL, &reason));
    assert_int_equal(unlink(in_directory("new.add-cow")), 0);
    bytes[size - 1] = 1;
    store_file("image.raw", bytes, size);
    assert_int_equal(addcow_create(in_directory("new.add-cow"), &options, NULL, &reason), ADDCOW_RANGE);
    assert_string_equal(reason.clause, "CRE-02");
    free(bytes);
}

/* CRE-03 VRT-05: more set bits than are written at once. */
static void test_huge_bitmap(void **state)
{
    (void)state;
    const uint64_t clusters = ((uint64_t)9 << 20) + 3;
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "image.raw",
                                                  .make_image = true,
                                                  .image_size = clusters * 4096};
    assert_ok(addcow_create(in_directory("new.add-cow"), &options, NULL, &reason));
    assert_int_equal(file_length("new.add-cow"), 4096 + ((clusters + 7) / 8 + 4095) / 4096 * 4096);
    assert_int_equal(check("new.add-cow").count, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_create),       TEST(test_check),
                                       TEST(test_commit),       TEST(test_image_is_metadata),
                                       TEST(test_depth),        TEST(test_names_come_first),
                                       TEST(test_name_sizes),   TEST(test_backing_format),
                                       TEST(test_stored_zeros), TEST(test_huge_bitmap)};
    return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}

/*
 * The files below a disk that is being created or checked, and is not opened for it: which of them count, that none of them is also a file of
 * the disk itself, and how many there may be (LNK-07, LNK-09, LNK-10).
 */
#include "support.h"

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

static enum addcow_class create_over(const char *backing, const char *format, const char *image,
                                     struct addcow_error *error)
{
    const struct addcow_create_options options = {.layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = image,
                                                  .backing_name = backing,
                                                  .backing_format = format,
                                                  .hide_image_data = true};
    return addcow_create(in_directory("new.add-cow"), &options, NULL, error);
}

struct findings {
    unsigned count;
    enum addcow_class code; /* of the last one */
    char clause[8];
};

static void note(void *context, const struct addcow_finding *finding)
{
    struct findings *findings = context;
    findings->count++;
    findings->code = finding->code;
    snprintf(findings->clause, sizeof findings->clause, "%s", finding->clause);
    assert_null(strstr(finding->message, "(null)"));
}

static struct findings check(const char *name)
{
    struct findings findings = {0};
    struct addcow_check_result result;
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
            enum addcow_class code = create_over("middle.add-cow", "add-cow", "alias.raw", &reason);
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_create), TEST(test_check), TEST(test_depth)};
    return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}

/*
 * addcow_check: what the command line cannot reach. Every call of the storage fails once while a damaged disk is
 * checked and repaired: whatever happens, the disk reads the same (CHK-02), nothing is called repaired that is not
 * durable, and no failure of the storage is taken for a fault of the file (ERR-01).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "addcow_fast.h"
#include "support/current_directory.h"
#include "support/every_call.h"
#include "support/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER 4096
#define CLUSTERS 11
#define SIZE (10 * CLUSTER + 5)

static int leave_directory(void **state)
{
    (void)state;
    static const char *const files[] = {"disk", "image", "base", "below", "lower"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        unlink(files[i]);
    }
    return leave_empty_directory();
}

/* ---- Disks ---- */

static void patch(const char *name, long offset, const void *bytes, size_t count)
{
    FILE *file = fopen(name, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* A file as bytes; the caller frees them. */
static uint8_t *load(const char *name, size_t *count)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *count = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*count + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *count, file), *count);
    fclose(file);
    return bytes;
}

/* A valid disk of 11 clusters over a disk over a raw file; its image holds data in every cluster. */
static void make_disk(bool wrapped)
{
    unlink("disk");
    unlink("below");
    unlink("lower");
    store("image", SIZE, 1);
    store("base", SIZE, 2);
    store("lower", SIZE, 3);
    struct addcow_create_options below = {.struct_size = sizeof below,
                                          .layout = ADDCOW_R20,
                                          .cluster_bits = 12,
                                          .image_name = "lower",
                                          .backing_name = "base",
                                          .backing_format = "raw",
                                          .hide_image_data = true};
    struct addcow_create_options options = below;
    options.image_name = "image";
    options.backing_name = wrapped ? NULL : "below";
    options.backing_format = wrapped ? NULL : "add-cow";
    assert_int_equal(addcow_create("below", &below, NULL, NULL), ADDCOW_OK);
    assert_int_equal(addcow_create("disk", &options, NULL, NULL), ADDCOW_OK);
}

/* Breaks BMP-04 (twice) and BMP-05: bits past the end, and padding that is used and short. */
static void break_bitmap(void)
{
    patch("disk", CLUSTER, "\x06\xf9\x00\x01", 4);
    assert_int_equal(truncate("disk", CLUSTER + 100), 0);
}

/* Breaks VRT-05: "all allocated" with clear bits. */
static void break_flag(void)
{
    patch("disk", CLUSTER, "\x81\x03", 2);
}

static uint8_t *read_disk(void)
{
    struct addcow *disk;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    if (addcow_open("disk", ADDCOW_OPEN_READONLY, NULL, &disk, &error) != ADDCOW_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(addcow_size(disk), SIZE);
    assert_int_equal(addcow_read(disk, 0, SIZE, bytes, NULL), ADDCOW_OK);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    return bytes;
}

/* ---- Findings ---- */

struct findings {
    struct faults *faults;
    unsigned count;
    unsigned repaired;
    char clauses[256]; /* separated by spaces */
};

static void note(void *context, const struct addcow_finding *finding)
{
    struct findings *findings = context;
    findings->count++;
    findings->repaired += finding->repaired;
    assert_int_not_equal(finding->code, ADDCOW_OK);
    assert_int_not_equal(strlen(finding->clause), 0);
    assert_int_not_equal(strlen(finding->message), 0);
    assert_true(finding->repairable || !finding->repaired);
    /* A repair is reported only after a sync. */
    assert_true(!finding->repaired || !findings->faults || findings->faults->syncs > 0);
    size_t length = strlen(findings->clauses);
    snprintf(findings->clauses + length, sizeof findings->clauses - length, "%s%s", length ? " " : "", finding->clause);
}

static void expect(bool repair, const char *clauses, unsigned broken, unsigned repaired)
{
    struct findings findings = {0};
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_check("disk", repair, NULL, note, &findings, &result, &error) != ADDCOW_OK) {
        fail_msg("%s", error.message);
    }
    assert_string_equal(findings.clauses, clauses);
    assert_int_equal(result.broken, broken);
    assert_int_equal(result.repaired, repaired);
    assert_int_equal(findings.count, broken + repaired);
    assert_int_equal(findings.repaired, repaired);
}

/* The metadata file is again what it was before it was broken. */
static void expect_restored(const uint8_t *intact, size_t intact_count)
{
    size_t count;
    uint8_t *repaired = load("disk", &count);
    assert_int_equal(count, intact_count);
    assert_memory_equal(repaired, intact, count);
    free(repaired);
}

/* CHK-01, CHK-02, and that a repair is complete and changes nothing else. */
static void test_repair(void **state)
{
    (void)state;
    make_disk(false);
    expect(false, "", 0, 0);
    patch("disk", CLUSTER, "\x06\x01", 2);
    size_t intact_count;
    uint8_t *intact = load("disk", &intact_count);
    uint8_t *before = read_disk();
    break_bitmap();
    expect(false, "BMP-04 BMP-04 BMP-05", 3, 0);
    expect(true, "BMP-04 BMP-04 BMP-05", 0, 3);
    expect(true, "", 0, 0);
    expect_restored(intact, intact_count);
    uint8_t *after = read_disk();
    assert_memory_equal(after, before, SIZE);
    free(intact);
    free(before);
    free(after);
}

static void test_repair_flag(void **state)
{
    (void)state;
    make_disk(true);
    size_t intact_count;
    uint8_t *intact = load("disk", &intact_count);
    break_flag();
    expect(false, "VRT-05", 1, 0);
    expect(true, "VRT-05", 0, 1);
    expect_restored(intact, intact_count);
    free(intact);
}

static void note_message(void *context, const struct addcow_finding *finding)
{
    snprintf(context, 256, "%s", finding->message);
}

/* VRT-05: the bits of a hole count as clear, and a repair sets them. */
static void test_hole_in_the_bitmap(void **state)
{
    (void)state;
    make_disk(true);
    size_t intact_count;
    uint8_t *intact = load("disk", &intact_count);
    assert_int_equal(truncate("disk", CLUSTER), 0);
    assert_int_equal(truncate("disk", (off_t)intact_count), 0);
    char message[256] = "";
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    assert_int_equal(addcow_check("disk", false, NULL, note_message, message, &result, NULL), ADDCOW_OK);
    assert_non_null(strstr(message, "the bits of 11 are clear, the first one of cluster 0"));
    expect(true, "VRT-05", 0, 1);
    expect_restored(intact, intact_count);
    free(intact);
}

/* The result's numbers, and that report and error may be null. */
static void test_result(void **state)
{
    (void)state;
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    make_disk(false);
    patch("disk", CLUSTER, "\x06\x05", 2);
    assert_int_equal(addcow_check("disk", false, NULL, NULL, NULL, &result, NULL), ADDCOW_OK);
    assert_int_equal(result.clusters, CLUSTERS);
    assert_int_equal(result.allocated, 4);
    patch("disk", 0, "x", 1);
    assert_int_equal(addcow_check("disk", true, NULL, NULL, NULL, &result, NULL), ADDCOW_OK);
    assert_int_equal(result.broken, 1);
    assert_int_equal(result.clusters, 0);
    assert_int_equal(addcow_check("nowhere", false, NULL, NULL, NULL, &result, NULL), ADDCOW_UNLINKABLE);
}

/* ---- Faults ---- */

/* Checks and repairs with the fault: a disk with a broken flag (variant 1) or a broken bitmap (variant 0). */
static bool try_fault(size_t variant, uint64_t fail_at, int errnum, bool after)
{
    bool wrapped = variant == 1;
    make_disk(wrapped);
    if (wrapped) {
        break_flag();
    } else {
        patch("disk", CLUSTER, "\x06\x01", 2);
        break_bitmap();
    }
    uint8_t *before = read_disk();
    struct faults faults = make_faults(fail_at, errnum, after);
    struct findings findings = {.faults = &faults};
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_check("disk", true, &faults.storage, note, &findings, &result, &error);
    assert_int_equal(code, error.code);
    if (code == ADDCOW_OK) {
        assert_string_equal(findings.clauses, wrapped ? "VRT-05" : "BMP-04 BMP-04 BMP-05");
        expect(false, "", 0, 0);
    } else {
        assert_int_not_equal(errnum, EINTR);
        assert_int_equal(code, errnum == ENOSPC ? ADDCOW_NOSPACE : ADDCOW_IO);
        assert_int_not_equal(strlen(error.message), 0);
    }
    uint8_t *now = read_disk();
    assert_memory_equal(now, before, SIZE);
    free(now);
    free(before);
    return faults.calls >= fail_at;
}

/* CHK-02, ERR-01, ERR-05; ERR-04 for interruptions */
static struct every_call every_call = {try_fault, 2};

/* What is not permitted: to open a file of the disk is a finding, and anything else a failure. Returns how many
 * findings. */
static unsigned forbid_every_call(int errnum)
{
    unsigned found = 0;
    struct faults faults = {.fail_at = 0};
    make_disk(false);
    for (uint64_t call = 1; faults.calls >= faults.fail_at; call++) {
        faults = make_faults(call, errnum, false);
        struct findings findings = {.count = 0};
        struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        enum addcow_status code = addcow_check("disk", false, &faults.storage, note, &findings, &result, &error);
        assert_int_equal(code, error.code);
        assert_true(code == ADDCOW_OK || code == ADDCOW_IO);
        assert_string_equal(findings.clauses, findings.count ? "LNK-06" : "");
        assert_true(code == ADDCOW_OK || findings.count == 0);
        found += findings.count;
    }
    return found;
}

/* LNK-06 ERR-01: the image and the three files below. */
static void test_forbidden_calls(void **state)
{
    (void)state;
    assert_true(forbid_every_call(EACCES) >= 4);
    assert_true(forbid_every_call(EPERM) >= 4);
}

/* A disk that is written to is not checked, and one that is read is not repaired (LCK-02). */
static void test_locks(void **state)
{
    (void)state;
    struct addcow *disk;
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    make_disk(false);
    assert_int_equal(addcow_open("disk", ADDCOW_OPEN_READONLY, NULL, &disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_check("disk", false, NULL, NULL, NULL, &result, &error), ADDCOW_OK);
    assert_int_equal(addcow_check("disk", true, NULL, NULL, NULL, &result, &error), ADDCOW_BUSY);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_open("disk", ADDCOW_OPEN_READWRITE, NULL, &disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_check("disk", false, NULL, NULL, NULL, &result, &error), ADDCOW_BUSY);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    /* A backing disk that is written to: its state is unknown, which is no finding. */
    assert_int_equal(addcow_open("below", ADDCOW_OPEN_READWRITE, NULL, &disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_check("disk", false, NULL, NULL, NULL, &result, &error), ADDCOW_BUSY);
    assert_string_equal(error.clause, "LCK-02");
    assert_int_equal(result.broken, 0);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    expect(true, "", 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_repair_flag),
        cmocka_unit_test(test_hole_in_the_bitmap),
        cmocka_unit_test(test_result),
        cmocka_unit_test_prestate(test_failure_of_every_call, &every_call),
        cmocka_unit_test_prestate(test_failure_at_the_end_of_every_call, &every_call),
        cmocka_unit_test_prestate(test_interruption_of_every_call, &every_call),
        cmocka_unit_test(test_forbidden_calls),
        cmocka_unit_test(test_locks),
    };
    return cmocka_run_group_tests_name("check", tests, enter_directory, leave_directory);
}

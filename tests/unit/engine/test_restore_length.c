/*
 * The production engine: the way back for a disk whose image another program made longer, with a failure at every
 * storage call. tests/cli/maintain.bats has the refusals.
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
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTER 65536u
#define SIZE (11 * CLUSTER - 100)
#define COVERED ((off_t)16 * CLUSTER) /* by the two bytes of the bitmap that r9 has */

static int leave_directory(void **state)
{
    (void)state;
    unlink("disk");
    unlink("image");
    unlink("base");
    return leave_empty_directory();
}

static void put(uint64_t offset, uint64_t size, const uint8_t *data)
{
    struct addcow *disk;
    assert_int_equal(addcow_open("disk", ADDCOW_OPEN_READWRITE, NULL, &disk, NULL), ADDCOW_OK);
    enum addcow_status code =
        data ? addcow_write(disk, offset, size, data, NULL) : addcow_zero(disk, offset, size, NULL);
    assert_int_equal(code, ADDCOW_OK);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
}

/*
 * A disk with one allocated cluster, whose image then became longer: past what is covered, or less far (r20 covers
 * more), and then zeros were written there too, which set bits.
 */
static void make_grown_disk(bool past_covered)
{
    unlink("disk");
    unlink("image");
    store("base", SIZE, 1);
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    options.layout = past_covered ? ADDCOW_R9 : ADDCOW_R20;
    options.image_name = "image";
    options.backing_name = "base";
    options.backing_format = "raw";
    options.make_image = true;
    options.image_size = SIZE;
    assert_int_equal(addcow_create("disk", &options, NULL, NULL), ADDCOW_OK);
    put(5 * CLUSTER, 5, (const uint8_t *)"hello");
    assert_int_equal(truncate("image", COVERED + 1), 0);
    if (!past_covered) {
        put(12 * CLUSTER, 3 * CLUSTER, NULL);
    }
}

/*
 * The disk is what it was before the image became longer: in content, length and bits. After a failure, as after any
 * failed shrink, there may be bits past the end, which readers ignore and a repair clears (BMP-05).
 */
static void expect_restored(bool repaired)
{
    static uint8_t bytes[SIZE], base[SIZE];
    FILE *file = fopen("base", "rb");
    assert_non_null(file);
    assert_int_equal(fread(base, 1, SIZE, file), SIZE);
    fclose(file);
    memcpy(base + 5 * CLUSTER, "hello", 5);
    struct addcow *disk;
    assert_int_equal(addcow_open("disk", ADDCOW_OPEN_READONLY, NULL, &disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_size(disk), SIZE);
    assert_int_equal(addcow_read(disk, 0, SIZE, bytes, NULL), ADDCOW_OK);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    assert_memory_equal(bytes, base, SIZE);
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    assert_int_equal(addcow_check("disk", repaired, NULL, NULL, NULL, &result, NULL), ADDCOW_OK);
    assert_int_equal(result.broken, 0);
    assert_int_equal(result.allocated, 1);
}

/* A failure says so, and the call can be repeated; success is success. */
static bool try_fault(size_t variant, uint64_t fail_at, int errnum, bool after)
{
    make_grown_disk(variant == 0);
    struct faults faults = make_faults(fail_at, errnum, after);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_restore_length("disk", SIZE, &faults.storage, &error);
    assert_int_equal(code, error.code);
    if (code != ADDCOW_OK) {
        assert_int_not_equal(errnum, EINTR);
        assert_int_not_equal(strlen(error.message), 0);
        assert_int_equal(addcow_restore_length("disk", SIZE, NULL, NULL), ADDCOW_OK);
    }
    expect_restored(code != ADDCOW_OK);
    return faults.calls >= fail_at;
}

static struct every_call every_call = {try_fault, 2};

/* Refused, and nothing has changed. */
static void expect_refused(uint64_t old_length)
{
    struct stat before, now;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(stat("image", &before), 0);
    assert_int_equal(addcow_restore_length("disk", old_length, NULL, &error), ADDCOW_RANGE);
    assert_int_equal(stat("image", &now), 0);
    assert_int_equal(now.st_size, before.st_size);
}

/* BMP-03 ERR-06 */
static void test_refusals(void **state)
{
    (void)state;
    make_grown_disk(true);
    expect_refused((uint64_t)COVERED + 1);
    expect_refused((uint64_t)COVERED + 2);
    expect_refused(UINT64_MAX);
    expect_refused(5 * CLUSTER + 4);
    assert_int_equal(addcow_restore_length("disk", SIZE, NULL, NULL), ADDCOW_OK);
    expect_refused(SIZE + 1);
    expect_restored(false);
    struct addcow *disk;
    assert_int_equal(addcow_open("disk", ADDCOW_OPEN_READONLY, NULL, &disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_restore_length("disk", SIZE, NULL, NULL), ADDCOW_BUSY);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test_prestate(test_failure_of_every_call, &every_call),
        cmocka_unit_test_prestate(test_failure_at_the_end_of_every_call, &every_call),
        cmocka_unit_test_prestate(test_interruption_of_every_call, &every_call),
    };
    return cmocka_run_group_tests_name("restore_length", tests, enter_directory, leave_directory);
}

/*
 * The production engine: long work makes durable what it has done from time to time (STR-03, RBS-03). So a process that
 * dies has not copied all of it in vain. What the metadata file holds is looked at in the middle of the work.
 */
#include "support/model.h"

#include <errno.h>

#define CLUSTER_BITS 16u
#define MIB ((uint64_t)1 << 20)
#define CHECKPOINT (32 * MIB) /* after so many bytes */
#define LOOK (40 * MIB)       /* there the work is stopped */

static const struct disk_spec disk_spec = {
    .cluster_bits = CLUSTER_BITS, .size = 48 * MIB, .backing_name = "base.raw", .backing_size = 48 * MIB};

/* How many clusters are allocated in the metadata file. */
static unsigned allocated_in_file(void)
{
    uint8_t *file = load_file("disk.add-cow");
    unsigned count = 0;
    for (uint64_t k = 0; k < disk_spec.size >> CLUSTER_BITS; k++) {
        count += file[(1u << CLUSTER_BITS) + k / 8] >> k % 8 & 1u;
    }
    free(file);
    return count;
}

static bool stop_and_look(void *context, uint64_t done, uint64_t total)
{
    unsigned *count = context;
    assert_int_equal(total, disk_spec.size);
    *count = done >= LOOK ? allocated_in_file() : 0;
    return done < LOOK;
}

/* STR-03 */
static void test_stream_keeps_its_work(void **state)
{
    (void)state;
    unsigned count = 0;
    make_disk("disk", &disk_spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_stream(disk, stop_and_look, &count, &error), ADDCOW_IO);
    assert_int_equal(error.errnum, ECANCELED);
    close_disk(disk);
    assert_true(count >= CHECKPOINT >> CLUSTER_BITS && count <= LOOK >> CLUSTER_BITS);
}

/* RBS-03 */
static void test_rebase_keeps_its_work(void **state)
{
    (void)state;
    unsigned count = 0;
    make_disk("disk", &disk_spec);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_rebase_options none = {.struct_size = sizeof none};
    assert_int_equal(addcow_rebase(in_directory("disk.add-cow"), &none, NULL, stop_and_look, &count, &error),
                     ADDCOW_IO);
    assert_int_equal(error.errnum, ECANCELED);
    assert_true(count >= CHECKPOINT >> CLUSTER_BITS && count <= LOOK >> CLUSTER_BITS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stream_keeps_its_work),
        TEST(test_rebase_keeps_its_work),
    };
    return cmocka_run_group_tests_name("fast, checkpoints", tests, NULL, NULL);
}

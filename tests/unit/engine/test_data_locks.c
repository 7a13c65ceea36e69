/*
 * The production engine: locks of image and raw backing files, between two openings, as between two processes; and
 * storage that has no such locks.
 */
#include "engine/usual_disks.h"

#include "support/changed_files.h"

#include <stddef.h>

/* LCK-05: through two metadata files of one image, and of one raw backing file. */
static void test_data_locks(void **state)
{
    (void)state;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct disk_spec spec = usual;
    spec.allocated = 6;
    make_disk("copy", &(struct disk_spec){.size = 4096, .image_name = "disk.raw", .allocated = 1});
    make_disk("disk", &spec);
    make_disk("other", &spec);
    struct addcow *disk = open_disk("disk.add-cow");
    refuse_open("copy.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-05");
    refuse_open("copy.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_BUSY, "LCK-05");
    struct addcow *other = open_disk("other.add-cow");
    assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_BUSY);
    assert_string_equal(error.clause, "LCK-05");
    close_disk(other);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    other = open_disk("other.add-cow"); /* the backing file is locked shared again */
    assert_int_equal(addcow_commit(other, NULL, NULL, &error), ADDCOW_BUSY);
    close_disk(disk);
    assert_ok(addcow_commit(other, NULL, NULL, &reason));
    close_disk(other);

    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
    other = open_disk_on("copy.add-cow", ADDCOW_OPEN_READONLY, NULL);
    refuse_open("copy.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
    close_disk(other);
    refuse_open("copy.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-05");
    close_disk(disk);
}

static bool commit_meanwhile(void *context, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_commit(context, NULL, NULL, &error), ADDCOW_BUSY);
    assert_string_equal(error.clause, "LCK-05");
    return true;
}

/* RBS-02 LCK-05: nobody writes to the new backing file while rebase compares with it. */
static void test_rebase_holds_the_new_file(void **state)
{
    (void)state;
    struct disk_spec spec = usual;
    spec.allocated = 6;
    make_disk("disk", &spec);
    spec.backing_name = "new.raw";
    make_disk("other", &spec);
    struct addcow *other = open_disk("other.add-cow");
    struct addcow_rebase_options options = {
        .struct_size = sizeof options, .backing_name = "new.raw", .backing_format = "raw"};
    assert_ok(addcow_rebase(in_directory("disk.add-cow"), &options, NULL, commit_meanwhile, other, &reason));
    assert_ok(addcow_commit(other, NULL, NULL, &reason));
    close_disk(other);
}

static void make_older(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->struct_size = offsetof(struct addcow_file_ops, lock_data); /* what follows is somebody else's */
}

static int errno_of_locks;

static int failing_lock(struct addcow_file *file, int exclusive)
{
    (void)file;
    (void)exclusive;
    return -errno_of_locks;
}

static void make_unlockable(const char *path, struct addcow_file_ops *calls)
{
    calls->lock_data = strstr(path, ".raw") != NULL ? failing_lock : calls->lock_data;
}

/* LCK-07: a file system without locks is named as such, whichever way it says so; and no other failure is. */
static void test_file_system_without_locks(void **state)
{
    (void)state;
    static const int numbers[] = {ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL, EIO};
    struct addcow_storage *storage = changed_files(NULL, make_unlockable);
    make_disk("disk", &usual);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct addcow *disk = NULL;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        errno_of_locks = numbers[i];
        assert_int_equal(addcow_open(in_directory("disk.add-cow"), ADDCOW_OPEN_READWRITE, storage, &disk, &error),
                         ADDCOW_IO);
        assert_int_equal(error.errnum, numbers[i]);
        assert_string_equal(error.clause, numbers[i] == EIO ? "" : "LCK-07");
    }
}

/* LCK-05: a storage of an older program has no lock for data; its disks are locked as before. */
static void test_storage_without_data_locks(void **state)
{
    (void)state;
    struct disk_spec spec = usual;
    spec.allocated = 6;
    make_disk("disk", &spec);
    make_disk("other", &spec);
    struct addcow_storage *storage = changed_files(NULL, make_older);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, storage);
    struct addcow *other = open_disk_on("other.add-cow", ADDCOW_OPEN_READWRITE, storage);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
    close_disk(other);
    close_disk(disk);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_data_locks),
        TEST(test_rebase_holds_the_new_file),
        TEST(test_file_system_without_locks),
        TEST(test_storage_without_data_locks),
    };
    return cmocka_run_group_tests_name("fast, locks of data", tests, NULL, NULL);
}

/*
 * Block devices as files of the system, and as image of a disk: a loop device of this test's own, where that is
 * allowed.
 *
 * Witnesses LNK-06, LNK-07, VRT-01, RSZ-01.
 */
#include "support/disks.h"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#ifdef __linux__
#include <linux/loop.h>
#include <sys/mount.h> /* BLKROSET */

#define LENGTH (64 * 4096u) /* of the device, in bytes */

static char device[64];
static int holder = -1; /* of the device, until the test ends */

static int remove_device(void **state)
{
    if (holder >= 0) {
        int writable = 0;
        ioctl(holder, BLKROSET, &writable);
        ioctl(holder, LOOP_CLR_FD, 0);
        close(holder);
        holder = -1;
    }
    return remove_directory(state);
}

/* A device of LENGTH bytes over the file "store". Skips the test where none can be made. */
static void make_device(void)
{
    store_pattern("store", SEED_IMAGE, LENGTH);
    int store = open(in_directory("store"), O_RDWR | O_CLOEXEC);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    for (unsigned attempt = 0; control >= 0 && holder < 0 && attempt < 20; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(device, sizeof device, "/dev/loop%d", number);
        holder = number < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
        /* The system detaches it when nobody has it open any more, also after a kill. */
        struct loop_config config = {.fd = (uint32_t)store, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
        if (holder >= 0 && ioctl(holder, LOOP_CONFIGURE, &config) < 0) { /* somebody else was faster */
            close(holder);
            holder = -1;
        }
    }
    close(control);
    close(store);
    if (holder < 0) {
        skip();
    }
}

static struct addcow_file *open_device(const char *path, enum addcow_open_mode mode, int expected)
{
    struct addcow_storage *storage = addcow_posix_storage();
    struct addcow_file *file = NULL;
    assert_int_equal(storage->ops->open(storage, path, mode, &file), expected);
    return file;
}

static void test_length(void **state)
{
    (void)state;
    uint64_t length = 0;
    make_device();
    struct addcow_file *file = open_device(device, ADDCOW_FILE_READWRITE, 0);
    assert_int_equal(file->ops->length(file, &length), 0);
    assert_int_equal(length, LENGTH);
    assert_int_equal(file->ops->truncate(file, LENGTH / 2), -EOPNOTSUPP);
    assert_int_equal(file->ops->truncate(file, LENGTH * 2), -EOPNOTSUPP);
    assert_int_equal(file->ops->may_grow(file, LENGTH * 2), -EOPNOTSUPP);
    assert_int_equal(file->ops->length(file, &length), 0);
    assert_int_equal(length, LENGTH);
    assert_int_equal(file->ops->close(file), 0);
}

/* Another name, which is no link, is the same device; another device is not. */
static void test_identity(void **state)
{
    (void)state;
    struct stat status;
    struct addcow_identity first, second;
    make_device();
    assert_int_equal(fstat(holder, &status), 0);
    if (mknod(in_directory("node"), S_IFBLK | 0600, status.st_rdev) < 0) {
        skip();
    }
    struct addcow_file *file = open_device(device, ADDCOW_FILE_READ, 0);
    struct addcow_file *node = open_device(in_directory("node"), ADDCOW_FILE_READ, 0);
    assert_int_equal(file->ops->identity(file, &first), 0);
    assert_int_equal(node->ops->identity(node, &second), 0);
    assert_true(first.device == second.device && first.inode == second.inode);
    assert_int_equal(node->ops->close(node), 0);
    node = open_device(in_directory("store"), ADDCOW_FILE_READ, 0);
    assert_int_equal(node->ops->identity(node, &second), 0);
    assert_false(first.device == second.device && first.inode == second.inode);
    assert_int_equal(node->ops->close(node), 0);
    assert_int_equal(file->ops->close(file), 0);
}

/* As a mounted file system, somebody uses the device alone. */
static void test_used_by_the_system(void **state)
{
    (void)state;
    make_device();
    int user = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
    assert_true(user >= 0);
    open_device(device, ADDCOW_FILE_READWRITE, -EBUSY);
    struct addcow_file *file = open_device(device, ADDCOW_FILE_READ, 0);
    assert_int_equal(file->ops->close(file), 0);
    close(user);
    file = open_device(device, ADDCOW_FILE_READWRITE, 0);
    assert_int_equal(file->ops->close(file), 0);
}

static void test_read_only(void **state)
{
    (void)state;
    int read_only = 1;
    make_device();
    assert_int_equal(ioctl(holder, BLKROSET, &read_only), 0);
    open_device(device, ADDCOW_FILE_READWRITE, -EACCES);
    struct addcow_file *file = open_device(device, ADDCOW_FILE_READ, 0);
    assert_int_equal(file->ops->close(file), 0);
}

/* Whether the cache cannot be bypassed here. The statx of qemu-user (scripts/check-platforms) says so of any file. */
static bool lacks_direct(void)
{
#ifdef ONLY_POSIX
    return true;
#endif
    const char *under = getenv("UNDER");
    return under && strstr(under, "qemu-");
}

/* The image is a device: its size is the disk's, and stays so; also without the cache. */
static void test_image(void **state)
{
    (void)state;
    uint8_t bytes[700], found[700];
    make_device();
    make_disk("disk", &(struct disk_spec){.size = LENGTH, .compatible = ADDCOW_ALL_ALLOCATED});
    assert_int_equal(unlink(in_directory("disk.raw")), 0);
    assert_int_equal(symlink(device, in_directory("disk.raw")), 0);
    for (unsigned round = 0; round < (lacks_direct() ? 1 : 2); round++) {
        struct addcow *disk = NULL;
        enum addcow_open_flags flags = ADDCOW_OPEN_READWRITE | (round == 1 ? ADDCOW_OPEN_DIRECT : 0);
        assert_ok(addcow_open(in_directory("disk.add-cow"), flags, NULL, &disk, &reason));
        assert_int_equal(addcow_size(disk), LENGTH);
        memset(bytes, (int)round + 7, sizeof bytes);
        assert_ok(addcow_write(disk, LENGTH - 5000, sizeof bytes, bytes, &reason));
        assert_ok(addcow_read(disk, LENGTH - 5000, sizeof found, found, &reason));
        assert_memory_equal(found, bytes, sizeof bytes);
        assert_int_equal(addcow_resize(disk, LENGTH + 4096, &reason), ADDCOW_UNSUPPORTED);
        assert_int_equal(addcow_resize(disk, LENGTH - 4096, &reason), ADDCOW_UNSUPPORTED);
        assert_int_equal(addcow_size(disk), LENGTH);
        close_disk(disk);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_length), TEST(test_identity), TEST(test_used_by_the_system), TEST(test_read_only), TEST(test_image),
    };
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
#else
int main(void)
{
    return 0; /* no loop devices */
}
#endif

/*
 * The storage of POSIX files by itself: what its table promises (addcow_storage.h), also when the operating system says
 * no. A descriptor that was closed behind its back is how every call can be made to fail.
 */
#include "support/disks.h"

#include <sys/inotify.h>
#include <sys/resource.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

/* What the headers of the system have no call for (fast/addcow_platform.h). */
#ifdef FALLOC_FL_PUNCH_HOLE
#define PUNCHES 0
#else
#define PUNCHES (-EOPNOTSUPP)
#endif
#ifdef SEEK_DATA
#define FINDS_DATA 0
#else
#define FINDS_DATA (-EOPNOTSUPP)
#endif

static struct addcow_file *open_file(const char *name, enum addcow_open_mode mode)
{
    struct addcow_file *file = NULL;
    struct addcow_storage *storage = addcow_posix_storage();
    assert_int_equal(storage->ops->open(storage, in_directory(name), mode, &file), 0);
    assert_non_null(file);
    return file;
}

/* The lowest descriptor that is free: the one that the next file gets. */
static int next_descriptor(void)
{
    int descriptor = dup(0);
    assert_true(descriptor >= 0);
    close(descriptor);
    return descriptor;
}

static void test_success(void **state)
{
    (void)state;
    char buffer[8] = {0};
    uint64_t number;
    struct addcow_identity identity, other;
    int descriptor = next_descriptor();
    struct addcow_file *file = open_file("file", ADDCOW_FILE_CREATE);
    const struct addcow_file_ops *ops = file->ops;
    assert_int_equal(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ops->pwrite(file, "12345678", 8, 100), 8);
    assert_int_equal(ops->pread(file, buffer, 8, 100), 8);
    assert_memory_equal(buffer, "12345678", 8);
    assert_int_equal(ops->pread(file, buffer, 8, 105), 3);
    errno = EBUSY; /* what was before is not this call's */
    assert_int_equal(ops->pread(file, buffer, 8, 108), 0);
    assert_int_equal(ops->pwrite(file, buffer, 0, 108), 0);
    assert_int_equal(ops->sync(file), 0);
    assert_int_equal(ops->length(file, &number), 0);
    assert_int_equal(number, 108);
    assert_int_equal(ops->truncate(file, 3 << 20), 0);
    assert_int_equal(file_length("file"), 3 << 20);
    assert_int_equal(ops->punch(file, 102, 3), PUNCHES);
    assert_int_equal(ops->pread(file, buffer, 8, 100), 8);
    const char punched[8] = {'1', '2', 0, 0, 0, '6', '7', '8'};
    assert_memory_equal(buffer, PUNCHES == 0 ? punched : "12345678", 8);
    assert_int_equal(ops->lock(file, 1), 0);
    assert_int_equal(ops->identity(file, &identity), 0);
    struct addcow_file *again = open_file("file", ADDCOW_FILE_READWRITE);
    assert_int_equal(ops->identity(again, &other), 0);
    assert_true(identity.device == other.device && identity.inode == other.inode);
    assert_int_equal(ops->lock(again, 0), -EAGAIN);
    assert_int_equal(ops->close(file), 0);
    assert_int_equal(ops->lock(again, 0), 0);
    assert_int_equal(ops->close(again), 0);
}

static void test_next_data(void **state)
{
    (void)state;
    uint64_t data;
    struct addcow_file *file = open_file("file", ADDCOW_FILE_CREATE);
    const struct addcow_file_ops *ops = file->ops;
    assert_int_equal(ops->truncate(file, 4 << 20), 0);
    assert_int_equal(ops->pwrite(file, "x", 1, 2 << 20), 1);
    assert_int_equal(ops->next_data(file, 0, &data), FINDS_DATA);
    if (FINDS_DATA != 0) {
        assert_int_equal(ops->close(file), 0);
        return;
    }
    assert_true(data <= 2 << 20);
    assert_int_equal(ops->next_data(file, 2 << 20, &data), 0);
    assert_int_equal(data, 2 << 20);
    assert_int_equal(ops->next_data(file, 3 << 20, &data), 0); /* only a hole is left */
    assert_true(data == 3 << 20 || data == 4 << 20);
    assert_int_equal(ops->next_data(file, 4 << 20, &data), 0); /* nothing is left */
    assert_int_equal(data, 4 << 20);
    assert_int_equal(ops->next_hole(file, 0, &data), 0);
    assert_true(data == 0 || data >= 2 << 20);
    assert_int_equal(ops->next_hole(file, 2 << 20, &data), 0);
    assert_true(data > 2 << 20 && data <= 4 << 20);
    assert_int_equal(ops->pwrite(file, "x", 1, (4 << 20) - 1), 1);
    assert_int_equal(ops->next_hole(file, (4 << 20) - 1, &data), 0); /* the end counts as one */
    assert_int_equal(data, 4 << 20);
    assert_int_equal(ops->next_hole(file, 4 << 20, &data), 0);
    assert_int_equal(data, 4 << 20);
    assert_int_equal(ops->close(file), 0);
}

/* Storage is reserved, or the file system cannot; length and content stay. */
static void test_allocate(void **state)
{
    (void)state;
    struct addcow_file *file = open_file("file", ADDCOW_FILE_CREATE);
    const struct addcow_file_ops *ops = file->ops;
    struct stat status;
    char text[4] = "";
    assert_int_equal(ops->truncate(file, 1 << 20), 0);
    assert_int_equal(ops->pwrite(file, "data", 4, 500000), 4);
    int result = ops->allocate(file, 1 << 20);
    assert_true(result == 0 || result == -EOPNOTSUPP);
    assert_int_equal(stat(in_directory("file"), &status), 0);
    assert_int_equal(status.st_size, 1 << 20);
    assert_true(result != 0 || status.st_blocks >= (1 << 20) / 512);
    assert_int_equal(ops->pread(file, text, 4, 500000), 4);
    assert_memory_equal(text, "data", 4);
    assert_int_equal(ops->close(file), 0);
}

/* The limit of the process counts, and asking changes nothing. */
static void test_may_grow(void **state)
{
    (void)state;
    struct addcow_file *file = open_file("file", ADDCOW_FILE_CREATE);
    const struct addcow_file_ops *ops = file->ops;
    struct rlimit limit, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = limit;
    low.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_int_equal(ops->may_grow(file, 1 << 20), 0);
    assert_int_equal(ops->may_grow(file, (1 << 20) + 1), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(ops->may_grow(file, (1 << 20) + 1), 0);
    /* Where the file system has a limit, the answer is that of truncate. */
    for (unsigned bits = 30; bits < 63; bits++) {
        uint64_t length = (uint64_t)1 << bits;
        int answer = ops->may_grow(file, length);
        uint64_t now;
        assert_int_equal(ops->length(file, &now), 0);
        assert_int_equal(now, 0);
        assert_int_equal(ops->truncate(file, length), answer);
        assert_int_equal(ops->truncate(file, 0), 0);
    }
    assert_int_equal(ops->close(file), 0);
}

/* A lock changes its kind. A lock that cannot change stays as it was. */
static void test_lock_changes(void **state)
{
    (void)state;
    store_file("file", (const uint8_t *)"x", 1);
    struct addcow_file *files[3];
    for (size_t i = 0; i < 3; i++) {
        files[i] = open_file("file", ADDCOW_FILE_READWRITE);
    }
    const struct addcow_file_ops *ops = files[0]->ops;
    assert_int_equal(ops->lock(files[0], 0), 0);
    assert_int_equal(ops->lock(files[1], 0), 0);
    assert_int_equal(ops->lock(files[0], 1), -EAGAIN);
    assert_int_equal(ops->close(files[1]), 0);
    assert_int_equal(ops->lock(files[2], 1), -EAGAIN); /* the first lock is still held */
    assert_int_equal(ops->lock(files[0], 1), 0);
    assert_int_equal(ops->lock(files[2], 0), -EAGAIN); /* which leaves no lock behind */
    assert_int_equal(ops->lock(files[0], 0), 0);
    assert_int_equal(ops->lock(files[0], 1), 0);
    assert_int_equal(ops->close(files[0]), 0);
    assert_int_equal(ops->lock(files[2], 1), 0);
    assert_int_equal(ops->close(files[2]), 0);
}

/* LCK-06: the same on a file of data, which may be open for reading only; and which bytes others see. */
static void test_data_lock_changes(void **state)
{
    (void)state;
    store_file("file", (const uint8_t *)"x", 1);
    struct addcow_file *files[3];
    for (size_t i = 0; i < 3; i++) {
        files[i] = open_file("file", ADDCOW_FILE_READ);
    }
    const struct addcow_file_ops *ops = files[0]->ops;
    assert_int_equal(ops->lock_data(files[0], 0), 0);
    assert_int_equal(ops->lock_data(files[1], 0), 0);
    assert_int_equal(ops->lock_data(files[0], 0), 0);
    assert_int_equal(ops->lock_data(files[0], 1), -EAGAIN);
    assert_int_equal(ops->lock_data(files[2], 0), 0); /* the attempt has left no byte locked */
    assert_int_equal(ops->close(files[1]), 0);
    assert_int_equal(ops->lock_data(files[2], 1), -EAGAIN); /* the first lock is still held */
    assert_int_equal(ops->close(files[2]), 0);
    assert_int_equal(ops->lock_data(files[0], 1), 0);
    files[1] = open_file("file", ADDCOW_FILE_READWRITE);
    assert_int_equal(ops->lock_data(files[1], 0), -EAGAIN);
    assert_int_equal(ops->lock_data(files[1], 1), -EAGAIN);
    assert_int_equal(ops->lock_data(files[0], 0), 0);
    assert_int_equal(ops->lock_data(files[1], 0), 0);
    assert_int_equal(ops->close(files[0]), 0);
    assert_int_equal(ops->lock_data(files[1], 1), 0);
    assert_int_equal(ops->close(files[1]), 0);
}

#ifdef F_OFD_SETLK
/* Whether another program may take a read lock on a byte, and whether it finds one there. */
static bool byte_is_locked(int descriptor, off_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &lock), 0);
    assert_int_equal(lock.l_type, F_UNLCK);
    lock.l_type = F_WRLCK;
    assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &lock), 0);
    return lock.l_type != F_UNLCK;
}

/* LCK-06, byte by byte: what the lock takes, and what of another program it cannot stand. */
static void expect_bytes(int exclusive, const char *taken, const char *conflicting)
{
    struct addcow_file *file = open_file("file", ADDCOW_FILE_READ);
    int other = open(in_directory("file"), O_RDWR);
    assert_true(other >= 0);
    assert_int_equal(file->ops->lock_data(file, exclusive), 0);
    for (off_t byte = 0; byte < 300; byte++) {
        bool known = (byte >= 100 && byte < 104) || (byte >= 200 && byte < 204);
        size_t place = (size_t)(byte < 200 ? byte - 100 : byte - 196);
        assert_int_equal(byte_is_locked(other, byte), known && taken[place] == 'x');
    }
    assert_int_equal(file->ops->close(file), 0);
    for (size_t place = 0; place < 8; place++) {
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
        lock.l_start = place < 4 ? 100 + (off_t)place : 196 + (off_t)place;
        assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), 0);
        file = open_file("file", ADDCOW_FILE_READ);
        assert_int_equal(file->ops->lock_data(file, exclusive), conflicting[place] == 'x' ? -EAGAIN : 0);
        assert_int_equal(file->ops->close(file), 0);
        lock.l_type = F_UNLCK;
        assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), 0);
    }
    close(other);
}

static void test_data_lock_bytes(void **state)
{
    (void)state;
    store_file("file", (const uint8_t *)"x", 1);
    expect_bytes(0, "x....x.x", ".x.xx...");
    expect_bytes(1, "xxxxxxxx", "xxxxxxxx");
}

/* LCK-06: another program's write lock, which QEMU never takes, stops a lock half way. Nothing of it is left. */
static void test_refused_data_lock_leaves_nothing(void **state)
{
    (void)state;
    store_file("file", (const uint8_t *)"x", 1);
    struct addcow_file *file = open_file("file", ADDCOW_FILE_READ);
    int other = open(in_directory("file"), O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 203, .l_len = 1};
    assert_true(other >= 0);
    assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), 0);
    assert_int_equal(file->ops->lock_data(file, 0), -EAGAIN);
    assert_false(byte_is_locked(other, 100));
    assert_false(byte_is_locked(other, 201));
    close(other);
    assert_int_equal(file->ops->lock_data(file, 0), 0);
    assert_int_equal(file->ops->close(file), 0);
}
#else
static void test_data_lock_bytes(void **state)
{
    (void)state;
    skip(); /* flock locks no bytes */
}

static void test_refused_data_lock_leaves_nothing(void **state)
{
    (void)state;
    skip(); /* flock locks no bytes */
}
#endif

static void test_failures(void **state)
{
    (void)state;
    char buffer[8] = {0};
    uint64_t number;
    struct addcow_identity identity;
    int descriptor = next_descriptor();
    struct addcow_file *file = open_file("file", ADDCOW_FILE_CREATE);
    const struct addcow_file_ops *ops = file->ops;
    assert_int_equal(close(descriptor), 0);
    assert_int_equal(ops->pwrite(file, buffer, 8, 0), -EBADF);
    assert_int_equal(ops->pread(file, buffer, 8, 0), -EBADF);
    assert_int_equal(ops->sync(file), -EBADF);
    assert_int_equal(ops->length(file, &number), -EBADF);
    assert_int_equal(ops->truncate(file, 5), -EBADF);
    assert_int_equal(ops->punch(file, 0, 5), -EBADF);
    assert_int_equal(ops->next_data(file, 0, &number), -EBADF);
    assert_int_equal(ops->next_hole(file, 0, &number), -EBADF);
    assert_int_equal(ops->may_grow(file, 0), -EBADF);
    assert_int_equal(ops->allocate(file, 5), -EBADF);
    assert_int_equal(ops->lock(file, 1), -EBADF);
    assert_int_equal(ops->lock_data(file, 1), -EBADF);
    assert_int_equal(ops->identity(file, &identity), -EBADF);
    assert_int_equal(ops->close(file), -EBADF);
}

static int try_open(const char *name, enum addcow_open_mode mode)
{
    struct addcow_file *file;
    struct addcow_storage *storage = addcow_posix_storage();
    return storage->ops->open(storage, in_directory(name), mode, &file);
}

/* LNK-06: what is no regular file is not opened, and does not make the caller wait; no descriptor stays open, not even
 * number 0. */
static void test_opening(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
    store_file("file", (const uint8_t *)"x", 1);
    int saved = dup(0);
    close(0);
    int results[] = {
        try_open("missing", ADDCOW_FILE_READ),   try_open("missing", ADDCOW_FILE_READWRITE),
        try_open("file", ADDCOW_FILE_CREATE),    try_open("fifo", ADDCOW_FILE_READ),
        try_open("fifo", ADDCOW_FILE_READWRITE), try_open(".", ADDCOW_FILE_READ),
        try_open("file/x", ADDCOW_FILE_READ),
    };
    int first = fcntl(0, F_GETFD), reason_first = errno;
    dup2(saved, 0);
    close(saved);
    static const int expected[] = {-ENOENT, -ENOENT, -EEXIST, -EINVAL, -EINVAL, -EINVAL, -ENOTDIR};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(results[i], expected[i]);
    }
    assert_true(first < 0 && reason_first == EBADF);
}

/* An interruption of an earlier call is not one of opening, whatever descriptor that gives. */
static void test_opening_once(void **state)
{
    (void)state;
    store_file("file", (const uint8_t *)"x", 1);
    struct addcow_storage *storage = addcow_posix_storage();
    struct addcow_file *file = NULL;
    const char *path = in_directory("file");
    int saved = dup(0);
    close(0);
    errno = EINTR;
    int result = storage->ops->open(storage, path, ADDCOW_FILE_READ, &file);
    int closed = result == 0 ? file->ops->close(file) : result;
    int first = fcntl(0, F_GETFD);
    dup2(saved, 0);
    close(saved);
    int descriptor = next_descriptor();
    assert_int_equal(result, 0);
    assert_int_equal(closed, 0);
    assert_true(first < 0);
    errno = EINTR;
    file = open_file("file", ADDCOW_FILE_READ);
    assert_int_equal(next_descriptor(), descriptor + 1);
    assert_int_equal(file->ops->close(file), 0);
}

static void test_modes(void **state)
{
    (void)state;
    store_file("file", (const uint8_t *)"x", 1);
    struct addcow_file *file = open_file("file", ADDCOW_FILE_READ);
    assert_int_equal(file->ops->pwrite(file, "y", 1, 0), -EBADF);
    assert_int_equal(file->ops->truncate(file, 0), -EINVAL);
    assert_int_equal(file->ops->close(file), 0);
    file = open_file("file", ADDCOW_FILE_READWRITE);
    assert_int_equal(file->ops->pwrite(file, "y", 1, 0), 1);
    assert_int_equal(file->ops->close(file), 0);
}

/* CRE-01: with and without replacing. */
static void test_names(void **state)
{
    (void)state;
    struct addcow_storage *storage = addcow_posix_storage();
    const struct addcow_storage_ops *ops = storage->ops;
    char from[PATH_SIZE], to[PATH_SIZE];
    snprintf(from, sizeof from, "%s", in_directory("from"));
    snprintf(to, sizeof to, "%s", in_directory("to"));
    assert_int_equal(ops->remove(storage, from), -ENOENT);
    assert_int_equal(ops->rename(storage, from, to, 0), -ENOENT);
    assert_int_equal(ops->rename(storage, from, to, 1), -ENOENT);
    store_file("from", (const uint8_t *)"1", 1);
    assert_int_equal(ops->rename(storage, from, to, 0), 0);
    assert_int_equal(access(from, F_OK), -1);
    store_file("from", (const uint8_t *)"22", 2);
    assert_int_equal(ops->rename(storage, from, to, 0), -EEXIST);
    assert_int_equal(file_length("to"), 1);
    assert_int_equal(ops->rename(storage, from, to, 1), 0);
    assert_int_equal(access(from, F_OK), -1);
    assert_int_equal(file_length("to"), 2);
    assert_int_equal(ops->remove(storage, to), 0);
    assert_int_equal(access(to, F_OK), -1);
}

#ifdef __linux__
/* CRE-06: what people set on a file stays with its name, also what the mode alone would widen: a list of access. */
static void test_attributes(void **state)
{
    (void)state;
    static const uint8_t list[] = {
        2,  0, 0, 0,                         /* version */
        1,  0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* the owner reads and writes, */
        2,  0, 6, 0, 0xd2, 4,    0,    0,    /* and so does the user 1234; */
        4,  0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* the group may do nothing, */
        16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* although the mode then is 0660 */
        32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
    };
    uint8_t found[sizeof list + 1];
    char from[PATH_SIZE], to[PATH_SIZE];
    snprintf(from, sizeof from, "%s", in_directory("from"));
    snprintf(to, sizeof to, "%s", in_directory("to"));
    store_file("from", (const uint8_t *)"1", 1);
    store_file("to", (const uint8_t *)"22", 2);
    if (setxattr(to, "system.posix_acl_access", list, sizeof list, 0) < 0 || setxattr(to, "user.a", "b", 1, 0) < 0 ||
        setxattr(to, "user.empty", NULL, 0, 0) < 0) {
        skip(); /* not on every file system */
    }
    assert_int_equal(addcow_posix_storage()->ops->rename(addcow_posix_storage(), from, to, 1), 0);
    assert_int_equal(file_length("to"), 1);
    assert_int_equal(getxattr(to, "system.posix_acl_access", found, sizeof found), sizeof list);
    assert_memory_equal(found, list, sizeof list);
    assert_int_equal(getxattr(to, "user.a", found, sizeof found), 1);
    assert_int_equal(found[0], 'b');
    assert_int_equal(getxattr(to, "user.empty", found, sizeof found), 0);
}
#endif

/* Names without a directory, and in the root directory. */
static void test_short_names(void **state)
{
    (void)state;
    struct addcow_storage *storage = addcow_posix_storage();
    char before[PATH_SIZE];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(in_directory(".")), 0);
    store_file("from", (const uint8_t *)"1", 1);
    int descriptor = next_descriptor();
    int saved = dup(0);
    close(0); /* so that the directory gets number 0 */
    int result = storage->ops->rename(storage, "from", "to", 1);
    int first = fcntl(0, F_GETFD);
    dup2(saved, 0);
    close(saved);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(result, 0);
    assert_true(first < 0);
    assert_int_equal(file_length("to"), 1);
    assert_int_equal(next_descriptor(), descriptor);
    assert_int_equal(storage->ops->rename(storage, "/no-such-file", "/no-such-name", 1), -ENOENT);
}

/* Whether a directory was itself opened since it has been watched. */
static bool was_opened(int watch)
{
    _Alignas(struct inotify_event) char events[4096];
    ssize_t size = read(watch, events, sizeof events);
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(events + at);
        if (event->mask & IN_OPEN && event->mask & IN_ISDIR && event->len == 0) {
            return true;
        }
        at += (ssize_t)(sizeof *event + event->len);
    }
    return false;
}

/* It is the directory of the new name that is synced, and a failure of that is one of renaming. */
static void test_directory_synced(void **state)
{
    (void)state;
    struct addcow_storage *storage = addcow_posix_storage();
    for (int replace = 0; replace < 2; replace++) {
        store_file("from", (const uint8_t *)"1", 1);
        unlink(in_directory("to"));
        int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        assert_true(watch >= 0);
        assert_true(inotify_add_watch(watch, in_directory("."), IN_OPEN) >= 0);
        int result = storage->ops->rename(storage, in_directory("from"), in_directory("to"), replace);
        bool opened = was_opened(watch);
        close(watch);
        assert_int_equal(result, 0);
        assert_true(opened);

        store_file("from", (const uint8_t *)"1", 1);
        unlink(in_directory("to"));
        struct rlimit limit, none;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = limit;
        none.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        result = storage->ops->rename(storage, in_directory("from"), in_directory("to"), replace);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(result, -EMFILE);
    }
}

/*
 * The old name cannot be taken away, as its directory must not be changed. From within the directory, because those
 * above it may be closed to the user that root becomes.
 */
static void test_old_name_stays(void **state)
{
    (void)state;
    const uid_t nobody = 65534;
    struct addcow_storage *storage = addcow_posix_storage();
    char before[PATH_SIZE];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(mkdir(in_directory("old"), 0700), 0);
    store_file("old/from", (const uint8_t *)"1", 1);
    assert_int_equal(chmod(in_directory("old"), 0555), 0);
    bool root = geteuid() == 0; /* who may do everything */
    if (root) {
        assert_int_equal(chmod(directory, 0777), 0);
        assert_int_equal(chown(in_directory("old/from"), nobody, (gid_t)-1), 0);
        assert_int_equal(seteuid(nobody), 0);
    }
    int result = storage->ops->rename(storage, "old/from", "to", 0);
    if (root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(chdir(before), 0);
    assert_int_equal(chmod(in_directory("old"), 0700), 0);
    assert_int_equal(result, -EACCES);
    assert_int_equal(access(in_directory("old/from"), F_OK), 0);
    assert_int_not_equal(access(in_directory("to"), F_OK), 0); /* in one step, or not at all */
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_success),
        TEST(test_next_data),
        TEST(test_failures),
        TEST(test_opening),
        TEST(test_opening_once),
        TEST(test_modes),
        TEST(test_names),
        TEST(test_short_names),
#ifdef __linux__
        TEST(test_attributes),
#endif
        TEST(test_directory_synced),
        TEST(test_old_name_stays),
        TEST(test_lock_changes),
        TEST(test_may_grow),
        TEST(test_allocate),
        TEST(test_data_lock_changes),
        TEST(test_data_lock_bytes),
        TEST(test_refused_data_lock_leaves_nothing),
    };
    return cmocka_run_group_tests_name("storage, POSIX", tests, NULL, NULL);
}

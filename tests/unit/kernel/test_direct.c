/*
 * Transfers without the cache of the system (O_DIRECT): any offset, length and address, on a file whose length is no
 * multiple of a block, also by threads that write to parts of one block. Skipped where the file system has none.
 *
 * Witnesses RD-01, WR-01, WR-04, CON-02.
 */
#include "engine/workers.h"
#include "support/changed_files.h"
#include "support/disks.h"

#ifndef O_DIRECT
#define O_DIRECT 0 /* then no file is opened so */
#endif

#define LENGTH 50001u /* of the file */

static struct addcow_file *open_direct(const char *name)
{
    struct addcow_storage *storage = addcow_posix_storage();
    struct addcow_file *file = NULL;
    assert_int_equal(storage->ops->open(storage, in_directory(name), ADDCOW_FILE_READWRITE, &file), 0);
    int result = file->ops->bypass_cache(file);
    if (result == -EOPNOTSUPP) {
        file->ops->close(file);
        skip();
    }
    assert_int_equal(result, 0);
    return file;
}

/* A file of LENGTH bytes of a pattern. */
static void make_file(uint8_t *model)
{
    for (size_t i = 0; i < LENGTH; i++) {
        model[i] = pattern(SEED_IMAGE, i);
    }
    store_file("file", model, LENGTH);
}

static void read_all(struct addcow_file *file, uint8_t *buffer, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t count = file->ops->pread(file, buffer, size, offset);
        assert_true(count > 0 && (size_t)count <= size);
        buffer += count;
        size -= (size_t)count;
        offset += (size_t)count;
    }
}

static void write_all(struct addcow_file *file, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t count = file->ops->pwrite(file, bytes, size, offset);
        assert_true(count > 0 && (size_t)count <= size);
        bytes += count;
        size -= (size_t)count;
        offset += (size_t)count;
    }
}

static bool all_bytes_are(const uint8_t *bytes, size_t size, uint8_t value)
{
    return bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* ---- The storage ---- */

static void test_flag(void **state)
{
    (void)state;
    uint8_t byte = 0;
    store_file("file", &byte, 1);
    int descriptor = dup(0); /* the lowest that is free: the file gets it */
    close(descriptor);
    struct addcow_file *file = open_direct("file");
    assert_true((fcntl(descriptor, F_GETFL) & O_DIRECT) != 0);
    assert_int_equal(file->ops->pwrite(file, "x", 1, 0), 1); /* through the cache, as the file ends there */
    assert_true((fcntl(descriptor, F_GETFL) & O_DIRECT) != 0);
    assert_int_equal(file->ops->bypass_cache(file), 0); /* again is no harm */
    assert_int_equal(file->ops->close(file), 0);
}

static void test_any_range(void **state)
{
    (void)state;
    static uint8_t model[LENGTH], buffer[LENGTH + 16], found[LENGTH];
    static const uint64_t places[] = {0, 1, 511, 512, 4095, 4096, 4097, 20480, 45056, 49151, 49152, 49664, 50000};
    static const size_t sizes[] = {1, 100, 511, 512, 513, 4096, 5000, 8192, 30000, LENGTH};
    make_file(model);
    struct addcow_file *file = open_direct("file");
    uint8_t seed = 3;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            size_t rest = (size_t)(LENGTH - places[i]);
            size_t size = sizes[j] < rest ? sizes[j] : rest;
            uint8_t *bytes = buffer + (i + j) % 16; /* aligned and not */
            memset(bytes, ++seed, size);
            write_all(file, bytes, size, places[i]);
            memset(model + places[i], seed, size);
            memset(bytes, 0, size);
            read_all(file, bytes, size, places[i]);
            assert_memory_equal(bytes, model + places[i], size);
            read_all(file, found, LENGTH, 0);
            assert_memory_equal(found, model, LENGTH);
            assert_int_equal(file_length("file"), LENGTH);
        }
    }
    uint8_t byte;
    assert_int_equal(file->ops->pread(file, &byte, 1, LENGTH), 0);
    assert_int_equal(file->ops->pread(file, &byte, 1, LENGTH + 10000), 0);
    assert_int_equal(file->ops->sync(file), 0);
    assert_int_equal(file->ops->close(file), 0);
    uint8_t *stored = load_file("file");
    assert_memory_equal(stored, model, LENGTH);
    free(stored);
}

/*
 * Transfers that are longer than the buffer (DIRECT_BUFFER_BYTES), from any address, in a file that is beyond 4 GiB and
 * has no data before.
 */
static void test_long_and_far(void **state)
{
    (void)state;
    enum { WINDOW = 3 * (1 << 20) + 777 };
    const uint64_t far = ((uint64_t)5 << 30) - 4096 * 3;
    static uint8_t model[WINDOW], buffer[WINDOW + 8], found[WINDOW];
    static const struct {
        size_t offset, size;
    } ranges[] = {{0, WINDOW},        {1, WINDOW - 1},     {4096, 2 << 20},         {4095, (1 << 20) + 2},
                  {512, 1 << 20},     {100, (1 << 20)},    {4096, (1 << 20) + 100}, {WINDOW - 700, 700},
                  {3 << 20, 100},     {(1 << 20) - 5, 10}, {8192, (1 << 20) - 1},   {1, (2 << 20) + 4095},
                  {WINDOW - 4096, 90}};
    const uint8_t nothing = 0;
    store_file("file", &nothing, 1);
    if (truncate(in_directory("file"), (off_t)(far + WINDOW)) != 0) {
        skip(); /* no such files here */
    }
    struct addcow_file *file = open_direct("file");
    for (size_t i = 0; i < 2 * sizeof ranges / sizeof *ranges; i++) {
        size_t offset = ranges[i / 2].offset, size = ranges[i / 2].size;
        uint8_t *bytes = buffer + (i % 2 == 0 ? 0 : 3);
        fill_pattern(bytes, (unsigned)i + 1, offset, size);
        memcpy(model + offset, bytes, size);
        write_all(file, bytes, size, far + offset);
        memset(bytes, 0, size);
        read_all(file, bytes, size, far + offset);
        assert_memory_equal(bytes, model + offset, size);
        read_all(file, found, WINDOW, far);
        assert_memory_equal(found, model, WINDOW);
        assert_int_equal(file_length("file"), far + WINDOW);
    }
    /* What 32 bits would leave of these offsets. */
    read_all(file, found, WINDOW, far % ((uint64_t)1 << 32));
    assert_true(all_bytes_are(found, WINDOW, 0));
    assert_int_equal(file->ops->close(file), 0);
}

static void test_wrong_descriptor(void **state)
{
    (void)state;
    uint8_t bytes[2] = {0};
    store_file("file", bytes, sizeof bytes);
    int descriptor = dup(0);
    close(descriptor);
    struct addcow_file *file = open_direct("file");
    close(descriptor);
    assert_int_equal(file->ops->pread(file, bytes, 1, 0), -EBADF);
    assert_int_equal(file->ops->pwrite(file, bytes, 1, 0), -EBADF);
    assert_int_equal(file->ops->close(file), -EBADF);
}

/* ---- Threads ---- */

#define ROUNDS 300
#define PART 100u /* several threads write to each block */

static struct addcow_file *shared_file;

/* Writes only its own bytes, again and again, and has to find them each time. */
static void *write_own_part(void *argument)
{
    struct worker *worker = argument;
    uint8_t bytes[PART], found[PART];
    pthread_barrier_wait(worker->start);
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(bytes, (int)(round * THREADS + worker->number), PART);
        write_all(shared_file, bytes, PART, worker->number * PART);
        read_all(shared_file, found, PART, worker->number * PART);
        if (memcmp(bytes, found, PART) != 0) {
            keep_first(worker, ADDCOW_IO);
        }
    }
    return NULL;
}

static void test_parts_of_one_block(void **state)
{
    (void)state;
    static uint8_t model[LENGTH];
    struct worker workers[THREADS];
    pthread_barrier_t barrier;
    make_file(model);
    shared_file = open_direct("file");
    start_workers(workers, THREADS, NULL, NULL, &barrier, write_own_part);
    join_workers(workers, THREADS, &barrier);
    assert_int_equal(shared_file->ops->close(shared_file), 0);
}

/* ---- The engine ---- */

static const struct disk_spec spec = {
    .size = 12 * 4096 + 777, .backing_name = "base.raw", .backing_size = 9 * 4096 + 99, .allocated = 6};

static enum addcow_status open_flagged(enum addcow_open_flags flags, struct addcow_storage *storage,
                                       struct addcow **disk)
{
    return addcow_open(in_directory("disk.add-cow"), flags | ADDCOW_OPEN_DIRECT, storage, disk, &reason);
}

static void test_disk(void **state)
{
    (void)state;
    struct addcow *disk = NULL;
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    enum addcow_status code = open_flagged(ADDCOW_OPEN_READWRITE, NULL, &disk);
    if (code == ADDCOW_UNSUPPORTED) {
        free_model(&model);
        skip();
    }
    assert_ok(code);
    compare(disk, &model);
    write_both(disk, &model, 100, 20000, 31);
    write_both(disk, &model, spec.size - 1000, 1000, 32);
    zero_both(disk, &model, 9000, 3000, true);
    compare(disk, &model);
    assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), ADDCOW_RANGE); /* the backing file is too short */
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    memset(model.allocated, 1, 13);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    assert_int_equal(file_length("disk.raw"), spec.size);
    free_model(&model);
}

/* The files of the system, of which a commit writes to the backing file, and rebase reads another one. */
static void test_commit_and_rebase(void **state)
{
    (void)state;
    struct disk_spec longer = spec;
    longer.backing_size = spec.size + 5;
    struct addcow *disk = NULL;
    make_disk("disk", &longer);
    struct model model = make_model(&longer);
    store_pattern("new.raw", SEED_BACKING, 20000);
    enum addcow_status code = open_flagged(ADDCOW_OPEN_READWRITE, NULL, &disk);
    if (code == ADDCOW_UNSUPPORTED) {
        free_model(&model);
        skip();
    }
    write_both(disk, &model, longer.size - 1000, 1000, 33);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    memset(model.allocated, 0, 13);
    compare(disk, &model);
    close_disk(disk);
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "new.raw";
    options.backing_format = "raw";
    options.open_flags = ADDCOW_OPEN_DIRECT | ADDCOW_OPEN_NO_BACKING;
    const char *path = in_directory("disk.add-cow");
    assert_int_equal(addcow_rebase(path, &options, NULL, NULL, NULL, &reason), ADDCOW_UNSUPPORTED);
    options.open_flags = ADDCOW_OPEN_DIRECT;
    assert_ok(addcow_rebase(path, &options, NULL, NULL, NULL, &reason));
    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
    compare_range(disk, &model, 0, model.size);
    close_disk(disk);
    free_model(&model);
}

/* ---- Which files ---- */

/* Files of the system. A call of `bypass_cache` adds their names here; without it, the storage does not have it. */
static struct {
    bool has;
    char opened[64]; /* the name of the last file */
    char list[512];
} asked;

static int note_call(struct addcow_file *file)
{
    size_t end = strlen(asked.list);
    snprintf(asked.list + end, sizeof asked.list - end, "%s ", asked.opened);
    return changed_from()->bypass_cache(file);
}

/* The engine asks right after it has opened a file and looked at its name: the last that was opened is the one. */
static void note_file(const char *path, struct addcow_file_ops *calls)
{
    snprintf(asked.opened, sizeof asked.opened, "%s", strrchr(path, '/') + 1);
    calls->bypass_cache = asked.has ? note_call : NULL;
}

static struct addcow_storage *noted_storage(bool has)
{
    asked.has = has;
    asked.list[0] = '\0';
    return changed_files(NULL, note_file);
}

static void expect_asked(const char *list)
{
    assert_string_equal(asked.list, list);
    asked.list[0] = '\0';
}

static void test_every_file(void **state)
{
    (void)state;
    struct addcow *disk = NULL;
    make_disk("low", &spec);
    struct disk_spec top = spec;
    top.backing_name = "low.add-cow";
    top.backing_format = "add-cow";
    make_disk("disk", &top);
    store_pattern("new.raw", 5, spec.size);
    struct addcow_storage *storage = noted_storage(true);
    if (open_flagged(ADDCOW_OPEN_READWRITE, storage, &disk) == ADDCOW_UNSUPPORTED) {
        skip();
    }
    expect_asked("disk.raw low.raw base.raw ");
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    expect_asked("low.raw "); /* opened again, for writing */
    close_disk(disk);
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "new.raw";
    options.backing_format = "raw";
    options.open_flags = ADDCOW_OPEN_DIRECT;
    assert_ok(addcow_rebase(in_directory("disk.add-cow"), &options, storage, NULL, NULL, &reason));
    expect_asked("disk.raw low.raw base.raw new.raw ");
    options.backing_name = "low.add-cow";
    options.backing_format = "add-cow";
    assert_ok(addcow_rebase(in_directory("disk.add-cow"), &options, storage, NULL, NULL, &reason));
    expect_asked("disk.raw new.raw low.raw base.raw ");
    close_disk(open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, storage));
    expect_asked(""); /* nobody wanted that */
}

/* All allocated: the backing file is opened by the commit. *list: what that asks for. */
static void expect_asked_by_commit(const char *backing_name, const char *format, const char *list)
{
    struct addcow *disk = NULL;
    struct disk_spec all = spec;
    all.compatible = ADDCOW_ALL_ALLOCATED;
    all.allocated = UINT64_MAX >> (64 - 13);
    all.backing_name = backing_name;
    all.backing_format = format;
    all.backing_size = spec.size;
    make_disk("disk", &all);
    if (open_flagged(ADDCOW_OPEN_READWRITE, noted_storage(true), &disk) == ADDCOW_UNSUPPORTED) {
        skip();
    }
    expect_asked("disk.raw ");
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    expect_asked(list);
    close_disk(disk);
}

static void test_opened_by_commit(void **state)
{
    (void)state;
    make_disk("low", &spec);
    expect_asked_by_commit("low.add-cow", "add-cow", "low.raw base.raw low.raw ");
    expect_asked_by_commit("other.raw", "raw", "other.raw other.raw ");
}

static void test_storage_without(void **state)
{
    (void)state;
    struct addcow *disk = NULL;
    make_disk("disk", &spec);
    assert_int_equal(open_flagged(ADDCOW_OPEN_READONLY, noted_storage(false), &disk), ADDCOW_UNSUPPORTED);
    assert_non_null(strstr(reason.message, "disk.raw: cannot be read and written without the cache of the system"));
    close_disk(open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, noted_storage(false)));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flag),
        TEST(test_any_range),
        TEST(test_long_and_far),
        TEST(test_wrong_descriptor),
        TEST(test_parts_of_one_block),
        TEST(test_disk),
        TEST(test_commit_and_rebase),
        TEST(test_every_file),
        TEST(test_opened_by_commit),
        TEST(test_storage_without),
    };
    return cmocka_run_group_tests_name("fast, without the cache", tests, NULL, NULL);
}

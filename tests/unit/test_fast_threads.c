/* The production engine with many threads on one handle. Also what ThreadSanitizer and helgrind look at. */
#include "support.h"

#include <sched.h>
#include <semaphore.h>
#include <time.h>

#define THREADS 8

typedef void *thread_function(void *argument);

struct worker {
    struct addcow *disk;
    const struct disk_spec *spec;
    unsigned number;
    pthread_barrier_t *start;
    pthread_t thread;
    enum addcow_class result;
};

static void start_workers(struct worker *workers, unsigned count, struct addcow *disk, const struct disk_spec *spec,
                          pthread_barrier_t *barrier, thread_function *function)
{
    assert_int_equal(pthread_barrier_init(barrier, NULL, count), 0);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.disk = disk, .spec = spec, .number = i, .start = barrier};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, function, &workers[i]), 0);
    }
}

static void join_workers(struct worker *workers, unsigned count, pthread_barrier_t *barrier)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].result, ADDCOW_OK);
    }
    pthread_barrier_destroy(barrier);
}

static void keep_first(struct worker *worker, enum addcow_class code)
{
    if (worker->result == ADDCOW_OK)
        worker->result = code;
}

/* ---- Sectors of the same clusters ---- */

/* Worker n writes the sectors n, n + THREADS, ... of the whole disk, in an order of its own. */
static void *write_own_sectors(void *argument)
{
    struct worker *worker = argument;
    uint64_t sectors = worker->spec->size / 512 / THREADS;
    pthread_barrier_wait(worker->start);
    for (uint64_t i = 0; i < sectors; i++) {
        uint64_t turn = worker->number % 2 ? sectors - 1 - i : i;
        uint64_t sector = turn * THREADS + worker->number;
        uint8_t data[512];
        fill_pattern(data, 20 + worker->number, sector * 512, sizeof data);
        keep_first(worker, addcow_write(worker->disk, sector * 512, sizeof data, data, NULL));
    }
    return NULL;
}

static void expect_own_sectors(struct model *model)
{
    for (uint64_t offset = 0; offset < model->size / 512 * 512; offset += 512)
        fill_pattern(model->virt + offset, 20 + (unsigned)(offset / 512 % THREADS), offset, 512);
    memset(model->allocated, 1, (size_t)addcow_cluster_count(model->size, model->cluster));
}

/* CON-01 CON-05 CON-06 CON-07: disjoint sectors of the same clusters lose no update. */
static void test_disjoint_sectors(void **state)
{
    (void)state;
    for (uint32_t bits = 12; bits <= 16; bits += 4) {
        struct disk_spec spec = {
            .cluster_bits = bits, .size = 512 * 1024, .backing_name = "base.raw", .backing_size = 300 * 1024 + 5};
        make_disk("disk", &spec);
        struct model model = make_model(&spec);
        struct addcow *disk = open_disk("disk.add-cow");
        struct worker workers[THREADS];
        pthread_barrier_t barrier;
        start_workers(workers, THREADS, disk, &spec, &barrier, write_own_sectors);
        join_workers(workers, THREADS, &barrier);
        expect_own_sectors(&model);
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        free_model(&model);
    }
}

/* CON-11 STR-01: the same beside a stream. */
static void test_stream_beside_writes(void **state)
{
    (void)state;
    struct disk_spec spec = {
        .cluster_bits = 13, .size = 1024 * 1024, .backing_name = "base.raw", .backing_size = 900 * 1024};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct worker workers[THREADS];
    pthread_barrier_t barrier;
    start_workers(workers, THREADS, disk, &spec, &barrier, write_own_sectors);
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    join_workers(workers, THREADS, &barrier);
    expect_own_sectors(&model);
    compare(disk, &model);
    struct addcow_info info;
    addcow_get_info(disk, &info);
    assert_true(info.all_allocated);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* ---- Readers ---- */

/* Reads random sectors: each is wholly what the disk held at first, or wholly what its writer writes. Maps on the way. */
static void *read_old_or_new(void *argument)
{
    struct worker *worker = argument;
    unsigned seed = worker->number;
    pthread_barrier_wait(worker->start);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t sector = (uint64_t)rand_r(&seed) % (worker->spec->size / 512);
        uint8_t data[512], old[512] = {0}, new[512];
        keep_first(worker, addcow_read(worker->disk, sector * 512, sizeof data, data, NULL));
        for (uint64_t j = 0; j < 512; j++)
            old[j] = sector * 512 + j < worker->spec->backing_size ? pattern(SEED_BACKING, sector * 512 + j) : 0;
        fill_pattern(new, 20 + (unsigned)(sector % THREADS), sector * 512, 512);
        if (memcmp(data, old, 512) != 0 && memcmp(data, new, 512) != 0)
            keep_first(worker, ADDCOW_MALFORMED);
        bool allocated;
        uint64_t run;
        keep_first(worker,
                   addcow_map(worker->disk, sector * 512, worker->spec->size - sector * 512, &allocated, &run, NULL));
        if (run == 0)
            keep_first(worker, ADDCOW_RANGE);
    }
    return NULL;
}

static void *write_or_read(void *argument)
{
    struct worker *worker = argument;
    return worker->number < THREADS ? write_own_sectors(argument) : read_old_or_new(argument);
}

/* CON-02 CON-04 CON-10 RD-01: no reader sees what the image held before. */
static void test_readers_beside_writers(void **state)
{
    (void)state;
    struct disk_spec spec = {
        .cluster_bits = 14, .size = 512 * 1024, .backing_name = "base.raw", .backing_size = 300 * 1024 + 5};
    make_disk("disk", &spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct worker workers[THREADS + 4];
    pthread_barrier_t barrier;
    start_workers(workers, THREADS + 4, disk, &spec, &barrier, write_or_read);
    join_workers(workers, THREADS + 4, &barrier);
    close_disk(disk);
}

/* ---- Everything at once ---- */

static void *do_everything(void *argument)
{
    struct worker *worker = argument;
    unsigned seed = 100 + worker->number;
    uint8_t data[20000];
    memset(data, 0x5A, sizeof data);
    pthread_barrier_wait(worker->start);
    for (unsigned i = 0; i < 150; i++) {
        uint64_t length = (uint64_t)rand_r(&seed) % sizeof data;
        uint64_t offset = (uint64_t)rand_r(&seed) % (worker->spec->size - length);
        bool allocated;
        uint64_t run;
        enum addcow_class code = ADDCOW_OK;
        switch ((worker->number + i) % 9) {
        case 0:
        case 1:
            code = addcow_write(worker->disk, offset, length, data, NULL);
            break;
        case 2:
            code = addcow_zero(worker->disk, offset, length, NULL);
            break;
        case 3:
            code = addcow_discard(worker->disk, offset, length, NULL);
            break;
        case 4:
            code = addcow_flush(worker->disk, NULL);
            break;
        case 5:
            code = addcow_map(worker->disk, offset, length, &allocated, &run, NULL);
            break;
        case 6:
            code = i % 5 ? ADDCOW_OK : addcow_resize(worker->disk, worker->spec->size - (uint64_t)(i % 2) * 9000, NULL);
            break;
        case 7:
            code = i % 7   ? ADDCOW_OK
                   : i % 2 ? addcow_commit(worker->disk, NULL, NULL, NULL)
                           : addcow_stream(worker->disk, NULL, NULL, NULL);
            break;
        default:
            code = addcow_read(worker->disk, offset, length, data, NULL);
        }
        /* Out of range while the disk is smaller. */
        if (code != ADDCOW_RANGE)
            keep_first(worker, code);
    }
    return NULL;
}

/* CON-01 CON-09 CON-12: every operation at once ends, and leaves a disk that opens. */
static void test_everything_at_once(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 300 * 1024, .backing_name = "base.raw", .backing_size = 320 * 1024};
    make_disk("disk", &spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct worker workers[THREADS];
    pthread_barrier_t barrier;
    start_workers(workers, THREADS, disk, &spec, &barrier, do_everything);
    join_workers(workers, THREADS, &barrier);
    close_disk(disk);
    close_disk(open_disk("disk.add-cow"));
}

/* ---- Resize beside requests ---- */

static void *resize_up_and_down(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    for (unsigned i = 0; i < 60; i++)
        keep_first(worker, addcow_resize(worker->disk, worker->spec->size + (i % 2 ? 0 : 50000), NULL));
    return NULL;
}

static void *resize_or_write(void *argument)
{
    struct worker *worker = argument;
    return worker->number == THREADS ? resize_up_and_down(argument) : write_own_sectors(argument);
}

/* CON-09: writes below the smaller size lose nothing while the disk grows and shrinks. */
static void test_resize_beside_writes(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 256 * 1024, .backing_name = "base.raw", .backing_size = 290 * 1024};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct worker workers[THREADS + 1];
    pthread_barrier_t barrier;
    start_workers(workers, THREADS + 1, disk, &spec, &barrier, resize_or_write);
    join_workers(workers, THREADS + 1, &barrier);
    expect_own_sectors(&model);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* ---- Flushes join ---- */

static void *write_and_flush(void *argument)
{
    struct worker *worker = argument;
    uint8_t data[4096];
    fill_pattern(data, 5, 0, sizeof data);
    pthread_barrier_wait(worker->start);
    for (uint64_t i = 0; i < 20; i++) {
        keep_first(worker, addcow_write(worker->disk, (i * THREADS + worker->number) * 4096, 4096, data, NULL));
        keep_first(worker, addcow_flush(worker->disk, NULL));
    }
    return NULL;
}

/* A slow sync, so that flushes meet; it waits outside the probe's lock. */
static int slow_sync(struct addcow_file *file)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return probe_sync(file);
}

static int slow_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                     struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    int result = probe_open(storage, path, mode, file);
    if (result == 0) {
        ops = *(*file)->ops;
        ops.sync = slow_sync;
        (*file)->ops = &ops;
    }
    return result;
}

/* DUR-05 DUR-01: the flushes of 8 threads share syncs, and no bitmap write comes before the data is durable. */
static void test_flushes_join(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 1024 * 1024, .backing_name = "base.raw", .backing_size = 4096};
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    probe->storage.ops = &(const struct addcow_storage_ops){.open = slow_open};
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    struct worker workers[THREADS];
    pthread_barrier_t barrier;
    start_workers(workers, THREADS, disk, &spec, &barrier, write_and_flush);
    join_workers(workers, THREADS, &barrier);
    size_t flushes = THREADS * 20;
    size_t syncs = count_events(probe, 0, EVENT_SYNC, 'i');
    assert_true(20 <= syncs && syncs <= flushes / 2);
    close_disk(disk);
    free_probe(probe);
}

/* ---- Waiting ---- */

/* Writes of the image at `held` wait until they are let go. */
struct holding {
    uint64_t held;
    sem_t arrived;
    sem_t let_go;
};

static struct holding holding;

static ssize_t held_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    if (((struct probe_file *)file)->name == 'i' && offset == holding.held) {
        sem_post(&holding.arrived);
        sem_wait(&holding.let_go);
    }
    return probe_pwrite(file, buffer, size, offset);
}

static int held_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                     struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    int result = probe_open(storage, path, mode, file);
    if (result == 0) {
        ops = *(*file)->ops;
        ops.pwrite = held_pwrite;
        (*file)->ops = &ops;
    }
    return result;
}

static void *write_cluster_three(void *argument)
{
    struct worker *worker = argument;
    uint8_t data[100];
    fill_pattern(data, 20 + worker->number, 3 * 4096 + 50 + worker->number * 100, sizeof data);
    pthread_barrier_wait(worker->start);
    worker->result = addcow_write(worker->disk, 3 * 4096 + 50 + worker->number * 100, sizeof data, data, NULL);
    return NULL;
}

/*
 * CON-04 CON-06 CON-08: while one write is allocating a cluster, reads of it give the old content, map says unallocated, and writes to other clusters,
 * allocated or not, and flushes do not wait; a second write to the same cluster waits and then keeps both.
 */
static void test_who_waits(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 16 * 4096, .backing_name = "base.raw", .backing_size = 16 * 4096, .allocated = 2};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    probe->storage.ops = &(const struct addcow_storage_ops){.open = held_open};
    holding.held = 3 * 4096;
    sem_init(&holding.arrived, 0, 0);
    sem_init(&holding.let_go, 0, 0);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    struct worker workers[2];
    pthread_barrier_t barrier;
    start_workers(workers, 2, disk, &spec, &barrier, write_cluster_three);
    sem_wait(&holding.arrived);

    compare(disk, &model);
    write_both(disk, &model, 4096 + 5, 100, 3);
    write_both(disk, &model, 9 * 4096 + 5, 100, 3);
    zero_both(disk, &model, 4 * 4096, 100, false);
    assert_ok(addcow_flush(disk, &reason));
    compare(disk, &model);
    assert_int_equal(sem_trywait(&holding.arrived), -1);

    /* The second write finds the cluster allocated and goes to its own bytes, which are not held. */
    sem_post(&holding.let_go);
    join_workers(workers, 2, &barrier);
    for (unsigned i = 0; i < 2; i++)
        fill_pattern(model.virt + 3 * 4096 + 50 + i * 100, 20 + i, 3 * 4096 + 50 + i * 100, 100);
    model.allocated[3] = 1;
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_probe(probe);
    free_model(&model);
    sem_destroy(&holding.arrived);
    sem_destroy(&holding.let_go);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_disjoint_sectors),   TEST(test_stream_beside_writes), TEST(test_readers_beside_writers),
        TEST(test_everything_at_once), TEST(test_resize_beside_writes), TEST(test_flushes_join),
        TEST(test_who_waits),
    };
    return cmocka_run_group_tests_name("fast, threads", tests, NULL, NULL);
}

/* The production engine: what several threads read and write at once. */
#include "engine/workers.h"

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
    for (uint64_t offset = 0; offset < model->size / 512 * 512; offset += 512) {
        fill_pattern(model->virt + offset, 20 + (unsigned)(offset / 512 % THREADS), offset, 512);
    }
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
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    assert_true(info.all_allocated);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* ---- Readers ---- */

/* Whether each byte of a sector is the first content of the disk or the writer's data. Both may be in one sector:
 * the page cache of a real file system lets a read see half of a write.
 */
static bool is_old_or_new(const struct disk_spec *spec, uint64_t sector, const uint8_t data[512])
{
    uint8_t new[512];
    fill_pattern(new, 20 + (unsigned)(sector % THREADS), sector * 512, 512);
    for (uint64_t j = 0; j < 512; j++) {
        uint64_t offset = sector * 512 + j;
        uint8_t old = offset < spec->backing_size ? pattern(SEED_BACKING, offset) : 0;
        if (data[j] != old && data[j] != new[j]) {
            return false;
        }
    }
    return true;
}

/* Reads random sectors, and maps on the way. */
static void *read_old_or_new(void *argument)
{
    struct worker *worker = argument;
    unsigned seed = worker->number;
    pthread_barrier_wait(worker->start);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t sector = (uint64_t)rand_r(&seed) % (worker->spec->size / 512);
        uint8_t data[512];
        keep_first(worker, addcow_read(worker->disk, sector * 512, sizeof data, data, NULL));
        if (!is_old_or_new(worker->spec, sector, data)) {
            keep_first(worker, ADDCOW_MALFORMED);
        }
        bool allocated;
        uint64_t run;
        keep_first(worker,
                   addcow_map(worker->disk, sector * 512, worker->spec->size - sector * 512, &allocated, &run, NULL));
        if (run == 0) {
            keep_first(worker, ADDCOW_RANGE);
        }
    }
    return NULL;
}

static void *write_or_read(void *argument)
{
    struct worker *worker = argument;
    return worker->number < THREADS ? write_own_sectors(argument) : read_old_or_new(argument);
}

/* CON-04 CON-10 RD-01: no reader sees what the image held before. */
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
        enum addcow_status code = ADDCOW_OK;
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
        if (code != ADDCOW_RANGE) {
            keep_first(worker, code);
        }
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
    for (unsigned i = 0; i < 60; i++) {
        keep_first(worker, addcow_resize(worker->disk, worker->spec->size + (i % 2 ? 0 : 50000), NULL));
    }
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_disjoint_sectors),   TEST(test_stream_beside_writes), TEST(test_readers_beside_writers),
        TEST(test_everything_at_once), TEST(test_resize_beside_writes),
    };
    return cmocka_run_group_tests_name("fast, threads", tests, NULL, NULL);
}

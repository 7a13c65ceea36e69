/* The production engine: which requests wait for which, and which must not wait. */
#include "engine/workers.h"

#include "support/changed_files.h"

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

static void slow_down(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->sync = slow_sync;
}

/* DUR-05 DUR-01: the flushes of 8 threads share syncs, and no bitmap write comes before the data is durable. */
static void test_flushes_join(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 1024 * 1024, .backing_name = "base.raw", .backing_size = 4096};
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk =
        open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(&probe->storage, slow_down));
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

static int fail_metadata_syncs(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_SYNC && event->file == 'm' ? -EIO : 0;
}

#define FLUSHES_IN_VAIN 5

/* Whether a flush fails with the error of the sync, be it of the cycle of another thread. */
static bool flush_says_why(struct addcow *disk)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    return addcow_flush(disk, &error) == ADDCOW_IO && error.code == ADDCOW_IO && error.errnum == EIO &&
           strcmp(error.clause, "") == 0 && strstr(error.message, "/disk.add-cow: sync failed: ") != NULL;
}

/* Each flush follows a write of another cluster, so that bits are set while the cycle of others fails. */
static void *flush_in_vain(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    for (uint64_t i = 0; i < FLUSHES_IN_VAIN; i++) {
        uint64_t offset = (i * THREADS + worker->number) * 4096;
        uint8_t data[4096];
        fill_pattern(data, 5, offset, sizeof data);
        keep_first(worker, addcow_write(worker->disk, offset, sizeof data, data, NULL));
        keep_first(worker, flush_says_why(worker->disk) ? ADDCOW_OK : ADDCOW_BUSY);
    }
    return NULL;
}

/* DUR-06: while the metadata file cannot be synced, each flush fails, whoever ran its cycle; afterwards the bits are
 * written. */
static void test_joined_flushes_fail(void **state)
{
    (void)state;
    struct disk_spec spec = {
        .size = FLUSHES_IN_VAIN * THREADS * 4096, .backing_name = "base.raw", .backing_size = 4096};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk =
        open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(&probe->storage, slow_down));
    probe->decide = fail_metadata_syncs;
    struct worker workers[THREADS];
    pthread_barrier_t barrier;
    start_workers(workers, THREADS, disk, &spec, &barrier, flush_in_vain);
    join_workers(workers, THREADS, &barrier);
    probe->decide = NULL;
    close_disk(disk);
    fill_pattern(model.virt, 5, 0, spec.size);
    memset(model.allocated, 1, FLUSHES_IN_VAIN * THREADS);
    compare_reopened("disk.add-cow", &model);
    free_probe(probe);
    free_model(&model);
}

/* ---- Waiting ---- */

/* The first write of the image at `offset`, or its first sync, waits until it is let go. */
struct holding {
    bool sync;
    uint64_t offset;
    atomic_bool done;
    sem_t arrived;
    sem_t let_go;
};

static struct holding holding;

static void hold(const struct addcow_file *file, bool sync, uint64_t offset)
{
    if (((const struct probe_file *)file)->name != 'i' || sync != holding.sync || offset != holding.offset) {
        return;
    }
    if (atomic_exchange(&holding.done, true)) {
        return;
    }
    sem_post(&holding.arrived);
    sem_wait(&holding.let_go);
}

static ssize_t held_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    hold(file, false, offset);
    return probe_pwrite(file, buffer, size, offset);
}

static int held_sync(struct addcow_file *file)
{
    hold(file, true, 0);
    return probe_sync(file);
}

static void let_hold(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->pwrite = held_pwrite;
    calls->sync = held_sync;
}

struct held_rig {
    struct disk_spec spec;
    struct model model;
    struct probe *probe;
    struct addcow *disk;
    struct worker workers[2];
    pthread_barrier_t barrier;
};

/* Opens a disk of 16 clusters, of which cluster 1 is allocated, on which the first write at `offset`, or the first
 * sync, is held. */
static void make_held_rig(struct held_rig *rig, bool sync, uint64_t offset)
{
    *rig = (struct held_rig){
        .spec = {.size = 16 * 4096, .backing_name = "base.raw", .backing_size = 16 * 4096, .allocated = 2},
        .probe = make_probe(),
    };
    make_disk("disk", &rig->spec);
    rig->model = make_model(&rig->spec);
    holding.sync = sync;
    holding.offset = offset;
    sem_init(&holding.arrived, 0, 0);
    sem_init(&holding.let_go, 0, 0);
    atomic_store(&holding.done, true); /* opening syncs too (DUR-12) */
    rig->disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(&rig->probe->storage, let_hold));
    atomic_store(&holding.done, false);
}

static void free_held_rig(struct held_rig *rig)
{
    compare(rig->disk, &rig->model);
    close_disk(rig->disk);
    compare_reopened("disk.add-cow", &rig->model);
    free_probe(rig->probe);
    free_model(&rig->model);
    sem_destroy(&holding.arrived);
    sem_destroy(&holding.let_go);
}

static void sleep_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
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
 * CON-04 CON-06 CON-08: while one write is allocating a cluster, reads of it give the old content, map says
 * unallocated, and writes to other clusters, allocated or not, and flushes do not wait; a second write to the same
 * cluster waits and then keeps both.
 */
static void test_who_waits(void **state)
{
    (void)state;
    struct held_rig rig;
    make_held_rig(&rig, false, 3 * 4096);
    start_workers(rig.workers, 2, rig.disk, &rig.spec, &rig.barrier, write_cluster_three);
    sem_wait(&holding.arrived);
    compare(rig.disk, &rig.model);
    write_both(rig.disk, &rig.model, 4096 + 5, 100, 3);
    write_both(rig.disk, &rig.model, 9 * 4096 + 5, 100, 3);
    zero_both(rig.disk, &rig.model, 4 * 4096, 100, false);
    assert_ok(addcow_flush(rig.disk, &reason));
    compare(rig.disk, &rig.model);
    sem_post(&holding.let_go);
    join_workers(rig.workers, 2, &rig.barrier);
    for (unsigned i = 0; i < 2; i++) {
        fill_pattern(rig.model.virt + 3 * 4096 + 50 + i * 100, 20 + i, 3 * 4096 + 50 + i * 100, 100);
    }
    rig.model.allocated[3] = 1;
    free_held_rig(&rig);
}

/* Worker 0 writes into cluster 3, worker 1 then over clusters 2 to 4. */
static void *write_three_then_around(void *argument)
{
    struct worker *worker = argument;
    uint8_t data[3 * 4096];
    if (worker->number == 0) {
        return write_cluster_three(argument);
    }
    pthread_barrier_wait(worker->start);
    sem_wait(&holding.arrived);
    fill_pattern(data, 30, 2 * 4096, sizeof data);
    worker->result = addcow_write(worker->disk, 2 * 4096, sizeof data, data, NULL);
    return NULL;
}

/* CON-05 CON-06: a write over a cluster that is being allocated leaves that one alone until it is done, and then wins.
 */
static void test_write_around_inflight_range(void **state)
{
    (void)state;
    struct held_rig rig;
    make_held_rig(&rig, false, 3 * 4096);
    start_workers(rig.workers, 2, rig.disk, &rig.spec, &rig.barrier, write_three_then_around);
    bool allocated = false;
    uint64_t run;
    while (!allocated) {
        assert_ok(addcow_map(rig.disk, 2 * 4096, 4096, &allocated, &run, &reason));
        sched_yield();
    }
    sleep_a_little();
    uint64_t written = 0;
    pthread_mutex_lock(&rig.probe->lock);
    for (size_t i = 0; i < rig.probe->count; i++) {
        const struct event *event = &rig.probe->events[i];
        if (event->kind == EVENT_WRITE && event->file == 'i' && event->offset + event->size > written) {
            written = event->offset + event->size;
        }
    }
    pthread_mutex_unlock(&rig.probe->lock);
    assert_int_equal(written, 3 * 4096);
    sem_post(&holding.let_go);
    join_workers(rig.workers, 2, &rig.barrier);
    fill_pattern(rig.model.virt + 2 * 4096, 30, 2 * 4096, 3 * 4096);
    model_allocate(&rig.model, 2 * 4096, 3 * 4096);
    free_held_rig(&rig);
}

/* Worker 0 flushes and is held in the sync of the image; worker 1 then writes and flushes. */
static void *flush_in_turn(void *argument)
{
    struct worker *worker = argument;
    uint8_t data[100];
    pthread_barrier_wait(worker->start);
    if (worker->number == 1) {
        sem_wait(&holding.arrived);
        fill_pattern(data, 40, 8 * 4096, sizeof data);
        keep_first(worker, addcow_write(worker->disk, 8 * 4096, sizeof data, data, NULL));
    }
    keep_first(worker, addcow_flush(worker->disk, NULL));
    return NULL;
}

/* DUR-05: a flush that was called while another one was running does not take that one for its own. */
static void test_flush_during_flush(void **state)
{
    (void)state;
    struct held_rig rig;
    make_held_rig(&rig, true, 0);
    size_t opened = rig.probe->count;
    start_workers(rig.workers, 2, rig.disk, &rig.spec, &rig.barrier, flush_in_turn);
    bool allocated = false;
    uint64_t run;
    while (!allocated) {
        assert_ok(addcow_map(rig.disk, 8 * 4096, 4096, &allocated, &run, &reason));
        sched_yield();
    }
    sleep_a_little();
    sem_post(&holding.let_go);
    join_workers(rig.workers, 2, &rig.barrier);
    assert_int_equal(count_events(rig.probe, opened, EVENT_SYNC, 'i'), 2);
    assert_int_equal(count_events(rig.probe, opened, EVENT_WRITE, 'm'), 1);
    fill_pattern(rig.model.virt + 8 * 4096, 40, 8 * 4096, 100);
    rig.model.allocated[8] = 1;
    free_held_rig(&rig);
}

/* ---- Quiescing ---- */

static atomic_bool passed;

/* Worker 0 writes into cluster 3 and is held there; worker 1 then shrinks the disk. */
static void *write_then_shrink(void *argument)
{
    struct worker *worker = argument;
    if (worker->number == 0) {
        return write_cluster_three(argument);
    }
    pthread_barrier_wait(worker->start);
    sem_wait(&holding.arrived);
    keep_first(worker, addcow_resize(worker->disk, 8 * 4096, NULL));
    atomic_store(&passed, true);
    return NULL;
}

/* CON-09: a resize waits for the requests that are in progress. */
static void test_resize_waits_for_write(void **state)
{
    (void)state;
    struct held_rig rig;
    make_held_rig(&rig, false, 3 * 4096);
    atomic_store(&passed, false);
    start_workers(rig.workers, 2, rig.disk, &rig.spec, &rig.barrier, write_then_shrink);
    sleep_a_little();
    assert_false(atomic_load(&passed));
    assert_int_equal(file_length("disk.raw"), 16 * 4096);
    sem_post(&holding.let_go);
    join_workers(rig.workers, 2, &rig.barrier);
    assert_true(atomic_load(&passed));
    fill_pattern(rig.model.virt + 3 * 4096 + 50, 20, 3 * 4096 + 50, 100);
    rig.model.allocated[3] = 1;
    rig.model.size = 8 * 4096;
    free_held_rig(&rig);
}

/* ---- Who waits for a resize ---- */

static enum addcow_status ask_write(struct addcow *disk)
{
    return addcow_write(disk, 4096, 4, "abc", NULL);
}

static enum addcow_status ask_read(struct addcow *disk)
{
    uint8_t data[100];
    return addcow_read(disk, 4096, sizeof data, data, NULL);
}

static enum addcow_status ask_map(struct addcow *disk)
{
    bool allocated;
    uint64_t run;
    return addcow_map(disk, 0, 4096, &allocated, &run, NULL);
}

static enum addcow_status ask_map_chain(struct addcow *disk)
{
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    return addcow_map_chain(disk, 0, 4096, &extent, NULL);
}

static enum addcow_status ask_map_data(struct addcow *disk)
{
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    bool data;
    return addcow_map_data(disk, 0, 4096, &extent, &data, NULL);
}

static enum addcow_status ask_info(struct addcow *disk)
{
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    return info.virtual_size == (uint64_t)17 * 4096 ? ADDCOW_OK : ADDCOW_RANGE;
}

static enum addcow_status (*const asks[])(struct addcow *disk) = {ask_write,     ask_read,     ask_map,
                                                                  ask_map_chain, ask_map_data, ask_info};
static size_t asked;

/* Worker 0 grows the disk and is held in the sync of the image; worker 1 then asks. */
static void *grow_then_ask(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    if (worker->number == 0) {
        keep_first(worker, addcow_resize(worker->disk, 17 * 4096, NULL));
        return NULL;
    }
    sem_wait(&holding.arrived);
    keep_first(worker, asks[asked](worker->disk));
    atomic_store(&passed, true);
    return NULL;
}

/* CON-09: every request, also to allocated clusters, waits for a resize that is in progress; addcow_size does not. */
static void test_requests_wait_for_resize(void **state)
{
    (void)state;
    for (asked = 0; asked < sizeof asks / sizeof asks[0]; asked++) {
        struct held_rig rig;
        make_held_rig(&rig, true, 0);
        atomic_store(&passed, false);
        start_workers(rig.workers, 2, rig.disk, &rig.spec, &rig.barrier, grow_then_ask);
        sleep_a_little();
        assert_false(atomic_load(&passed));
        assert_int_equal(addcow_size(rig.disk), 16 * 4096);
        sem_post(&holding.let_go);
        join_workers(rig.workers, 2, &rig.barrier);
        if (asks[asked] == ask_write) {
            memcpy(rig.model.virt + 4096, "abc", 4);
        }
        assert_int_equal(addcow_size(rig.disk), 17 * 4096);
        assert_ok(addcow_resize(rig.disk, 16 * 4096, &reason));
        free_held_rig(&rig);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flushes_join),
        TEST(test_joined_flushes_fail),
        TEST(test_who_waits),
        TEST(test_write_around_inflight_range),
        TEST(test_flush_during_flush),
        TEST(test_resize_waits_for_write),
        TEST(test_requests_wait_for_resize),
    };
    return cmocka_run_group_tests_name("fast, waiting", tests, NULL, NULL);
}

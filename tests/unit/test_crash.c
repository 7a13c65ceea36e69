/*
 * Simulated storage and the crash judge; and every crash of every short sequence of operations of the engine.
 *
 * Witnesses DUR-01, DUR-02, DUR-03, DUR-04, DUR-08, DUR-10, DUR-11, RSZ-04, RSZ-05, RSZ-06, CMT-03, STR-03, CRE-01,
 * CRE-04.
 */
#include "crash.h"
#include "files.h"
#include "sim_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define KIB 1024u

/* ---- Simulated storage ---- */

static struct addcow_file *open_file(struct sim *sim, const char *name, enum addcow_open_mode mode)
{
    struct addcow_file *file;
    struct addcow_storage *storage = sim_storage(sim);
    assert_int_equal(storage->ops->open(storage, name, mode, &file), 0);
    return file;
}

static void write_sector(struct addcow_file *file, uint64_t sector, int value)
{
    uint8_t bytes[SIM_SECTOR];
    memset(bytes, value, sizeof bytes);
    assert_int_equal(file->ops->pwrite(file, bytes, sizeof bytes, sector * SIM_SECTOR), SIM_SECTOR);
}

/*
 * A set of the crash states of a file "f" of two sectors: bit 16 * a + b for first bytes a and b; a file cut short has
 * the value 15 there.
 */
struct states {
    bool seen[256];
    uint32_t count;
    uint32_t turns;
};

static void collect(const struct sim *sim, const struct sim_crash_options *options, struct states *states)
{
    struct sim *crashed = sim_make();
    struct choices choices = {0};
    *states = (struct states){0};
    do {
        uint64_t length;
        choices.count = 0;
        sim_crash(sim, sim_moment(sim), options, &choices, crashed);
        const uint8_t *bytes = sim_bytes(crashed, "f", &length);
        uint32_t a = length > 0 ? bytes[0] : 15;
        uint32_t b = length > SIM_SECTOR ? bytes[SIM_SECTOR] : 15;
        states->count += !states->seen[16 * a + b];
        states->seen[16 * a + b] = true;
        states->turns++;
    } while (choices_next(&choices));
    sim_free(crashed);
}

static struct sim *make_two_sectors(void)
{
    uint8_t zeros[2 * SIM_SECTOR] = {0};
    struct sim *sim = sim_make();
    sim_put(sim, "f", zeros, sizeof zeros);
    sim_keep(sim);
    return sim;
}

static void unsynced_sectors_reach_the_disk_in_any_combination(void **state)
{
    (void)state;
    struct sim_crash_options options = {0};
    struct states states;
    struct sim *sim = make_two_sectors();
    struct addcow_file *file = open_file(sim, "f", ADDCOW_FILE_READWRITE);
    write_sector(file, 0, 1);
    write_sector(file, 1, 1);
    write_sector(file, 0, 2);
    collect(sim, &options, &states);
    assert_int_equal(states.turns, 6); /* sector 0: old, 1 or 2; sector 1: old or 1 */
    assert_int_equal(states.count, 6);
    assert_int_equal(file->ops->sync(file), 0);
    collect(sim, &options, &states);
    assert_int_equal(states.count, 1);
    assert_true(states.seen[16 * 2 + 1]);
    write_sector(file, 1, 3);
    collect(sim, &options, &states);
    assert_int_equal(states.count, 2);
    file->ops->close(file);
    sim_free(sim);
}

static void a_length_may_be_old_or_new(void **state)
{
    (void)state;
    struct sim_crash_options options = {0};
    struct states states;
    struct sim *sim = make_two_sectors();
    struct addcow_file *file = open_file(sim, "f", ADDCOW_FILE_READWRITE);
    write_sector(file, 1, 1);
    assert_int_equal(file->ops->truncate(file, SIM_SECTOR), 0);
    assert_int_equal(file->ops->truncate(file, 2 * SIM_SECTOR), 0);
    collect(sim, &options, &states);
    assert_true(states.seen[0] && states.seen[1] && states.seen[15]);
    assert_int_equal(states.count, 3);
    uint8_t byte;
    assert_int_equal(file->ops->pread(file, &byte, 1, SIM_SECTOR), 1);
    assert_int_equal(byte, 0); /* what was cut does not come back */
    file->ops->close(file);
    sim_free(sim);
}

static int fail_first_sync(void *context, enum sim_call call, const char *name, size_t *size)
{
    int *failures = context;
    (void)name;
    (void)size;
    return call == SIM_SYNC && (*failures)++ == 0 ? -EIO : 0;
}

static void a_failed_sync_loses_what_it_should_have_covered(void **state)
{
    (void)state;
    struct sim_crash_options options = {0};
    struct states states;
    int failures = 0;
    struct sim *sim = make_two_sectors();
    struct addcow_file *file = open_file(sim, "f", ADDCOW_FILE_READWRITE);
    sim_set_hook(sim, fail_first_sync, &failures);
    write_sector(file, 0, 1);
    assert_int_equal(file->ops->sync(file), -EIO);
    write_sector(file, 1, 1);
    assert_int_equal(file->ops->sync(file), 0);
    collect(sim, &options, &states);
    assert_int_equal(states.count, 2);
    assert_true(states.seen[1] && states.seen[16 + 1]);
    write_sector(file, 0, 2);
    assert_int_equal(file->ops->sync(file), 0);
    collect(sim, &options, &states);
    assert_int_equal(states.count, 1);
    assert_true(states.seen[32 + 1]);
    file->ops->close(file);
    sim_free(sim);
}

static void sectors_tear_where_they_may(void **state)
{
    (void)state;
    struct sim_crash_options options = {.torn_name = "f", .torn_from = SIM_SECTOR};
    struct sim *sim = make_two_sectors();
    struct sim *crashed = sim_make();
    struct addcow_file *file = open_file(sim, "f", ADDCOW_FILE_READWRITE);
    struct choices choices = {0};
    uint32_t torn[2] = {0, 0};
    write_sector(file, 0, 1);
    write_sector(file, 1, 1);
    do {
        uint64_t length;
        choices.count = 0;
        sim_crash(sim, sim_moment(sim), &options, &choices, crashed);
        const uint8_t *bytes = sim_bytes(crashed, "f", &length);
        torn[0] += bytes[0] != bytes[SIM_SECTOR - 1];
        torn[1] += bytes[SIM_SECTOR] != bytes[2 * SIM_SECTOR - 1];
    } while (choices_next(&choices));
    assert_int_equal(torn[0], 0);
    assert_true(torn[1] > 2 * SIM_SECTOR);
    file->ops->close(file);
    sim_free(crashed);
    sim_free(sim);
}

static void names_are_durable_after_a_rename(void **state)
{
    (void)state;
    struct sim_crash_options options = {0};
    struct sim *sim = sim_make();
    struct sim *crashed = sim_make();
    struct addcow_storage *storage = sim_storage(sim);
    sim_keep(sim);
    struct addcow_file *file = open_file(sim, "new", ADDCOW_FILE_CREATE);
    file->ops->close(file);
    uint32_t with_name = 0, without = 0;
    struct choices choices = {0};
    do {
        uint64_t length;
        choices.count = 0;
        sim_crash(sim, sim_moment(sim), &options, &choices, crashed);
        *(sim_bytes(crashed, "new", &length) != NULL ? &with_name : &without) += 1;
    } while (choices_next(&choices));
    assert_int_equal(with_name, 1);
    assert_int_equal(without, 1);
    assert_int_equal(storage->ops->rename(storage, "new", "final", 0), 0);
    choices = (struct choices){0};
    uint64_t length;
    sim_crash(sim, sim_moment(sim), &options, &choices, crashed);
    assert_int_equal(choices.count, 0);
    assert_null(sim_bytes(crashed, "new", &length));
    assert_non_null(sim_bytes(crashed, "final", &length));
    sim_free(crashed);
    sim_free(sim);
}

static void locks_exclude(void **state)
{
    (void)state;
    struct sim *sim = make_two_sectors();
    struct addcow_file *one = open_file(sim, "f", ADDCOW_FILE_READ);
    struct addcow_file *other = open_file(sim, "f", ADDCOW_FILE_READ);
    assert_int_equal(one->ops->lock(one, 0), 0);
    assert_int_equal(other->ops->lock(other, 0), 0);
    assert_int_equal(one->ops->lock(one, 1), -EAGAIN);
    other->ops->close(other);
    assert_int_equal(one->ops->lock(one, 1), 0);
    other = open_file(sim, "f", ADDCOW_FILE_READ);
    assert_int_equal(other->ops->lock(other, 0), -EAGAIN);
    one->ops->close(one);
    assert_int_equal(other->ops->lock(other, 0), 0);
    assert_int_equal(sim_open_files(sim), 1);
    other->ops->close(other);
    sim_free(sim);
}

/* ---- The judge rejects ---- */

/* A crash after a write and a flush, or only one of them, that has not kept what was written. */
static bool accepts_loss(bool flushed, bool returned)
{
    static struct trace trace;
    trace = (struct trace){.disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 8192}, .threads = 1};
    trace_add(&trace, 0, TRACE_WRITE, 0, 512);
    trace_add(&trace, 0, TRACE_FLUSH, 0, 0);
    struct crash_span spans[3];
    memset(spans, 0xff, sizeof spans);
    spans[0] = (struct crash_span){0, 0, 1, 2, ADDCOW_OK};
    if (flushed) {
        spans[1] = (struct crash_span){0, 0, returned ? 3 : 1, 4, ADDCOW_OK};
    }
    struct sim *sim = sim_make();
    sim_disk_lay(sim, &trace.disk);
    struct crash_judge *judge = crash_make(&trace);
    struct choices choices = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    bool accepted = crash_judge(judge, sim, spans, 0, &choices, out);
    fclose(out);
    free(text);
    crash_free(judge);
    sim_free(sim);
    return accepted;
}

static void the_judge_rejects_lost_writes(void **state)
{
    (void)state;
    assert_true(accepts_loss(false, false));
    assert_true(accepts_loss(true, false));
    assert_false(accepts_loss(true, true));
}

/* ---- The engine ---- */

static const struct trace_disk disks[] = {
    {.layout = ADDCOW_R20,
     .cluster_bits = 12,
     .size = 15000,
     .has_backing = true,
     .backing_size = 15000,
     .allocation = TRACE_SOME_ALLOCATED,
     .seed = 1},
    {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 15000, .has_backing = true, .backing_size = 25000},
    {.layout = ADDCOW_R20,
     .cluster_bits = 12,
     .size = 15000,
     .has_backing = true,
     .backing_size = 15000,
     .allocation = TRACE_ALL_ALLOCATED},
    {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 15000},
};

static void judge_scope(size_t disk, uint32_t length, bool second)
{
    struct crash_counts counts = {0};
    bool fine = crash_scope(&disks[disk], length, second, &counts, stdout);
    print_message("# disk %zu, up to %" PRIu32 " operations: %" PRIu64 " sequences, %" PRIu64 " moments, %" PRIu64
                  " states, %" PRIu64 " of second crashes\n",
                  disk, length, counts.sequences, counts.moments, counts.states, counts.second_states);
    assert_true(fine);
    assert_true(counts.states > counts.sequences);
}

/* A build, or a tool, that makes everything many times slower gets a smaller scope, and says so. */
static bool is_slow(void)
{
    static struct crash_counts counts;
    static double seconds;
    if (counts.states == 0) {
        clock_t start = clock();
        assert_true(crash_scope(&disks[0], 1, false, &counts, stdout));
        seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    }
    if (seconds > 0.02) {
        print_message("# this build is slow: the scope is smaller\n");
    }
    return seconds > 0.02;
}

static void every_crash_of_short_sequences(void **state)
{
    (void)state;
    bool slow = is_slow();
    crash_print_alphabet(&disks[0], stdout);
    for (size_t i = 0; i < (slow ? 1 : sizeof disks / sizeof disks[0]); i++) {
        judge_scope(i, slow || i > 1 ? 2 : 3, false);
    }
}

static void every_second_crash_of_single_operations(void **state)
{
    (void)state;
    judge_scope(0, 1, true);
    if (!is_slow()) {
        judge_scope(2, 1, true);
    }
}

/* Bits past the end that a crash in a shrink leaves behind do not come back when the disk grows (RSZ-06). */
static void bits_left_by_a_crash_do_not_come_back(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {5000, 40000, 79000};
    static struct trace trace;
    struct crash_counts counts = {0};
    for (size_t i = 0; i < (is_slow() ? 1 : sizeof sizes / sizeof sizes[0]); i++) {
        trace = (struct trace){.disk = {.layout = ADDCOW_R20,
                                        .cluster_bits = 12,
                                        .size = 80000,
                                        .has_backing = true,
                                        .backing_size = 80000,
                                        .allocation = TRACE_EVERY_ALLOCATED},
                               .threads = 1};
        trace_add(&trace, 0, TRACE_RESIZE, sizes[i], 0);
        assert_true(crash_sequence(&trace, true, &counts, stdout));
    }
    assert_true(counts.second_states > 1000);
}

static void every_crash_of_create(void **state)
{
    (void)state;
    struct crash_counts counts = {0};
    for (int i = 0; i < 8; i++) {
        /* The old disk would lack the image that is to be made. */
        bool makes_and_replaces = (i & 6) == 6;
        assert_true(makes_and_replaces || crash_create((i & 1) != 0, (i & 2) != 0, (i & 4) != 0, &counts, stdout));
    }
    print_message("# create: %" PRIu64 " moments, %" PRIu64 " states\n", counts.moments, counts.states);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsynced_sectors_reach_the_disk_in_any_combination),
        cmocka_unit_test(a_length_may_be_old_or_new),
        cmocka_unit_test(a_failed_sync_loses_what_it_should_have_covered),
        cmocka_unit_test(sectors_tear_where_they_may),
        cmocka_unit_test(names_are_durable_after_a_rename),
        cmocka_unit_test(locks_exclude),
        cmocka_unit_test(the_judge_rejects_lost_writes),
        cmocka_unit_test(every_crash_of_short_sequences),
        cmocka_unit_test(every_second_crash_of_single_operations),
        cmocka_unit_test(bits_left_by_a_crash_do_not_come_back),
        cmocka_unit_test(every_crash_of_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

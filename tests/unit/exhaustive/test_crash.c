/*
 * Simulated storage and the crash judge; and every crash of every short sequence of operations of the engine.
 */
#include "judges/bounded_crash.h"
#include "judges/crash_create.h"
#include "judges/crash_repair.h"
#include "workload/disk_files.h"
#include "base/report.h"
#include "sched/sched.h"
#include "exhaustive/scope.h"
#include "storage/sim_disk.h"
#include "adapters/adapter_scheduled.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

static void a_failed_sync_loses_its_writes(void **state)
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

static void sectors_tear_if_allowed(void **state)
{
    (void)state;
    struct sim_crash_options options = {.torn = {{"f", SIM_SECTOR}}};
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

/*
 * A crash after a write and a flush, or a close and an open, or only one of them, that has not kept what was written.
 */
static bool accepts_loss(uint32_t flush, bool flushed, bool returned)
{
    static struct trace trace;
    trace = (struct trace){.disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 8192}, .threads = 1};
    trace_add(&trace, 0, OPERATION_WRITE, 0, 512);
    trace_add(&trace, 0, flush, 0, 0);
    struct crash_span spans[3];
    memset(spans, 0xff, sizeof spans);
    spans[0] = (struct crash_span){0, 0, 1, 2, ADDCOW_OK};
    if (flushed) {
        spans[1] = (struct crash_span){0, 0, returned ? 3 : 1, 4, ADDCOW_OK};
    }
    struct sim *sim = sim_make();
    sim_disk_make(sim, &trace.disk);
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
    static const uint32_t flushes[] = {OPERATION_FLUSH, TRACE_REOPEN};
    for (size_t i = 0; i < 2; i++) {
        assert_true(accepts_loss(flushes[i], false, false));
        assert_true(accepts_loss(flushes[i], true, false));
        assert_false(accepts_loss(flushes[i], true, true));
    }
    assert_true(accepts_loss(OPERATION_STREAM, true, true));
}

/* A crash after a resize beside a write, and perhaps a flush, that has kept nothing of it. */
static bool accepts_old_size(uint64_t size, bool flushed)
{
    static struct trace trace;
    trace = (struct trace){.disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 8192}, .threads = 2};
    trace_add(&trace, 0, OPERATION_RESIZE, size, 0);
    trace_add(&trace, 1, OPERATION_READ, 0, 512);
    trace_add(&trace, 0, OPERATION_FLUSH, 0, 0);
    struct crash_span spans[4];
    memset(spans, 0xff, sizeof spans);
    spans[0] = (struct crash_span){0, 0, 1, 3, ADDCOW_OK};
    spans[1] = (struct crash_span){0, 0, 2, 4, ADDCOW_OK};
    if (flushed) {
        spans[2] = (struct crash_span){0, 0, 5, 6, ADDCOW_OK};
    }
    struct sim *sim = sim_make();
    sim_disk_make(sim, &trace.disk);
    struct crash_judge *judge = crash_make(&trace);
    struct choices choices = {0};
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    bool accepted = crash_judge(judge, sim, spans, 0, &choices, out);
    fclose(out);
    crash_free(judge);
    sim_free(sim);
    return accepted;
}

static void the_judge_rejects_a_lost_resize(void **state)
{
    (void)state;
    assert_true(accepts_old_size(12288, false));
    assert_true(accepts_old_size(4096, false));
    assert_true(accepts_old_size(8192, true));
    assert_false(accepts_old_size(12288, true));
    assert_false(accepts_old_size(4096, true));
}

/* ---- The reduction ---- */

/* Every content of a sector of the disk, at any crash of a sequence. */
struct contents {
    uint64_t hashes[64][64];
    uint32_t counts[64];
    uint64_t states;
};

static void note_content(struct contents *contents, uint64_t sector, const uint8_t *bytes, uint64_t length)
{
    uint64_t hash = random_hash(length);
    for (uint64_t i = 0; i < length; i++) {
        hash = random_hash(hash ^ bytes[i]);
    }
    uint32_t i = 0;
    while (i < contents->counts[sector] && contents->hashes[sector][i] != hash) {
        i++;
    }
    if (i == contents->counts[sector]) {
        assert_true(i < 64);
        contents->hashes[sector][i] = hash;
        contents->counts[sector]++;
    }
}

static void note_disk(struct contents *contents, const struct sim *crashed)
{
    struct sim_disk disk;
    char problem[128];
    assert_true(sim_disk_open(crashed, &disk, problem, sizeof problem));
    uint64_t size = disk.ref.size;
    uint8_t *bytes = report_allocate(size, 1);
    addcow_ref_read(&disk.ref, 0, size, bytes);
    for (uint64_t at = 0; at < size; at += SIM_SECTOR) {
        note_content(contents, at / SIM_SECTOR, bytes + at, size - at < SIM_SECTOR ? size - at : SIM_SECTOR);
    }
    contents->states++;
    free(bytes);
    sim_disk_close(&disk);
}

/* Of all crashes, or only of those that the judge looks at (crash.h). */
static void list_contents(const struct sim *sim, const struct trace_disk *disk, bool all, struct contents *contents)
{
    struct sim *crashed = sim_make();
    struct sim_crash_options options = sim_disk_crash_options(disk);
    if (all) {
        options.uniform = NULL;
    }
    memset(contents, 0, sizeof *contents);
    for (uint64_t moment = 0; moment <= sim_moment(sim); moment++) {
        struct choices choices = {0};
        if (!all && moment < sim_moment(sim) && !sim_is_barrier(sim, moment)) {
            continue;
        }
        do {
            choices.count = 0;
            sim_crash(sim, moment, &options, &choices, crashed);
            note_disk(contents, crashed);
        } while (choices_next(&choices));
    }
    sim_free(crashed);
}

static void do_with_engine(struct sim *sim, const struct trace *trace)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = sched_adapter_make_fast(sim_storage(sim));
    assert_int_equal(adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error), ADDCOW_OK);
    for (uint32_t i = 0; i < trace->count; i++) {
        crash_perform(adapter, &trace->operations[i], i, &error);
    }
    assert_int_equal(adapter->ops->close(adapter, &error), ADDCOW_OK);
    adapter->ops->destroy(adapter);
}

/*
 * What the judge leaves out shows nothing: crashed at every moment, in every subset of the sectors, no sector of the
 * disk has a content that it does not have in the crashes that are judged. Disks of two clusters, or the subsets would
 * be too many.
 */
static void the_reduction_hides_no_content(void **state)
{
    (void)state;
    static const struct trace_operation sequences[][3] = {
        {{OPERATION_WRITE, 0, 512, 512}},
        {{OPERATION_WRITE, 0, 3900, 300}, {OPERATION_FLUSH, 0, 0, 0}},
        {{OPERATION_WRITE, 0, 4096, 700}, {OPERATION_WRITE, 0, 4096, 600}, {OPERATION_FLUSH, 0, 0, 0}},
        {{OPERATION_WRITE, 0, 0, 600}, {OPERATION_FLUSH, 0, 0, 0}, {OPERATION_ZERO, 0, 300, 1000}},
        {{OPERATION_DISCARD, 0, 4200, 400}, {OPERATION_RESIZE, 0, 9000, 0}},
        {{OPERATION_RESIZE, 0, 4500, 0}, {OPERATION_WRITE, 0, 4300, 200}},
        {{OPERATION_STREAM, 0, 0, 0}},
        {{OPERATION_WRITE, 0, 4096, 300}, {OPERATION_COMMIT, 0, 0, 0}},
    };
    static struct contents all, judged;
    uint64_t states[2] = {0, 0};
    for (size_t n = 0; n < sizeof sequences / sizeof sequences[0]; n++) {
        static struct trace trace;
        trace = (struct trace){.disk = scope_disks[0], .threads = 1};
        trace.disk.size = 6000;
        trace.disk.backing_size = 6000;
        trace.disk.allocation = TRACE_NONE_ALLOCATED;
        for (uint32_t i = 0; i < 3 && (sequences[n][i].kind != OPERATION_READ); i++) {
            trace.operations[trace.count++] = sequences[n][i];
        }
        struct sim *sim = sim_make();
        sim_disk_make(sim, &trace.disk);
        do_with_engine(sim, &trace);
        list_contents(sim, &trace.disk, true, &all);
        list_contents(sim, &trace.disk, false, &judged);
        sim_free(sim);
        assert_memory_equal(all.counts, judged.counts, sizeof all.counts);
        states[0] += all.states;
        states[1] += judged.states;
    }
    print_message("# %" PRIu64 " states, of which %" PRIu64 " show all that any shows\n", states[0], states[1]);
}

/* ---- The engine ---- */

static void judge_scope(size_t disk, uint32_t length, const struct crash_options *options)
{
    struct crash_counts counts = {0};
    bool fine = bounded_crash_check(&scope_disks[disk], length, options, &counts, stdout);
    print_message("# disk %zu, up to %" PRIu32 " operations: %" PRIu64 " sequences, %" PRIu64 " moments, %" PRIu64
                  " states, %" PRIu64 " of second crashes\n",
                  disk, length, counts.sequences, counts.moments, counts.states, counts.second_states);
    assert_true(fine);
    assert_true(counts.states > counts.sequences);
    assert_int_equal(counts.sampled, 0);
}

/* DUR-01, DUR-02, DUR-03, DUR-04, DUR-08, DUR-10, DUR-11, RSZ-04, RSZ-05, RSZ-06, CMT-03, STR-03: what is read after a
 * crash. */
static void every_crash_of_short_sequences(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCOPE_DISKS; i++) {
        print_message("# disk %zu, alphabet:\n", i);
        crash_print_alphabet(&scope_disks[i], stdout);
        judge_scope(i, !scope_is_small() ? 3 : i == SCOPE_R9 ? 1 : 2, &(struct crash_options){0});
    }
}

static void every_second_crash_of_short_sequences(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCOPE_DISKS; i++) {
        judge_scope(i, scope_is_small() ? 1 : 2, &(struct crash_options){.second = true});
    }
}

/* Bits past the end that a crash in a shrink leaves behind do not come back when the disk grows (RSZ-06). */
static void bits_left_by_a_crash_do_not_come_back(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {5000, 40000, 79000};
    static struct trace trace;
    struct crash_options options = {.second = true};
    struct crash_counts counts = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        trace = (struct trace){.disk = {.layout = ADDCOW_R20,
                                        .cluster_bits = 12,
                                        .size = 80000,
                                        .has_backing = true,
                                        .backing_size = 80000,
                                        .allocation = TRACE_EVERY_ALLOCATED},
                               .threads = 1};
        trace_add(&trace, 0, OPERATION_RESIZE, sizes[i], 0);
        assert_true(crash_sequence(&trace, &options, &counts, stdout));
    }
    print_message("# %" PRIu64 " states of second crashes\n", counts.second_states);
    assert_true(counts.second_states > 100);
}

/* Blocks of the bitmap that are dirty at once, again dirty after a flush, and cut away (DUR-01, DUR-03, RSZ-05). */
static void every_crash_with_several_blocks(void **state)
{
    (void)state;
    static struct trace trace;
    struct crash_options options = {.states = 20000};
    struct crash_counts counts = {0};
    make_several_blocks(&trace);
    assert_true(crash_sequence(&trace, &options, &counts, stdout));
    print_message("# %" PRIu64 " moments, %" PRIu64 " states\n", counts.moments, counts.states);
    assert_int_equal(counts.sampled, 0);
}

/* CRE-01, CRE-04 */
static void every_crash_of_create(void **state)
{
    (void)state;
    struct crash_counts counts = {0};
    assert_true(crash_every_creation(&counts, stdout));
    assert_int_equal(counts.sequences, 12);
    print_message("# create: %" PRIu64 " moments, %" PRIu64 " states\n", counts.moments, counts.states);
}

/* CHK-02: a repair changes no content, wherever it crashes. */
static void every_crash_of_repair(void **state)
{
    (void)state;
    struct crash_counts counts = {0};
    assert_true(crash_every_repair(&counts, stdout));
    print_message("# repair: %" PRIu64 " damages, %" PRIu64 " moments, %" PRIu64 " states\n", counts.sequences,
                  counts.moments, counts.states);
    assert_true(counts.states > 2 * counts.moments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsynced_sectors_reach_the_disk_in_any_combination),
        cmocka_unit_test(a_length_may_be_old_or_new),
        cmocka_unit_test(a_failed_sync_loses_its_writes),
        cmocka_unit_test(sectors_tear_if_allowed),
        cmocka_unit_test(names_are_durable_after_a_rename),
        cmocka_unit_test(locks_exclude),
        cmocka_unit_test(the_judge_rejects_lost_writes),
        cmocka_unit_test(the_judge_rejects_a_lost_resize),
        cmocka_unit_test(the_reduction_hides_no_content),
        cmocka_unit_test(every_crash_of_short_sequences),
        cmocka_unit_test(every_second_crash_of_short_sequences),
        cmocka_unit_test(bits_left_by_a_crash_do_not_come_back),
        cmocka_unit_test(every_crash_with_several_blocks),
        cmocka_unit_test(every_crash_of_create),
        cmocka_unit_test(every_crash_of_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

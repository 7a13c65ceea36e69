/*
 * Rebase on simulated storage: what is allocated, every crash, every failing call, every death of the process.
 *
 * Old and new backing file differ in every way in which two can: in the middle, behind the end of the shorter one, only
 * there, and not at all. Whatever happens, the disk must read as before, with the old header or the new one.
 */
#include "addcow_fast.h"
#include "addcow_header.h"
#include "storage/sim_crash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (4 * CLUSTER + 100)
#define BITS 4u /* the image holds cluster 2 */
#define CLUSTER 4096u

/* ---- The files ---- */

struct variant {
    const char *old_name; /* null: none */
    const char *new_name;
    enum addcow_layout layout;
    uint32_t cluster; /* bytes */
    unsigned bits;    /* of the bitmap, before */
    unsigned after;   /* and after */
};

/* Clusters 0 and 3 are the same in both backing files; 1 differs by a byte. The old one ends in 3, the new one in 4. */
static const struct variant variants[] = {
    {"old", "new", ADDCOW_R20, CLUSTER, BITS, BITS | 2 | 16},
    {"new", "old", ADDCOW_R20, CLUSTER, BITS, BITS | 2 | 16},
    {"old", NULL, ADDCOW_R20, CLUSTER, BITS, BITS | 1 | 2 | 8},
    {NULL, "new", ADDCOW_R20, CLUSTER, BITS, BITS | 1 | 2 | 8 | 16},
    {"old", "low", ADDCOW_R20, CLUSTER, BITS, BITS | 2 | 16}, /* which is a disk over "new" */
    {"old", "new", ADDCOW_R9, 65536, 0, 1},
    {"old", "copy-of-old", ADDCOW_R20, CLUSTER, BITS, BITS},
};
#define VARIANTS (sizeof variants / sizeof variants[0])

static uint8_t old_byte(uint64_t at)
{
    return at < 3 * CLUSTER + 50 ? (uint8_t)(at % 251 + 1) : 0;
}

static uint8_t new_byte(uint64_t at)
{
    if (at >= 3 * CLUSTER + 50) {
        return at >= 4 * CLUSTER && at < 4 * CLUSTER + 10 ? 0xee : 0;
    }
    return at == CLUSTER + 700 ? 0 : old_byte(at);
}

static uint8_t backing_byte(const char *name, uint64_t at)
{
    return !name ? 0 : strcmp(name, "new") == 0 ? new_byte(at) : old_byte(at);
}

static uint8_t image_byte(uint64_t at)
{
    return (uint8_t)(at % 13 + 100);
}

static uint8_t virt_byte(const struct variant *variant, uint64_t at)
{
    return variant->bits >> at / variant->cluster & 1 ? image_byte(at) : backing_byte(variant->old_name, at);
}

static void put_bytes(struct sim *sim, const char *name, uint8_t (*byte)(uint64_t), uint64_t length)
{
    uint8_t bytes[SIZE];
    for (uint64_t i = 0; i < length; i++) {
        bytes[i] = byte(i);
    }
    sim_put(sim, name, bytes, length);
}

static void put_metadata(struct sim *sim, const char *name, const struct variant *variant, const char *image,
                         const char *backing)
{
    bool r9 = variant->layout == ADDCOW_R9;
    struct addcow_header header = {
        .layout = variant->layout,
        .cluster_bits = r9 ? 16 : 12,
        .header_size = 4096,
        .backing_offset = r9        ? ADDCOW_R9_BACKING_OFFSET
                          : backing ? ADDCOW_NAMES_OFFSET
                                    : 0,
        .backing_size = backing ? (uint32_t)strlen(backing) : 0,
        .image_size = (uint32_t)strlen(image),
        .compatible_features = r9 ? 0 : UINT64_C(1) << 60, /* unknown, and kept (HDR-21) */
        .image_format = "raw",
    };
    header.image_offset = r9 ? ADDCOW_R9_IMAGE_OFFSET : ADDCOW_NAMES_OFFSET + header.backing_size;
    if (backing) {
        memcpy(header.backing_format, "raw", 4);
    }
    uint8_t bytes[2 * 4096] = {0};
    assert_int_equal(addcow_encode(&header, (const uint8_t *)backing, (const uint8_t *)image, bytes, sizeof bytes),
                     ADDCOW_RULE_NONE);
    bytes[4096] = (uint8_t)variant->bits;
    sim_put(sim, name, bytes, r9 ? 4097 : sizeof bytes);
}

static struct sim *make_files(const struct variant *variant)
{
    static const struct variant low = {.layout = ADDCOW_R20};
    struct sim *sim = sim_make();
    put_metadata(sim, "disk", variant, "image", variant->old_name);
    put_bytes(sim, "image", image_byte, SIZE);
    put_bytes(sim, "old", old_byte, 3 * CLUSTER + 50);
    put_bytes(sim, "copy-of-old", old_byte, 3 * CLUSTER + 50);
    put_bytes(sim, "new", new_byte, 4 * CLUSTER + 10);
    put_metadata(sim, "low", &low, "low-image", "new");
    put_bytes(sim, "low-image", image_byte, SIZE);
    sim_keep(sim);
    return sim;
}

/* ---- What is done, and what must hold ---- */

static struct addcow_error reason = ADDCOW_ERROR_INIT;

static enum addcow_status rebase(struct sim *sim, const struct variant *variant)
{
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = variant->new_name;
    options.backing_format = variant->new_name && strcmp(variant->new_name, "low") == 0 ? "add-cow" : "raw";
    return addcow_rebase("disk", &options, sim_storage(sim), NULL, NULL, &reason);
}

static bool same_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct addcow *open_disk(struct sim *sim, enum addcow_open_flags flags)
{
    struct addcow *disk = NULL;
    if (addcow_open("disk", flags, sim_storage(sim), &disk, &reason) != ADDCOW_OK) {
        fail_msg("%s", reason.message);
    }
    return disk;
}

static unsigned bits_of(struct addcow *disk, const struct variant *variant)
{
    unsigned bits = 0;
    for (unsigned k = 0; k * variant->cluster < SIZE; k++) {
        bool allocated;
        uint64_t run;
        assert_int_equal(addcow_map(disk, k * variant->cluster, 1, &allocated, &run, NULL), ADDCOW_OK);
        bits |= (unsigned)allocated << k;
    }
    return bits;
}

/* The disk reads as before the rebase, with one of the two headers. Returns whether that is the new one. */
static bool check_disk(struct sim *sim, const struct variant *variant)
{
    struct addcow *disk = open_disk(sim, ADDCOW_OPEN_READONLY);
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    bool is_new = same_name(info.backing_name, variant->new_name);
    assert_true(is_new || same_name(info.backing_name, variant->old_name));
    assert_string_equal(info.image_name, "image");
    assert_int_equal(info.compatible_features, variant->layout == ADDCOW_R9 ? 0 : UINT64_C(1) << 60);
    unsigned bits = bits_of(disk, variant);
    assert_int_equal(bits & variant->bits, variant->bits);
    assert_int_equal(bits & ~variant->after, 0);
    assert_true(!is_new || bits == variant->after);
    uint8_t bytes[SIZE];
    assert_int_equal(addcow_read(disk, 0, SIZE, bytes, &reason), ADDCOW_OK);
    for (uint64_t i = 0; i < SIZE; i++) {
        if (bytes[i] != virt_byte(variant, i)) {
            fail_msg("byte %u is %02x, expected %02x", (unsigned)i, bytes[i], virt_byte(variant, i));
        }
    }
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    return is_new;
}

/* ---- The tests ---- */

/* RBS-01, HDR-21 */
static void allocates_exactly_what_would_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < VARIANTS; i++) {
        struct sim *sim = make_files(&variants[i]);
        if (rebase(sim, &variants[i]) != ADDCOW_OK) {
            fail_msg("variant %zu: %s", i, reason.message);
        }
        assert_int_equal(sim_open_files(sim), 0);
        assert_true(check_disk(sim, &variants[i]));
        /* A second one finds nothing to do. */
        assert_int_equal(rebase(sim, &variants[i]), ADDCOW_OK);
        assert_true(check_disk(sim, &variants[i]));
        sim_free(sim);
    }
}

/* Every state that a crash at this moment may leave. Adds to counts[0] the old headers, to counts[1] the new ones. */
static void check_crashes(const struct sim *sim, uint64_t moment, const struct variant *variant, unsigned counts[2])
{
    static const char *const uniform[] = {"image", NULL};
    struct sim_crash_options options = {.uniform = uniform, .torn = {{"disk", 4096}}};
    struct sim *crashed = sim_make();
    struct choices choices = {0};
    do {
        choices.count = 0;
        sim_crash(sim, moment, &options, &choices, crashed);
        counts[check_disk(crashed, variant)]++;
    } while (choices_next(&choices));
    sim_free(crashed);
}

/* RBS-03, RBS-04, DUR-03 */
static void survives_every_crash(void **state)
{
    (void)state;
    for (size_t i = 0; i < VARIANTS; i++) {
        struct sim *sim = make_files(&variants[i]);
        unsigned counts[2] = {0};
        assert_int_equal(rebase(sim, &variants[i]), ADDCOW_OK);
        for (uint64_t moment = 0; moment <= sim_moment(sim); moment++) {
            check_crashes(sim, moment, &variants[i], counts);
        }
        assert_true(counts[0] > 3 && counts[1] > 1);
        /* In the end it is durable. */
        counts[0] = 0;
        check_crashes(sim, sim_moment(sim), &variants[i], counts);
        assert_int_equal(counts[0], 0);
        sim_free(sim);
    }
}

struct trouble {
    unsigned left; /* calls until then */
    int result;
    bool lasts;
    bool met;
};

static int make_trouble(void *context, enum sim_call call, const char *name, size_t *size)
{
    struct trouble *trouble = context;
    (void)name, (void)size;
    if (call == SIM_CLOSE && trouble->result == -EINTR) {
        return 0; /* a close cannot be repeated, so it is no such call */
    }
    if (trouble->left > 0) {
        trouble->left--;
        return 0;
    }
    int result = trouble->met && !trouble->lasts ? 0 : trouble->result;
    trouble->met = true;
    return result;
}

/* Rebases with trouble at one call after another. */
static void try_every_call(int result, bool lasts)
{
    for (size_t i = 0; i < VARIANTS; i++) {
        bool met = true;
        for (unsigned call = 0; met; call++) {
            struct sim *sim = make_files(&variants[i]);
            struct trouble trouble = {.left = call, .result = result, .lasts = lasts};
            sim_set_hook(sim, make_trouble, &trouble);
            enum addcow_status code = rebase(sim, &variants[i]);
            sim_set_hook(sim, NULL, NULL);
            met = trouble.met;
            assert_true(met || code == ADDCOW_OK);
            assert_true(result != -EINTR || code == ADDCOW_OK);
            assert_int_equal(sim_open_files(sim), 0);
            bool is_new = check_disk(sim, &variants[i]);
            assert_true(is_new || code != ADDCOW_OK);
            unsigned counts[2] = {0};
            check_crashes(sim, sim_moment(sim), &variants[i], counts);
            assert_true(code != ADDCOW_OK || counts[0] == 0);
            assert_int_equal(rebase(sim, &variants[i]), ADDCOW_OK);
            assert_true(check_disk(sim, &variants[i]));
            counts[0] = 0;
            check_crashes(sim, sim_moment(sim), &variants[i], counts);
            assert_int_equal(counts[0], 0);
            sim_free(sim);
        }
    }
}

/* RBS-03, ERR-01, ERR-03, ERR-04: a call fails once, fails from then on, is interrupted. */
static void survives_every_failing_call(void **state)
{
    (void)state;
    try_every_call(-EIO, false);
    try_every_call(-ENOSPC, true);
    try_every_call(-EINTR, false);
}

/* RBS-03, DUR-12: the process dies at a call; then the power fails, or another process does it again. */
static void survives_every_death(void **state)
{
    (void)state;
    try_every_call(SIM_DEAD, true);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total)
{
    *(uint64_t *)context = total;
    return done == 0;
}

/* RBS-03: the caller stops it. */
static void can_be_stopped(void **state)
{
    (void)state;
    struct sim *sim = make_files(&variants[0]);
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "new";
    options.backing_format = "raw";
    uint64_t total = 0;
    assert_int_equal(addcow_rebase("disk", &options, sim_storage(sim), stop_at_once, &total, &reason), ADDCOW_IO);
    assert_int_equal(reason.errnum, ECANCELED);
    assert_int_equal(total, SIZE);
    assert_false(check_disk(sim, &variants[0]));
    sim_free(sim);
}

/* RBS-05 */
static void header_only_opens_no_backing_file(void **state)
{
    (void)state;
    struct sim *sim = make_files(&variants[0]);
    struct addcow_storage *storage = sim_storage(sim);
    storage->ops->remove(storage, "old");
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "gone";
    options.backing_format = "add-cow";
    assert_int_equal(addcow_rebase("disk", &options, storage, NULL, NULL, &reason), ADDCOW_UNLINKABLE);
    options.header_only = true;
    assert_int_equal(addcow_rebase("disk", &options, storage, NULL, NULL, &reason), ADDCOW_OK);
    options.backing_name = "new";
    options.backing_format = "raw";
    assert_int_equal(addcow_rebase("disk", &options, storage, NULL, NULL, &reason), ADDCOW_OK);
    struct addcow *disk = open_disk(sim, ADDCOW_OPEN_READONLY);
    assert_int_equal(bits_of(disk, &variants[0]), BITS);
    uint8_t byte;
    assert_int_equal(addcow_read(disk, CLUSTER + 700, 1, &byte, NULL), ADDCOW_OK);
    assert_int_equal(byte, new_byte(CLUSTER + 700));
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    sim_free(sim);
}

/* Asserts that the rebase is refused, and that nothing has changed. */
static void refuse(struct sim *sim, const char *name, const char *format, enum addcow_status code, const char *clause)
{
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    uint64_t before = sim_moment(sim);
    options.backing_name = name;
    options.backing_format = format;
    assert_int_equal(addcow_rebase("disk", &options, sim_storage(sim), NULL, NULL, &reason), code);
    assert_string_equal(reason.clause, clause);
    assert_false(sim_is_changed(sim, before));
    assert_int_equal(sim_open_files(sim), 0);
}

/* RBS-02 */
static void refuses_what_open_would_refuse(void **state)
{
    (void)state;
    struct sim *sim = make_files(&variants[0]);
    char name[5000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    refuse(sim, name, "raw", ADDCOW_RANGE, "RBS-02");
    name[500] = '\0';
    refuse(sim, name, "raw", ADDCOW_RANGE, "RBS-02");
    refuse(sim, "nothing", "raw", ADDCOW_UNLINKABLE, "LNK-06");
    refuse(sim, "disk", "raw", ADDCOW_UNLINKABLE, "LNK-07");
    refuse(sim, "disk", "add-cow", ADDCOW_UNLINKABLE, "LNK-07");
    refuse(sim, "image", "raw", ADDCOW_MALFORMED, "HDR-19");
    refuse(sim, "nbd:x", "raw", ADDCOW_UNSUPPORTED, "LNK-02");
    refuse(sim, "new", "qcow2", ADDCOW_UNSUPPORTED, "LNK-04");
    refuse(sim, "new", NULL, ADDCOW_UNSUPPORTED, "LNK-04");
    refuse(sim, "new", "add-cow", ADDCOW_MALFORMED, "HDR-02");
    struct addcow_rebase_options unknown = {.backing_name = "new", .backing_format = "raw"};
    assert_int_equal(addcow_rebase("disk", &unknown, sim_storage(sim), NULL, NULL, &reason), ADDCOW_UNSUPPORTED);
    /* LCK-02 */
    struct addcow *disk = open_disk(sim, ADDCOW_OPEN_READONLY);
    assert_int_equal(rebase(sim, &variants[0]), ADDCOW_BUSY);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    sim_free(sim);
    sim = make_files(&variants[5]);
    refuse(sim, NULL, NULL, ADDCOW_UNSUPPORTED, "HR9-08");
    refuse(sim, "low", "add-cow", ADDCOW_UNSUPPORTED, "HR9-08");
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_exactly_what_would_differ),
        cmocka_unit_test(survives_every_crash),
        cmocka_unit_test(survives_every_failing_call),
        cmocka_unit_test(survives_every_death),
        cmocka_unit_test(can_be_stopped),
        cmocka_unit_test(header_only_opens_no_backing_file),
        cmocka_unit_test(refuses_what_open_would_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

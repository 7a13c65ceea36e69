/*
 * Creating a disk among existing files: it opens and reads as it must, and a refusal leaves nothing behind.
 *
 * The trace of the input gives the disk that exists before. The choices give what is asked for, the storage call that
 * fails, and when the power fails afterwards.
 */
#include "addcow_fast.h"
#include "addcow_ref.h"
#include "lib/storage_fault.h"
#include "workload/disk_files.h"
#include "lib/fuzz.h"
#include "base/report.h"
#include "storage/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_LONG 2u
#define LONG_NAME_BYTES (ADDCOW_HEADER_MIN - ADDCOW_NAMES_OFFSET + 1) /* one more than the smallest header can hold */
#define CRASHES 4u
#define READ_MAX (1u << 20)

/* What the choices say. */
struct wanted {
    struct addcow_create_options options;
    bool without_metadata; /* the disk that was there loses this file */
    bool without_image;
    bool other_metadata; /* instead there is a file that is no add-cow file */
    bool fails;
    struct storage_fault fault;
    struct random random; /* of the crashes */
    char long_names[NAMES_LONG][LONG_NAME_BYTES + 1];
};

static uint64_t take(struct fuzz_part *choices, size_t size)
{
    uint64_t value = 0;
    for (; size > 0 && choices->count > 0; size--) {
        value = value << 8 | *choices->bytes++;
        choices->count--;
    }
    return value;
}

static const char *choose_name(struct wanted *wanted, unsigned which, uint64_t choice)
{
    static const char *const names[] = {DISK_IMAGE,      DISK_BASE, DISK_CHAIN_TOP, DISK_METADATA, "new.raw",
                                        "base2.add-cow", "",        "nbd:disk",     "missing",     NULL};
    uint64_t known = sizeof names / sizeof names[0];
    if (choice % (known + 1) < known) {
        return names[choice % (known + 1)];
    }
    size_t length = wanted->options.layout == ADDCOW_R9 ? ADDCOW_R9_NAME_SIZE : LONG_NAME_BYTES;
    memset(wanted->long_names[which], 'n', length);
    wanted->long_names[which][length] = '\0';
    return wanted->long_names[which];
}

static uint64_t choose_size(uint64_t choice)
{
    static const uint64_t units[] = {1, 512, 4096, 65536};
    uint64_t size = (choice & 0x3FFF) * units[choice >> 14 & 3];
    return size == 0x3FFF ? ADDCOW_SIZE_MAX + 1 : size;
}

static void choose(struct fuzz_part choices, struct wanted *wanted)
{
    static const char *const formats[] = {"raw", "add-cow", "qcow2", NULL};
    uint64_t flags = take(&choices, 1);
    struct addcow_create_options *options = &wanted->options;
    options->struct_size = sizeof *options;
    options->layout = flags & 1 ? ADDCOW_R9 : ADDCOW_R20;
    options->make_image = flags & 2;
    options->replace = flags & 4;
    options->hide_image_data = flags & 8;
    wanted->without_image = flags & 16;
    wanted->without_metadata = flags & 32;
    wanted->other_metadata = flags & 128;
    options->cluster_bits = (uint32_t)(ADDCOW_CLUSTER_BITS_DEFAULT + take(&choices, 1)) % 24;
    options->image_name = choose_name(wanted, 0, take(&choices, 1));
    options->backing_name = choose_name(wanted, 1, take(&choices, 1));
    options->backing_format = formats[take(&choices, 1) % 4];
    options->image_size = choose_size(take(&choices, 2));
    wanted->fails = flags & 64;
    uint8_t plan[STORAGE_FAULT_BYTES] = {(uint8_t)take(&choices, 1), (uint8_t)take(&choices, 1)};
    wanted->fault = storage_fault_choose(plan);
    wanted->random.state = take(&choices, 4);
}

/* Larger files are left to the tests, and names that are longer than simulated storage has them are only there to be
 * refused. */
static bool is_affordable(const struct wanted *wanted)
{
    const struct addcow_create_options *options = &wanted->options;
    bool names = wanted->long_names[0][0] != '\0' || wanted->long_names[1][0] != '\0';
    bool refused = options->layout == ADDCOW_R9 || options->cluster_bits <= ADDCOW_CLUSTER_BITS_MIN;
    return (options->image_size <= READ_MAX || options->image_size > ADDCOW_SIZE_MAX) && (!names || refused);
}

/* ---- What was there before ---- */

struct before {
    uint32_t count;
    char names[SIM_FILES_MAX][SIM_NAME_BYTES];
    uint8_t *bytes[SIM_FILES_MAX];
    uint64_t lengths[SIM_FILES_MAX];
};

static void note(const struct sim *sim, struct before *before)
{
    for (before->count = 0; sim_name(sim, before->count) != NULL; before->count++) {
        uint32_t i = before->count;
        snprintf(before->names[i], SIM_NAME_BYTES, "%s", sim_name(sim, i));
        const uint8_t *bytes = sim_bytes(sim, before->names[i], &before->lengths[i]);
        before->bytes[i] = report_allocate(before->lengths[i] > 0 ? before->lengths[i] : 1, 1);
        if (before->lengths[i] > 0) {
            memcpy(before->bytes[i], bytes, (size_t)before->lengths[i]);
        }
    }
}

static void forget(struct before *before)
{
    for (uint32_t i = 0; i < before->count; i++) {
        free(before->bytes[i]);
    }
}

static bool is_as_before(const struct sim *sim, const struct before *before, uint32_t i)
{
    uint64_t length;
    const uint8_t *bytes = sim_bytes(sim, before->names[i], &length);
    return bytes && length == before->lengths[i] &&
           (length == 0 || memcmp(bytes, before->bytes[i], (size_t)length) == 0);
}

static uint32_t files_in(const struct sim *sim)
{
    uint32_t count = 0;
    while (sim_name(sim, count)) {
        count++;
    }
    return count;
}

/* ---- What the new disk must read as ---- */

struct content {
    uint8_t *bytes;
    uint64_t size;
    bool wraps; /* there is no backing file; then the layout is r20 (CRE-03) */
};

static void fill_from_below(const struct sim *sim, const struct addcow_create_options *options, struct content *content)
{
    uint64_t length = 0;
    const uint8_t *raw = sim_bytes(sim, options->backing_name, &length);
    if (strcmp(options->backing_format, "raw") == 0) {
        length = length < content->size ? length : content->size;
        if (length > 0) {
            memcpy(content->bytes, raw, (size_t)length);
        }
        return;
    }
    struct addcow *below = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_open(options->backing_name, ADDCOW_OPEN_READONLY,
                                          sim_storage((struct sim *)(uintptr_t)sim), &below, &error);
    fuzz_require(code == ADDCOW_OK, "a backing file that was accepted opens (CRE-05)");
    length = addcow_size(below) < content->size ? addcow_size(below) : content->size;
    fuzz_require(addcow_read(below, 0, length, content->bytes, &error) == ADDCOW_OK, "and is read");
    addcow_close(below, NULL);
}

static struct content expect(const struct sim *sim, const struct addcow_create_options *options)
{
    struct content content = {.size = options->image_size, .wraps = !options->backing_name};
    const uint8_t *image = NULL;
    if (!options->make_image) {
        image = sim_bytes(sim, options->image_name, &content.size);
    }
    content.bytes = report_allocate(content.size > 0 ? content.size : 1, 1);
    if (options->backing_name) {
        fill_from_below(sim, options, &content);
    } else if (image && content.size > 0) {
        memcpy(content.bytes, image, (size_t)content.size);
    }
    return content;
}

/* Without a backing file every bit is set, and "all allocated" (CRE-03); with one none is (CRE-02). */
static bool has_bits_as(const struct addcow_ref *disk, const struct content *content)
{
    uint64_t clusters = addcow_cluster_count(disk->size, disk->cluster_size);
    for (uint64_t k = 0; k < clusters; k++) {
        if ((disk->bitmap[k / 8] >> k % 8 & 1) != content->wraps) {
            return false;
        }
    }
    return disk->all_allocated == content->wraps;
}

static bool reads_as(const struct sim *sim, const struct content *content)
{
    struct sim_disk disk;
    char problem[256];
    if (!sim_disk_open(sim, &disk, problem, sizeof problem)) {
        fprintf(stderr, "%s\n", problem);
        return false;
    }
    bool same = disk.ref.size == content->size && !sim_disk_has_stray_bits(&disk) && has_bits_as(&disk.ref, content);
    uint8_t *got = report_allocate(content->size > 0 ? content->size : 1, 1);
    same = same && addcow_ref_read(&disk.ref, 0, content->size, got) == ADDCOW_OK &&
           memcmp(got, content->bytes, (size_t)content->size) == 0;
    free(got);
    sim_disk_close(&disk);
    return same;
}

/* ---- Judging ---- */

/* Whatever the moment of the crash: nothing, what was there before, or the whole new disk. */
static void judge_crashes(const struct sim *sim, struct random *random, const struct before *before,
                          const struct content *content)
{
    for (unsigned i = 0; i < CRASHES; i++) {
        struct sim *crashed = sim_make();
        struct choices choices = {.random = random};
        struct sim_crash_options options = {0};
        uint64_t length;
        uint64_t moment = random_below(random, sim_moment(sim) + 1);
        sim_crash(sim, moment, &options, &choices, crashed);
        bool old = false;
        for (uint32_t k = 0; k < before->count; k++) {
            bool metadata = strcmp(before->names[k], DISK_METADATA) == 0;
            old = old || (metadata && is_as_before(crashed, before, k));
            fuzz_require(metadata || is_as_before(crashed, before, k),
                         "after a crash the other files are as they were (CRE-01)");
        }
        bool none = sim_bytes(crashed, DISK_METADATA, &length) == NULL;
        bool complete = moment == sim_moment(sim);
        fuzz_require(complete ? !none && reads_as(crashed, content) : none || old || reads_as(crashed, content),
                     "after a crash there is the old disk, none, or the new one (CRE-04)");
        sim_free(crashed);
    }
}

static void judge_success(struct sim *sim, struct wanted *wanted, const struct before *before)
{
    for (uint32_t i = 0; i < before->count; i++) {
        fuzz_require(is_as_before(sim, before, i) || strcmp(before->names[i], DISK_METADATA) == 0,
                     "create changes no file that was there (CRE-01)");
    }
    uint64_t length = 0;
    const uint8_t *image = sim_bytes(sim, wanted->options.image_name, &length);
    bool hides = wanted->options.backing_name && !wanted->options.make_image && !wanted->options.hide_image_data;
    for (uint64_t i = 0; hides && i < length; i++) {
        fuzz_require(image[i] == 0, "an image that holds data is not hidden (CRE-02)");
    }
    struct content content = expect(sim, &wanted->options);
    fuzz_require(reads_as(sim, &content), "what was created reads as the backing file or the image (CRE-02, CRE-03)");
    judge_crashes(sim, &wanted->random, before, &content);
    struct addcow *disk = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_open(DISK_METADATA, ADDCOW_OPEN_READWRITE, sim_storage(sim), &disk, &error);
    fuzz_require(code == ADDCOW_OK, "what was created opens (CRE-05)");
    addcow_close(disk, NULL);
    free(content.bytes);
}

/* A single fault in what makes files; a fault in the clean-up after another failure may leave a file. */
static bool must_leave_nothing(const struct wanted *wanted)
{
    const struct fault_injection *fault = &wanted->fault.inject;
    bool making = fault->call == SIM_TRUNCATE || fault->call == SIM_PWRITE || fault->call == SIM_SYNC ||
                  fault->call == SIM_RENAME;
    return !wanted->fails || !fault_injection_was_hit(fault) || (making && !fault->persistent);
}

static void judge_refusal(const struct sim *sim, const struct wanted *wanted, const struct before *before)
{
    for (uint32_t i = 0; i < before->count; i++) {
        fuzz_require(is_as_before(sim, before, i), "a create that fails changes no file (CRE-01, CRE-04)");
    }
    fuzz_require(!must_leave_nothing(wanted) || files_in(sim) == before->count,
                 "a create that fails leaves no file behind (CRE-04)");
}

static void create(struct sim *sim, struct wanted *wanted)
{
    struct before before;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    bool asks = wanted->random.state % 4 != 0; /* for the reason */
    note(sim, &before);
    if (wanted->fails) {
        storage_fault_begin(&wanted->fault, sim);
    }
    enum addcow_status code = addcow_create(DISK_METADATA, &wanted->options, sim_storage(sim), asks ? &error : NULL);
    sim_set_hook(sim, NULL, NULL);
    fuzz_require(sim_open_files(sim) == 0, "create leaves no file open");
    fuzz_require(!asks || (code == error.code && (code == ADDCOW_OK) == (error.message[0] == '\0')),
                 "a failure says why (ERR-01)");
    if (code == ADDCOW_OK) {
        judge_success(sim, wanted, &before);
    } else {
        judge_refusal(sim, wanted, &before);
    }
    forget(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_bounds bounds = {.threads = 1, .operations = 1, .cluster_bits = 13, .clusters = 5};
    static struct trace trace;
    struct fuzz_input input = fuzz_split(data, size);
    if (!fuzz_trace(&input, &bounds, &trace)) {
        return 0;
    }
    struct wanted wanted = {.fails = false};
    choose(input.parts[FUZZ_CHOICES], &wanted);
    if (!is_affordable(&wanted)) {
        return 0;
    }
    struct sim *sim = sim_make();
    struct addcow_storage *storage = sim_storage(sim);
    sim_disk_make(sim, &trace.disk);
    if (wanted.without_metadata) {
        storage->ops->remove(storage, DISK_METADATA);
    }
    if (wanted.without_image) {
        storage->ops->remove(storage, DISK_IMAGE);
    }
    if (wanted.other_metadata) {
        static const uint8_t zeros[ADDCOW_HEADER_MIN];
        sim_put(sim, DISK_METADATA, zeros, wanted.options.image_size % 2 ? sizeof zeros : 512);
    }
    sim_keep(sim);
    create(sim, &wanted);
    sim_free(sim);
    return 0;
}

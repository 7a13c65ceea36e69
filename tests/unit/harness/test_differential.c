/*
 * The differential judge must accept an implementation that is right and reject each one that is wrong.
 *
 * The implementation here is a third one, as plain as possible: files in memory, one loop over bytes. It can be given
 * one of the mistakes that real implementations made. Without a mistake every workload must be accepted; with one, some
 * workload of a few must be rejected. So each mistake is a test that the judge can fail.
 */
#include "workload/disk_files.h"
#include "workload/generate.h"
#include "judges/differential.h"
#include "base/report.h"
#include "base/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CORRECT_SEEDS 60u
#define SEEDS 300u /* workloads within which a mistake must be found */

enum mistake {
    NO_MISTAKE,
    COPY_GARBAGE_PAST_BACKING,
    READ_GARBAGE_PAST_BACKING,
    GROW_IMAGE_ON_LAST_CLUSTER,
    LEAVE_BUFFER_WITHOUT_BACKING,
    ZERO_WRONG_PART_OF_MIXED_READ,
    NO_HEAD,
    NO_TAIL,
    MOST_SIGNIFICANT_BIT_FIRST,
    BIT_ONE_CLUSTER_LATE,
    MISS_LAST_CLUSTER,
    COPY_OVER_DATA,
    MAP_SECTOR_SHORT,
    MAP_ONE_CLUSTER,
    MAP_INVERTED,
    ZERO_LENGTH_ALLOCATES,
    READ_IMAGE_WHILE_UNALLOCATED,
    LOSE_EVERY_TENTH_WRITE,
    LOSE_NEIGHBOURING_BIT,
    OLD_BYTES_AFTER_SHRINK_AND_GROW,
    STALE_BITS_AFTER_SHRINK,
    BACKING_SHOWS_AFTER_GROW,
    DROP_UNKNOWN_COMPATIBLE,
    FLAG_WITHOUT_STREAM,
    STREAM_WITHOUT_FLAG,
    COMMIT_KEEPS_BITS,
    COMMIT_COPIES_NOTHING,
    COMMIT_TO_SHORT_BACKING,
    TORN_SECTOR,
    LOSE_BITMAP_ON_CLOSE,
    DISCARD_DOES_NOT_ALLOCATE,
    ZERO_CLEARS_CLUSTER,
    ACCEPT_OUT_OF_RANGE,
    RANGE_SUM_WRAPS,
    WRITE_INTO_NEXT_CLUSTER,
    LOSE_ERROR_OF_COMMIT,
    CHANGE_BACKING,
    SHORT_BITMAP_AFTER_GROW,
    MISTAKES
};

struct file {
    uint8_t *bytes;
    uint64_t length;
};

static struct execution_watch watch;
static uint32_t events_before; /* of the watch, at the request before */
static uint32_t silent;        /* requests that were no event, opens and closes aside: a reopen is one event */
static uint32_t judging;       /* requests while the judge says that it works */

struct plain {
    struct adapter adapter;
    enum mistake mistake;
    char directory[SCRATCH_PATH_BYTES];
    struct addcow_header header;
    bool flag; /* all allocated */
    bool has_backing;
    uint64_t cluster;
    struct file metadata;
    struct file image;
    struct file backing;
    uint64_t writes; /* so far */
};

static struct plain *plain_of(struct adapter *adapter)
{
    return (struct plain *)adapter;
}

/* ---- Bits ---- */

static uint64_t bit_number(const struct plain *disk, uint64_t k)
{
    return disk->mistake == MOST_SIGNIFICANT_BIT_FIRST ? k / 8 * 8 + 7 - k % 8 : k;
}

static bool bit(const struct plain *disk, uint64_t k)
{
    uint64_t n = bit_number(disk, k);
    return disk->flag || (disk->metadata.bytes[disk->header.header_size + n / 8] >> n % 8 & 1) != 0;
}

static void set_bit(struct plain *disk, uint64_t k, bool value)
{
    uint64_t n = bit_number(disk, k);
    uint8_t *byte = &disk->metadata.bytes[disk->header.header_size + n / 8];
    *byte = (uint8_t)(value ? *byte | 1u << n % 8 : *byte & ~(1u << n % 8));
}

static uint64_t clusters(const struct plain *disk)
{
    return (disk->image.length + disk->cluster - 1) / disk->cluster;
}

static uint64_t cluster_end(const struct plain *disk, uint64_t k)
{
    uint64_t end = (k + 1) * disk->cluster;
    return end < disk->image.length ? end : disk->image.length;
}

/* ---- Requests ---- */

static uint8_t byte_at(const struct plain *disk, uint64_t i)
{
    if (bit(disk, i / disk->cluster) || disk->mistake == READ_IMAGE_WHILE_UNALLOCATED) {
        return disk->image.bytes[i];
    }
    if (i < disk->backing.length) {
        return disk->backing.bytes[i];
    }
    return disk->mistake == READ_GARBAGE_PAST_BACKING ? 0xEE : 0;
}

static void allocate(struct plain *disk, uint64_t k)
{
    for (uint64_t i = k * disk->cluster; i < cluster_end(disk, k); i++) {
        bool past = i >= disk->backing.length;
        disk->image.bytes[i] = past && disk->mistake == COPY_GARBAGE_PAST_BACKING ? 0xEE : byte_at(disk, i);
    }
    set_bit(disk, k + (disk->mistake == BIT_ONE_CLUSTER_LATE && k + 1 < clusters(disk)), true);
    if (disk->mistake == LOSE_NEIGHBOURING_BIT && k > 0 && k % 5 == 0) {
        set_bit(disk, k - 1, false);
    }
}

static bool in_range(const struct plain *disk, uint64_t offset, uint64_t length)
{
    if (disk->mistake == RANGE_SUM_WRAPS) {
        return offset + length <= disk->image.length;
    }
    return offset <= disk->image.length && length <= disk->image.length - offset;
}

static enum addcow_status refusal(const struct plain *disk)
{
    return disk->mistake == ACCEPT_OUT_OF_RANGE ? ADDCOW_OK : ADDCOW_RANGE;
}

static enum addcow_status plain_read(struct plain *disk, uint64_t offset, uint64_t length, void *buffer)
{
    uint8_t *out = buffer;
    if (!in_range(disk, offset, length)) {
        return refusal(disk);
    }
    for (uint64_t i = 0; offset + i < disk->image.length && i < length; i++) {
        uint64_t at = offset + i;
        bool allocated = bit(disk, at / disk->cluster);
        if (disk->mistake == LEAVE_BUFFER_WITHOUT_BACKING && !allocated && !disk->has_backing) {
            continue;
        }
        out[i] = byte_at(disk, at);
        if (disk->mistake == ZERO_WRONG_PART_OF_MIXED_READ && !allocated && at >= disk->backing.length && i >= 512) {
            out[i - 512] = 0;
        }
        if (disk->mistake == TORN_SECTOR && disk->writes % 16 == 15 && at % 512 >= 256 && i >= 512) {
            out[i] = out[i - 512];
        }
    }
    return ADDCOW_OK;
}

/* Allocates what a write to [offset, offset + length) of cluster k must, before the data is put. */
static void prepare_cluster(struct plain *disk, uint64_t k, uint64_t offset, uint64_t length)
{
    bool last = (k + 1) * disk->cluster >= offset + length;
    if (bit(disk, k) || (disk->mistake == MISS_LAST_CLUSTER && last && length > disk->cluster)) {
        return;
    }
    allocate(disk, k);
    if (disk->mistake == NO_HEAD && k * disk->cluster < offset) {
        memset(disk->image.bytes + k * disk->cluster, 0, (size_t)(offset - k * disk->cluster));
    }
    if (disk->mistake == NO_TAIL && cluster_end(disk, k) > offset + length) {
        memset(disk->image.bytes + offset + length, 0, (size_t)(cluster_end(disk, k) - offset - length));
    }
}

/* The last cluster is written whole, though it is not. */
static void grow_to_cluster(struct plain *disk)
{
    uint64_t length = clusters(disk) * disk->cluster;
    disk->image.bytes = realloc(disk->image.bytes, (size_t)length);
    memset(disk->image.bytes + disk->image.length, 0, (size_t)(length - disk->image.length));
    disk->image.length = length;
}

static enum addcow_status put(struct plain *disk, uint64_t offset, uint64_t length, const uint8_t *data)
{
    if (!in_range(disk, offset, length) || offset > disk->image.length || length > disk->image.length - offset) {
        return in_range(disk, offset, length) ? ADDCOW_OK : refusal(disk);
    }
    if (length == 0 && disk->mistake == ZERO_LENGTH_ALLOCATES && offset < disk->image.length) {
        prepare_cluster(disk, offset / disk->cluster, offset, 0);
    }
    for (uint64_t k = offset / disk->cluster; length > 0 && k * disk->cluster < offset + length; k++) {
        bool copied_late = disk->mistake == COPY_OVER_DATA && !bit(disk, k);
        prepare_cluster(disk, k, offset, length);
        disk->writes++;
        uint64_t begin = k * disk->cluster > offset ? k * disk->cluster : offset;
        uint64_t end = cluster_end(disk, k) < offset + length ? cluster_end(disk, k) : offset + length;
        if (copied_late || (disk->mistake == LOSE_EVERY_TENTH_WRITE && disk->writes % 10 == 0)) {
            continue;
        }
        for (uint64_t i = begin; i < end; i++) {
            disk->image.bytes[i] = data == NULL ? 0 : data[i - offset];
        }
        if (disk->mistake == WRITE_INTO_NEXT_CLUSTER && end % disk->cluster == 0 && end < disk->image.length) {
            disk->image.bytes[end] = 0x11;
        }
        if (disk->mistake == GROW_IMAGE_ON_LAST_CLUSTER && k + 1 == clusters(disk)) {
            grow_to_cluster(disk);
        }
        if (disk->mistake == CHANGE_BACKING && begin < disk->backing.length) {
            disk->backing.bytes[begin] ^= 1;
        }
    }
    return ADDCOW_OK;
}

static enum addcow_status plain_zero(struct plain *disk, uint64_t offset, uint64_t length)
{
    if (disk->mistake == ZERO_CLEARS_CLUSTER && in_range(disk, offset, length) && length > 0) {
        uint64_t k = offset / disk->cluster;
        return put(disk, k * disk->cluster, cluster_end(disk, k) - k * disk->cluster, NULL);
    }
    return put(disk, offset, length, NULL);
}

static enum addcow_status plain_discard(struct plain *disk, uint64_t offset, uint64_t length)
{
    if (disk->mistake == DISCARD_DOES_NOT_ALLOCATE && in_range(disk, offset, length) && length > 0 &&
        !bit(disk, offset / disk->cluster)) {
        return ADDCOW_OK;
    }
    return put(disk, offset, length, NULL);
}

static enum addcow_status plain_map(struct plain *disk, uint64_t offset, uint64_t length, bool *allocated,
                                    uint64_t *run)
{
    if (!in_range(disk, offset, length)) {
        return refusal(disk);
    }
    *allocated = false;
    *run = 0;
    if (length == 0 || offset >= disk->image.length) {
        return ADDCOW_OK;
    }
    uint64_t k = offset / disk->cluster;
    *allocated = bit(disk, k) != (disk->mistake == MAP_INVERTED);
    while (k * disk->cluster < offset + length && bit(disk, k) == bit(disk, offset / disk->cluster)) {
        k++;
        if (disk->mistake == MAP_ONE_CLUSTER) {
            break;
        }
    }
    uint64_t end = k * disk->cluster < offset + length ? k * disk->cluster : offset + length;
    *run = end - offset - (disk->mistake == MAP_SECTOR_SHORT && end - offset > 512 ? 512 : 0);
    return ADDCOW_OK;
}

/* ---- Whole-disk operations ---- */

static void set_length(struct file *file, uint64_t length)
{
    uint8_t *bytes = report_allocate(length, 1);
    memcpy(bytes, file->bytes, (size_t)(length < file->length ? length : file->length));
    free(file->bytes);
    *file = (struct file){bytes, length};
}

static void grow(struct plain *disk, uint64_t new_size)
{
    uint64_t old_size = disk->image.length;
    uint64_t needed = addcow_file_length(&disk->header, new_size);
    if (needed > disk->metadata.length) {
        set_length(&disk->metadata, needed);
        disk->metadata.length -= disk->mistake == SHORT_BITMAP_AFTER_GROW;
    }
    uint8_t *kept = report_allocate(new_size, 1);
    for (uint64_t i = 0; i < old_size; i++) {
        kept[i] = byte_at(disk, i);
    }
    uint64_t old_clusters = clusters(disk);
    set_length(&disk->image, new_size);
    if (disk->mistake == OLD_BYTES_AFTER_SHRINK_AND_GROW && disk->writes > 3) {
        memset(disk->image.bytes + old_size, 0x22, (size_t)(new_size - old_size));
    }
    for (uint64_t k = old_size / disk->cluster; k < clusters(disk); k++) {
        uint64_t begin = k * disk->cluster > old_size ? k * disk->cluster : old_size;
        bool shows = begin < disk->backing.length && begin < new_size && disk->mistake != BACKING_SHOWS_AFTER_GROW;
        if (disk->flag || (shows && !(k < old_clusters && bit(disk, k)))) {
            for (uint64_t i = k * disk->cluster; shows && i < cluster_end(disk, k); i++) {
                disk->image.bytes[i] = i < old_size ? kept[i] : disk->image.bytes[i];
            }
            set_bit(disk, k, true);
        }
    }
    free(kept);
}

static void shrink(struct plain *disk, uint64_t new_size)
{
    uint64_t old_clusters = clusters(disk);
    set_length(&disk->image, new_size);
    for (uint64_t k = clusters(disk); k < old_clusters && disk->mistake != STALE_BITS_AFTER_SHRINK; k++) {
        set_bit(disk, k, false);
    }
}

static enum addcow_status plain_resize(struct plain *disk, uint64_t new_size)
{
    if (new_size > ADDCOW_SIZE_MAX) {
        return ADDCOW_RANGE;
    }
    if (new_size > disk->image.length) {
        grow(disk, new_size);
    } else {
        shrink(disk, new_size);
    }
    return ADDCOW_OK;
}

static void store_flag(struct plain *disk, bool flag)
{
    disk->flag = flag;
    if (disk->header.layout == ADDCOW_R20) {
        uint8_t *field = disk->metadata.bytes + ADDCOW_COMPATIBLE_OFFSET;
        field[0] = (uint8_t)((field[0] & ~1u) | flag);
        if (disk->mistake == DROP_UNKNOWN_COMPATIBLE) {
            memset(field + 1, 0, 7);
        }
    }
}

static enum addcow_status plain_stream(struct plain *disk)
{
    for (uint64_t k = 0; k < clusters(disk) && disk->mistake != FLAG_WITHOUT_STREAM; k++) {
        if (!bit(disk, k)) {
            allocate(disk, k);
        }
    }
    if (disk->header.layout == ADDCOW_R20 && disk->mistake != STREAM_WITHOUT_FLAG) {
        store_flag(disk, true);
    }
    return ADDCOW_OK;
}

static enum addcow_status plain_commit(struct plain *disk)
{
    if (!disk->has_backing) {
        return disk->mistake == LOSE_ERROR_OF_COMMIT ? ADDCOW_OK : ADDCOW_UNSUPPORTED;
    }
    for (uint64_t k = 0; k < clusters(disk); k++) {
        if (bit(disk, k) && cluster_end(disk, k) > disk->backing.length && disk->mistake != COMMIT_TO_SHORT_BACKING) {
            return ADDCOW_RANGE;
        }
    }
    for (uint64_t k = 0; k < clusters(disk); k++) {
        uint64_t begin = k * disk->cluster;
        uint64_t end = cluster_end(disk, k);
        if (bit(disk, k) && disk->mistake != COMMIT_COPIES_NOTHING) {
            for (uint64_t i = begin; i < end && i < disk->backing.length; i++) {
                disk->backing.bytes[i] = disk->image.bytes[i];
            }
        }
    }
    store_flag(disk, false);
    for (uint64_t k = 0; k < clusters(disk) && disk->mistake != COMMIT_KEEPS_BITS; k++) {
        set_bit(disk, k, false);
    }
    return ADDCOW_OK;
}

static enum addcow_status plain_perform(struct adapter *adapter, struct operation_request *request,
                                        struct addcow_error *error)
{
    judging += watch.judging;
    silent += watch.events == events_before;
    events_before = watch.events;
    struct plain *disk = plain_of(adapter);
    uint64_t offset = request->offset;
    uint64_t length = request->length;
    (void)error;
    switch (request->operation) {
    case OPERATION_READ:
        return plain_read(disk, offset, length, request->buffer);
    case OPERATION_WRITE:
        return put(disk, offset, length, request->data);
    case OPERATION_ZERO:
        return plain_zero(disk, offset, length);
    case OPERATION_DISCARD:
        return plain_discard(disk, offset, length);
    case OPERATION_MAP:
        return plain_map(disk, offset, length, &request->allocated, &request->map_length);
    case OPERATION_RESIZE:
        return plain_resize(disk, offset);
    case OPERATION_STREAM:
        return plain_stream(disk);
    case OPERATION_COMMIT:
        return plain_commit(disk);
    default:
        return ADDCOW_OK; /* a flush: there is no power failure here */
    }
}

/* ---- Files ---- */

static void load(const struct plain *disk, const char *name, struct file *file)
{
    assert_true(disk_files_load(disk->directory, name, &file->bytes, &file->length));
}

static enum addcow_status plain_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                     struct addcow_error *error)
{
    judging += watch.judging;
    struct plain *disk = plain_of(adapter);
    (void)flags;
    (void)error;
    snprintf(disk->directory, sizeof disk->directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    load(disk, DISK_METADATA, &disk->metadata);
    load(disk, DISK_IMAGE, &disk->image);
    enum addcow_rule rule = addcow_decode(disk->metadata.bytes, disk->metadata.length, &disk->header);
    assert_int_equal(rule, ADDCOW_RULE_NONE);
    disk->cluster = (uint64_t)1 << disk->header.cluster_bits;
    disk->flag = (disk->header.compatible_features & ADDCOW_ALL_ALLOCATED) != 0;
    disk->has_backing = disk->header.backing_size > 0;
    disk->backing = (struct file){.bytes = NULL};
    if (disk->has_backing) {
        load(disk, DISK_BASE, &disk->backing);
    }
    return ADDCOW_OK;
}

static enum addcow_status plain_close(struct adapter *adapter, struct addcow_error *error)
{
    judging += watch.judging;
    struct plain *disk = plain_of(adapter);
    struct disk_files files = {.count = disk->has_backing ? 3u : 2u};
    (void)error;
    if (disk->mistake == LOSE_BITMAP_ON_CLOSE) {
        memset(disk->metadata.bytes + disk->header.header_size, 0, 1);
    }
    snprintf(files.list[0].name, sizeof files.list[0].name, DISK_METADATA);
    snprintf(files.list[1].name, sizeof files.list[1].name, DISK_IMAGE);
    snprintf(files.list[2].name, sizeof files.list[2].name, DISK_BASE);
    const struct file *open[] = {&disk->metadata, &disk->image, &disk->backing};
    for (unsigned i = 0; i < files.count; i++) {
        files.list[i].bytes = open[i]->bytes;
        files.list[i].length = open[i]->length;
    }
    disk_files_store(&files, disk->directory);
    disk_files_free(&files);
    return ADDCOW_OK;
}

static uint64_t plain_size(struct adapter *adapter)
{
    judging += watch.judging;
    return plain_of(adapter)->image.length;
}

static const struct adapter_ops plain_ops = {
    .open = plain_open,
    .close = plain_close,
    .size = plain_size,
    .perform = plain_perform,
};

/* ---- Tests ---- */

static struct trace trace;
static char directory[SCRATCH_PATH_BYTES];

static bool accepted(struct adapter *adapter, uint64_t seed, FILE *out)
{
    struct differential_counts counts = {.traces = 0};
    struct generate_options options = {
        .threads = 1, .operations = 60, .cluster_bits = seed % 4 == 0 ? 16 : (uint32_t)(12 + seed % 3)};
    generate_trace(seed, &options, &trace);
    trace.disk.chain = 0;
    return differential_judge(&trace, adapter, directory, &watch, &counts, out);
}

static void test_accepts_correct_answers(void **state)
{
    struct plain disk = {.adapter = {&plain_ops, "plain"}, .mistake = NO_MISTAKE};
    (void)state;
    for (uint64_t seed = 0; seed < CORRECT_SEEDS; seed++) {
        assert_true(accepted(&disk.adapter, seed, stderr));
    }
}

/* Who watches must not take many short requests for one that hangs, nor the judge for the implementation. */
static void test_every_request_is_an_event(void **state)
{
    struct plain disk = {.adapter = {&plain_ops, "plain"}, .mistake = NO_MISTAKE};
    (void)state;
    silent = judging = 0;
    for (uint64_t seed = 0; seed < CORRECT_SEEDS; seed++) {
        assert_true(accepted(&disk.adapter, seed, stderr));
    }
    assert_int_equal(silent, 0);
    assert_int_equal(judging, 0);
    assert_true(watch.judging);
}

static void test_accepts_the_engines(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct adapter *adapter = adapter_make(i == 0 ? "ref" : "fast", NULL);
        for (uint64_t seed = 0; seed < CORRECT_SEEDS; seed++) {
            assert_true(accepted(adapter, seed, stderr));
        }
        adapter->ops->destroy(adapter);
    }
}

static void test_rejects_every_mistake(void **state)
{
    (void)state;
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    for (int mistake = NO_MISTAKE + 1; mistake < MISTAKES; mistake++) {
        struct plain disk = {.adapter = {&plain_ops, "plain"}, .mistake = (enum mistake)mistake};
        uint64_t seed = 0;
        while (seed < SEEDS && accepted(&disk.adapter, seed, out)) {
            seed++;
        }
        if (seed == SEEDS) {
            fail_msg("mistake %d is accepted", mistake);
        }
    }
    fclose(out);
}

static int make_directory(void **state)
{
    (void)state;
    /* In memory if possible: every workload ends with syncs. */
    return scratch_make(scratch_fast_parent(), "addcow-judge", directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_correct_answers),
        cmocka_unit_test(test_every_request_is_an_event),
        cmocka_unit_test(test_accepts_the_engines),
        cmocka_unit_test(test_rejects_every_mistake),
    };
    return cmocka_run_group_tests_name("differential", tests, make_directory, remove_directory);
}

/*
 * The disk in memory against a naive model that is written differently: the model keeps the virtual disk as plain bytes
 * and a flag a cluster, moves every byte by itself, and knows neither bitmap nor copy on write.
 *
 * Random workloads run on both with a fixed seed; after every operation the whole disk is compared. Hand-made cases
 * nail the corners that the defects of earlier implementations sat in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "addcow_ref.h"

#define CAPACITY_MAX (20u * 4096)
#define CLUSTERS_MAX 32

struct model {
    uint8_t virt[CAPACITY_MAX];
    uint8_t backing[CAPACITY_MAX];
    uint8_t allocated[CLUSTERS_MAX]; /* the bit; under `flag` every cluster counts as allocated */
    uint64_t size, capacity, backing_size, cluster;
    int has_backing, flag;
};

struct pair {
    struct addcow_ref ref;
    struct model model;
    uint8_t before[CAPACITY_MAX]; /* the image before the operation */
};

static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % bound;
}

static uint64_t clusters_of(const struct model *model)
{
    uint64_t count = 0;
    while (count * model->cluster < model->size) {
        count++;
    }
    return count;
}

static int bit_of(const struct addcow_ref *ref, uint64_t k)
{
    return ref->bitmap[k >> 3] >> (k & 7) & 1;
}

/* A disk of `size` bytes whose image is full of rubbish that no one must see. The arrays have exactly their size. */
static struct pair *pair_new(uint64_t size, uint64_t capacity, uint64_t cluster, int has_backing, uint64_t backing_size)
{
    struct pair *pair = calloc(1, sizeof *pair);
    struct model *model = &pair->model;
    size_t bytes = (size_t)((capacity + cluster - 1) / cluster + 7) / 8;
    assert_non_null(pair);
    model->size = size;
    model->capacity = capacity;
    model->cluster = cluster;
    model->has_backing = has_backing;
    model->backing_size = backing_size;
    for (uint64_t i = 0; i < backing_size; i++) {
        model->backing[i] = (uint8_t)(1 + i % 251);
    }
    memcpy(model->virt, model->backing, (size_t)(size < backing_size ? size : backing_size));
    pair->ref = (struct addcow_ref){.image = malloc((size_t)(capacity + 1)),
                                    .bitmap = calloc(1, bytes + 1),
                                    .backing = malloc((size_t)(backing_size + 1)),
                                    .size = size,
                                    .capacity = capacity,
                                    .backing_size = backing_size,
                                    .cluster_size = cluster,
                                    .has_backing = (uint32_t)has_backing};
    assert_true(pair->ref.image && pair->ref.bitmap && pair->ref.backing);
    memset(pair->ref.image, 0xEE, (size_t)capacity);
    memcpy(pair->ref.backing, model->backing, (size_t)backing_size);
    return pair;
}

static void pair_free(struct pair *pair)
{
    free(pair->ref.image);
    free(pair->ref.bitmap);
    free(pair->ref.backing);
    free(pair);
}

/* ---- The model ---- */

static void model_write(struct model *model, uint64_t offset, uint64_t length, const uint8_t *data)
{
    for (uint64_t i = 0; i < length; i++) {
        model->virt[offset + i] = data ? data[i] : 0;
        if (!model->flag) {
            model->allocated[(offset + i) / model->cluster] = 1;
        }
    }
}

static void model_resize(struct model *model, uint64_t size)
{
    uint64_t old = model->size;
    uint64_t old_clusters = clusters_of(model);
    for (uint64_t i = old; i < size; i++) {
        model->virt[i] = 0;
        if (i / model->cluster >= old_clusters) {
            model->allocated[i / model->cluster] = model->flag ? 1 : 0;
        }
    }
    for (uint64_t i = old; i < size && i < model->backing_size; i++) {
        if (!model->flag) {
            model->allocated[i / model->cluster] = 1;
        }
    }
    model->size = size;
}

static enum addcow_status model_commit(struct model *model)
{
    if (!model->has_backing) {
        return ADDCOW_UNSUPPORTED;
    }
    for (uint64_t i = 0; i < model->size; i++) {
        if ((model->flag || model->allocated[i / model->cluster]) && i >= model->backing_size) {
            return ADDCOW_RANGE;
        }
    }
    for (uint64_t i = 0; i < model->size; i++) {
        if (model->flag || model->allocated[i / model->cluster]) {
            model->backing[i] = model->virt[i];
        }
    }
    memset(model->allocated, 0, sizeof model->allocated);
    model->flag = 0;
    return ADDCOW_OK;
}

/* ---- Comparing ---- */

/* VRT-02, WR-02, WR-05: contents, bits, backing file, and the image where clusters are allocated. */
static void compare(const struct pair *pair)
{
    static uint8_t buffer[CAPACITY_MAX];
    const struct model *model = &pair->model;
    assert_true(pair->ref.size == model->size);
    assert_int_equal(addcow_ref_read(&pair->ref, 0, model->size, buffer), ADDCOW_OK);
    assert_memory_equal(buffer, model->virt, (size_t)model->size);
    assert_memory_equal(pair->ref.backing, model->backing, (size_t)model->backing_size);
    assert_int_equal(pair->ref.all_allocated, model->flag);
    for (uint64_t k = 0; k < clusters_of(model); k++) {
        assert_int_equal(bit_of(&pair->ref, k), model->allocated[k]);
    }
    for (uint64_t i = 0; i < model->size; i++) {
        if (model->flag || model->allocated[i / model->cluster]) {
            assert_int_equal(pair->ref.image[i], model->virt[i]);
        }
    }
}

/* MAP-01: byte by byte, the run ends where the status does. */
static void compare_map(const struct pair *pair, uint64_t offset, uint64_t length)
{
    const struct model *model = &pair->model;
    uint32_t allocated = 9;
    uint64_t run = 0, expected = 0;
    assert_int_equal(addcow_ref_map(&pair->ref, offset, length, &allocated, &run), ADDCOW_OK);
    if (length == 0) {
        assert_true(allocated == 0 && run == 0);
        return;
    }
    assert_int_equal(allocated, model->flag || model->allocated[offset / model->cluster]);
    while (expected < length &&
           (model->flag || model->allocated[(offset + expected) / model->cluster]) == (int)allocated) {
        expected++;
    }
    assert_true(run == expected);
}

/* WR-05: image bytes of clusters that the range does not meet are as they were. */
static void compare_untouched(const struct pair *pair, uint64_t offset, uint64_t length)
{
    const struct model *model = &pair->model;
    for (uint64_t i = 0; i < model->capacity; i++) {
        uint64_t k = i / model->cluster;
        int met = length > 0 && k >= offset / model->cluster && k <= (offset + length - 1) / model->cluster;
        if (!met || i >= model->size) {
            assert_int_equal(pair->ref.image[i], pair->before[i]);
        }
    }
}

/* ---- Random workloads ---- */

static void random_request(struct pair *pair)
{
    static uint8_t data[CAPACITY_MAX];
    struct model *model = &pair->model;
    uint64_t offset = random_below(model->size + 1);
    uint64_t length = random_below(model->size - offset + 1);
    if (random_below(2)) {
        length %= 2 * model->cluster;
    }
    if (random_below(3) == 0) {
        offset -= offset % 512;
    }
    for (uint64_t i = 0; i < length; i++) {
        data[i] = (uint8_t)random_below(256);
    }
    memcpy(pair->before, pair->ref.image, (size_t)model->capacity);
    switch (random_below(4)) {
    case 0:
        assert_int_equal(addcow_ref_zero(&pair->ref, offset, length), ADDCOW_OK);
        model_write(model, offset, length, NULL);
        break;
    case 1:
        assert_int_equal(addcow_ref_discard(&pair->ref, offset, length), ADDCOW_OK);
        model_write(model, offset, length, NULL);
        break;
    default:
        assert_int_equal(addcow_ref_write(&pair->ref, offset, length, data), ADDCOW_OK);
        model_write(model, offset, length, data);
        break;
    }
    compare_untouched(pair, offset, length);
    compare_map(pair, offset, length);
    compare_map(pair, 0, model->size);
}

static void random_maintenance(struct pair *pair)
{
    struct model *model = &pair->model;
    uint64_t size = random_below(model->capacity + 1);
    switch (random_below(8)) {
    case 0:
        addcow_ref_stream(&pair->ref, 1);
        model->flag = 1;
        memset(model->allocated, 1, (size_t)clusters_of(model));
        break;
    case 1:
        addcow_ref_stream(&pair->ref, 0);
        memset(model->allocated, 1, (size_t)clusters_of(model));
        break;
    case 2:
        assert_int_equal(addcow_ref_commit(&pair->ref), model_commit(model));
        break;
    default:
        if (random_below(3) == 0) {
            size -= size % model->cluster;
        }
        assert_int_equal(addcow_ref_resize(&pair->ref, size), ADDCOW_OK);
        model_resize(model, size);
        break;
    }
}

/* RD-01, WR, ZR-01, DC-01, MAP-01, RSZ, STR, CMT on odd and small sizes; backing absent, shorter, longer. */
static void random_workloads(void **state)
{
    (void)state;
    random_state = 1;
    for (int round = 0; round < 150; round++) {
        uint64_t cluster = 4096u << random_below(3);
        uint64_t capacity = 1 + random_below(CAPACITY_MAX - 1);
        int has_backing = random_below(4) != 0;
        uint64_t backing_size = has_backing ? random_below(CAPACITY_MAX) : 0;
        struct pair *pair = pair_new(random_below(capacity + 1), capacity, cluster, has_backing, backing_size);
        compare(pair);
        for (int step = 0; step < 30; step++) {
            if (random_below(4) == 0) {
                random_maintenance(pair);
            } else {
                random_request(pair);
            }
            compare(pair);
        }
        pair_free(pair);
    }
}

/* ---- Corners ---- */

/* REQ-01, REQ-02, MAP-03 */
static void range_edges(void **state)
{
    struct pair *pair = pair_new(10000, 10000, 4096, 1, 5000);
    struct addcow_ref *ref = &pair->ref;
    uint8_t byte = 7;
    uint32_t allocated = 5;
    uint64_t run = 6;
    (void)state;
    assert_int_equal(addcow_ref_read(ref, 10000, 0, &byte), ADDCOW_OK);
    assert_int_equal(addcow_ref_read(ref, 9999, 1, &byte), ADDCOW_OK);
    assert_int_equal(addcow_ref_read(ref, 10000, 1, &byte), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_read(ref, 10001, 0, &byte), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_write(ref, 9999, 2, &byte), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_write(ref, 1, UINT64_MAX, &byte), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_write(ref, UINT64_MAX, 2, &byte), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_zero(ref, UINT64_MAX, UINT64_MAX), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_discard(ref, 10001, 0), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_map(ref, 10000, 1, &allocated, &run), ADDCOW_RANGE);
    assert_true(allocated == 5 && run == 6);
    assert_int_equal(addcow_ref_map(ref, 10000, 0, &allocated, &run), ADDCOW_OK);
    assert_true(allocated == 0 && run == 0);
    assert_int_equal(addcow_ref_write(ref, 10000, 0, NULL), ADDCOW_OK);
    assert_int_equal(addcow_ref_write(ref, 5000, 0, NULL), ADDCOW_OK);
    compare(pair);
    pair_free(pair);
}

/* Section 16: a write of 512 bytes at 66048 with 64 KiB clusters sets bit 1 and copies up what is around it. */
static void worked_example(void **state)
{
    struct pair *pair = pair_new(80000, 80000, 65536, 1, 70000);
    uint8_t data[512];
    (void)state;
    memset(data, 0xAB, sizeof data);
    memcpy(pair->before, pair->ref.image, 80000);
    assert_int_equal(addcow_ref_write(&pair->ref, 66048, 512, data), ADDCOW_OK);
    model_write(&pair->model, 66048, 512, data);
    assert_int_equal(pair->ref.bitmap[0], 2);
    assert_memory_equal(pair->ref.image, pair->before, 65536);
    assert_memory_equal(pair->ref.image + 65536, pair->model.backing + 65536, 512);
    assert_memory_equal(pair->ref.image + 66048, data, 512);
    assert_memory_equal(pair->ref.image + 66560, pair->model.backing + 66560, 70000 - 66560);
    for (size_t i = 70000; i < 80000; i++) { /* WR-03 past the end of the backing file, WR-04 up to that of the image */
        assert_int_equal(pair->ref.image[i], 0);
    }
    compare(pair);
    pair_free(pair);
}

/* VRT-04: under "all allocated" the bits are not used, and a write leaves them alone. */
static void all_allocated_ignores_bits(void **state)
{
    struct pair *pair = pair_new(20000, 20000, 4096, 1, 20000);
    uint8_t data[100], seen[100];
    uint32_t allocated;
    uint64_t run;
    (void)state;
    memset(data, 3, sizeof data);
    pair->ref.all_allocated = 1;
    assert_int_equal(addcow_ref_write(&pair->ref, 5000, 100, data), ADDCOW_OK);
    assert_int_equal(pair->ref.bitmap[0], 0);
    assert_int_equal(addcow_ref_read(&pair->ref, 4999, 100, seen), ADDCOW_OK);
    assert_int_equal(seen[0], 0xEE);
    assert_memory_equal(seen + 1, data, 99);
    assert_int_equal(addcow_ref_map(&pair->ref, 1, 19999, &allocated, &run), ADDCOW_OK);
    assert_true(allocated == 1 && run == 19999);
    addcow_ref_stream(&pair->ref, 1); /* VRT-05: the bits follow, the contents stay */
    assert_int_equal(pair->ref.bitmap[0], 0x1F);
    assert_int_equal(addcow_ref_read(&pair->ref, 4999, 100, seen), ADDCOW_OK);
    assert_memory_equal(seen + 1, data, 99);
    pair_free(pair);
}

/* RSZ-02, RSZ-03, RSZ-06, RSZ-09, BMP-05 */
static void resize_corners(void **state)
{
    struct pair *pair = pair_new(5000, 40000, 4096, 1, 30000);
    struct addcow_ref *ref = &pair->ref;
    (void)state;
    assert_int_equal(addcow_ref_resize(ref, ADDCOW_SIZE_MAX + 1), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_resize(ref, UINT64_MAX), ADDCOW_RANGE);
    assert_int_equal(addcow_ref_resize(ref, 40001), ADDCOW_NOSPACE);
    compare(pair);
    ref->bitmap[0] = 0xFC; /* bits past the end, as a crash may leave them */
    ref->bitmap[1] = 0xFF;
    assert_int_equal(addcow_ref_resize(ref, 36865), ADDCOW_OK);
    model_resize(&pair->model, 36865);
    assert_int_equal(ref->bitmap[0], 0xFE); /* clusters 1..7 meet [5000, 30000) */
    assert_int_equal(ref->bitmap[1], 0);
    compare(pair);
    assert_int_equal(addcow_ref_resize(ref, 4097), ADDCOW_OK);
    model_resize(&pair->model, 4097);
    assert_int_equal(ref->bitmap[0], 2);
    compare(pair);
    assert_int_equal(addcow_ref_resize(ref, 0), ADDCOW_OK);
    assert_int_equal(ref->bitmap[0], 0);
    assert_int_equal(addcow_ref_resize(ref, 40000), ADDCOW_OK);
    model_resize(&pair->model, 0);
    model_resize(&pair->model, 40000);
    compare(pair);
    pair_free(pair);
}

/* CMT-02: one byte short is refused before anything changes; just long enough is not. */
static void commit_corners(void **state)
{
    uint8_t data[3] = {1, 2, 3};
    (void)state;
    for (uint64_t backing_size = 8189; backing_size <= 8192; backing_size++) {
        struct pair *pair = pair_new(8191, 8191, 4096, 1, backing_size);
        assert_int_equal(addcow_ref_write(&pair->ref, 5000, 3, data), ADDCOW_OK);
        model_write(&pair->model, 5000, 3, data);
        assert_int_equal(addcow_ref_commit(&pair->ref), backing_size < 8191 ? ADDCOW_RANGE : ADDCOW_OK);
        assert_int_equal(model_commit(&pair->model), backing_size < 8191 ? ADDCOW_RANGE : ADDCOW_OK);
        compare(pair);
        pair_free(pair);
    }
    struct pair *alone = pair_new(8191, 8191, 4096, 0, 0);
    assert_int_equal(addcow_ref_commit(&alone->ref), ADDCOW_UNSUPPORTED);
    pair_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_workloads), cmocka_unit_test(range_edges),
        cmocka_unit_test(worked_example),   cmocka_unit_test(all_allocated_ignores_bits),
        cmocka_unit_test(resize_corners),   cmocka_unit_test(commit_corners),
    };
    return cmocka_run_group_tests_name("ref disk", tests, NULL, NULL);
}

/*
 * A whole hostile metadata file, with an image and a backing file of any length: it is opened, checked, and used by both engines, which must agree.
 *
 * The trace of the input gives the lengths of the two files and the requests. What the disk is at the start is what the reference engine makes of the
 * bytes.
 */
#include "hostile.h"

#include "files.h"
#include "report.h"
#include "sim_disk.h"
#include "stamp.h"

#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX (1u << 20)

/* The disk twice: an engine with the files open, and the reference engine with copies of them. */
struct pair {
    struct addcow *fast;
    struct addcow_ref ref;
    uint8_t *got;
    uint8_t *expected;
};

static uint8_t *copy_of(const uint8_t *bytes, uint64_t length, uint64_t room)
{
    uint8_t *copy = report_allocate(room > 0 ? room : 1, 1);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

static void make_ref(const struct hostile *hostile, struct addcow_ref *ref)
{
    struct sim_disk disk;
    char problem[256];
    fuzz_demand(sim_disk_open(hostile->sim, &disk, problem, sizeof problem), problem);
    *ref = disk.ref;
    uint64_t bitmap = addcow_bitmap_bytes(ref->size, ref->cluster_size);
    ref->image = copy_of(disk.ref.image, ref->size, ref->size);
    ref->bitmap = copy_of(disk.ref.bitmap, bitmap, bitmap);
    ref->backing = copy_of(disk.ref.backing, ref->backing_size, ref->backing_size);
    sim_disk_close(&disk);
}

static void free_ref(struct addcow_ref *ref)
{
    free(ref->image);
    free(ref->bitmap);
    free(ref->backing);
}

static void judge_map(struct pair *pair, const struct trace_operation *operation)
{
    bool allocated = false;
    uint64_t run = 0;
    uint32_t ref_allocated = 0;
    uint64_t ref_run = 0;
    enum addcow_class code = addcow_map(pair->fast, operation->offset, operation->length, &allocated, &run, NULL);
    enum addcow_class expected =
        addcow_ref_map(&pair->ref, operation->offset, operation->length, &ref_allocated, &ref_run);
    fuzz_demand(code == expected, "map succeeds alike");
    fuzz_demand(code != ADDCOW_OK || (allocated == (ref_allocated != 0) && run == ref_run), "map answers alike");
}

static void judge_request(struct pair *pair, const struct trace_operation *operation, uint32_t index)
{
    uint64_t offset = operation->offset;
    uint64_t length = operation->length;
    enum addcow_class code = ADDCOW_OK;
    enum addcow_class expected = ADDCOW_OK;
    if (length > REQUEST_MAX && length <= pair->ref.size) {
        return;
    }
    uint64_t known = length <= REQUEST_MAX ? length : 0;
    switch (operation->kind) {
    case TRACE_READ:
        code = addcow_read(pair->fast, offset, length, pair->got, NULL);
        expected = addcow_ref_read(&pair->ref, offset, length, pair->expected);
        fuzz_demand(code != ADDCOW_OK || memcmp(pair->got, pair->expected, known) == 0, "both read the same bytes");
        break;
    case TRACE_WRITE:
        stamp_fill((struct stamp){STAMP_WRITE, index}, offset <= STAMP_OFFSET_MAX / 2 ? offset : 0, pair->got, known);
        code = addcow_write(pair->fast, offset, length, pair->got, NULL);
        expected = addcow_ref_write(&pair->ref, offset, length, pair->got);
        break;
    case TRACE_ZERO:
        code = addcow_zero(pair->fast, offset, length, NULL);
        expected = addcow_ref_zero(&pair->ref, offset, length);
        break;
    case TRACE_DISCARD:
        code = addcow_discard(pair->fast, offset, length, NULL);
        expected = addcow_ref_discard(&pair->ref, offset, length);
        break;
    case TRACE_MAP:
        judge_map(pair, operation);
        break;
    case TRACE_FLUSH:
        code = addcow_flush(pair->fast, NULL);
        break;
    default:
        break;
    }
    fuzz_demand(code == expected, "both engines give a request the same class");
}

static void compare_files(const struct hostile *hostile, const struct addcow_ref *ref)
{
    struct sim_disk disk;
    char problem[256];
    fuzz_demand(sim_disk_open(hostile->sim, &disk, problem, sizeof problem), problem);
    fuzz_demand(disk.ref.size == ref->size, "the size is kept");
    uint8_t *bytes = report_allocate(2, ref->size > 0 ? ref->size : 1);
    addcow_ref_read(&disk.ref, 0, ref->size, bytes);
    addcow_ref_read(ref, 0, ref->size, bytes + ref->size);
    fuzz_demand(memcmp(bytes, bytes + ref->size, ref->size) == 0, "after the close both are the same disk");
    free(bytes);
    sim_disk_close(&disk);
}

static void use(const struct hostile *hostile, const struct trace *trace)
{
    struct pair pair = {.fast = hostile_open(hostile, ADDCOW_OPEN_READWRITE)};
    if (!pair.fast) {
        return;
    }
    make_ref(hostile, &pair.ref);
    pair.got = report_allocate(REQUEST_MAX, 1);
    pair.expected = report_allocate(REQUEST_MAX, 1);
    for (uint32_t i = 0; i < trace->count; i++) {
        judge_request(&pair, &trace->operations[i], i);
    }
    fuzz_demand(addcow_close(pair.fast, NULL) == ADDCOW_OK, "it closes");
    fuzz_demand(sim_open_files(hostile->sim) == 0, "a close leaves nothing open");
    compare_files(hostile, &pair.ref);
    free_ref(&pair.ref);
    free(pair.got);
    free(pair.expected);
}

static void ignore(void *context, const struct addcow_finding *finding)
{
    (void)context;
    fuzz_demand(finding->message != NULL && finding->clause != NULL, "a finding says what and why");
}

/* A check runs to its end whatever it finds, finds fault with what does not open, and its repairs leave nothing to repair. */
static void check(const struct hostile *hostile)
{
    struct addcow_check_result result;
    struct addcow_check_result again;
    struct addcow_error error;
    enum addcow_class code =
        addcow_check(FILES_METADATA, false, sim_storage(hostile->sim), ignore, NULL, &result, &error);
    fuzz_demand(code == ADDCOW_OK, error.message);
    fuzz_demand(hostile->opens || result.broken > 0, "what does not open is broken");
    code = addcow_check(FILES_METADATA, true, sim_storage(hostile->sim), ignore, NULL, &result, &error);
    fuzz_demand(code == ADDCOW_OK, error.message);
    code = addcow_check(FILES_METADATA, true, sim_storage(hostile->sim), ignore, NULL, &again, &error);
    fuzz_demand(code == ADDCOW_OK && again.repaired == 0, "what was repaired needs no repair");
    fuzz_demand(again.broken == result.broken, "what could not be repaired still stands");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_bounds bounds = {
        .threads = 1, .operations = 16, .cluster_bits = ADDCOW_CLUSTER_BITS_MAX, .clusters = 1};
    static struct trace trace;
    struct hostile hostile;
    struct fuzz_input input = fuzz_split(data, size);
    if (!fuzz_trace(&input, &bounds, &trace)) {
        return 0;
    }
    hostile_make(&input.parts[FUZZ_FILE], trace.disk.size, trace.disk.backing_size, &hostile);
    use(&hostile, &trace);
    sim_restore(hostile.sim);
    check(&hostile);
    hostile_free(&hostile);
    return 0;
}

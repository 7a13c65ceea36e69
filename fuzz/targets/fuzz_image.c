/*
 * Any metadata file, image and backing file: opened, checked and used by both engines, which must agree.
 *
 * The trace of the input gives the lengths of the two files and the requests. The initial disk is what the reference
 * engine reads from the bytes. Some fields of the trace's disk say more: unknown_compatible opens it read-only; the
 * seed decides whether stream and commit are stopped at a progress report, and whether the storage punches holes. A
 * reopen stands for another process that truncates the image. Two choices, if there are any, select a storage fault:
 * then everything is done once more, and must neither break the disk nor leave a file open.
 */
#include "addcow_ref.h"
#include "lib/storage_fault.h"
#include "lib/untrusted_image.h"

#include "adapters/adapter_fast.h"
#include "adapters/reference.h"
#include "workload/disk_files.h"
#include "base/report.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"

#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX (1u << 20)
#define GROWTH_MAX (64u << 10)
#define BYTES_MAX (160u << 10)

/* The disk twice: an engine with the files open, and the reference engine with copies of them. */
struct pair {
    const struct untrusted_image *untrusted;
    struct addcow *fast;
    struct addcow_ref ref;
    uint8_t *got;
    uint8_t *expected;
    bool read_only;
    bool stops;   /* stream and commit */
    bool stopped; /* so the allocated clusters are unknown */
    bool streamed;
    bool cut; /* the image was truncated from outside */
};

static uint8_t buffers[2][REQUEST_MAX];

static uint8_t *copy_of(const uint8_t *bytes, uint64_t length, uint64_t room)
{
    uint8_t *copy = report_allocate(room > 0 ? room : 1, 1);
    if (length > 0) {
        memcpy(copy, bytes, (size_t)length);
    }
    return copy;
}

/* With room to grow. */
static void make_ref(const struct untrusted_image *untrusted, struct addcow_ref *ref)
{
    struct sim_disk disk;
    char problem[256];
    fuzz_require(sim_disk_open(untrusted->sim, &disk, problem, sizeof problem), problem);
    *ref = disk.ref;
    ref->capacity = ref->size + GROWTH_MAX;
    ref->image = copy_of(disk.ref.image, ref->size, ref->capacity);
    ref->bitmap = copy_of(disk.ref.bitmap, addcow_bitmap_bytes(ref->size, ref->cluster_size),
                          addcow_bitmap_bytes(ref->capacity, ref->cluster_size));
    ref->backing = copy_of(disk.ref.backing, ref->backing_size, ref->backing_size);
    sim_disk_close(&disk);
}

static void free_ref(struct addcow_ref *ref)
{
    free(ref->image);
    free(ref->bitmap);
    free(ref->backing);
}

/* What of the extent is data: all else reads as zeros. */
static void judge_data(const struct pair *pair, const struct trace_operation *operation,
                       const struct addcow_extent *whole)
{
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    bool data = true;
    enum addcow_status code = addcow_map_data(pair->fast, operation->offset, operation->length, &extent, &data, NULL);
    fuzz_require(code == ADDCOW_OK && extent.length <= whole->length && (extent.length > 0) == (whole->length > 0),
                 "map_data has a run within that of map_chain");
    fuzz_require(extent.present == whole->present && extent.depth == whole->depth && (extent.present || !data),
                 "data is in the file that map_chain tells");
    for (uint64_t i = 0; i < extent.length && !data; i++) {
        uint8_t byte = 1;
        code = addcow_ref_read(&pair->ref, operation->offset + i, 1, &byte);
        fuzz_require(code == ADDCOW_OK && byte == 0, "what is no data reads as zeros");
    }
}

/* Where it comes from, down to the backing file. */
static void judge_extent(const struct pair *pair, const struct trace_operation *operation, bool allocated, uint64_t run)
{
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    enum addcow_status code = addcow_map_chain(pair->fast, operation->offset, operation->length, &extent, NULL);
    uint64_t left = operation->offset < pair->ref.backing_size ? pair->ref.backing_size - operation->offset : 0;
    fuzz_require(code == ADDCOW_OK && extent.length <= run, "map_chain succeeds and its run is within the run of map");
    if (run > 0) {
        fuzz_require(extent.present == (allocated || left > 0), "an extent is present exactly if a file supplies it");
        fuzz_require(extent.length == (allocated || left == 0 || left > run ? run : left),
                     "the extent has the longest possible length");
        fuzz_require(!extent.present || (extent.depth == !allocated && extent.file_offset == operation->offset),
                     "an extent comes from the image, or from the same offset below");
    }
    judge_data(pair, operation, &extent);
}

static void judge_map(struct pair *pair, const struct trace_operation *operation)
{
    bool allocated = false;
    uint64_t run = 0;
    uint32_t ref_allocated = 0;
    uint64_t ref_run = 0;
    enum addcow_status code = addcow_map(pair->fast, operation->offset, operation->length, &allocated, &run, NULL);
    enum addcow_status expected =
        addcow_ref_map(&pair->ref, operation->offset, operation->length, &ref_allocated, &ref_run);
    fuzz_require(code == expected, "map has the same status in both engines");
    if (code == ADDCOW_OK && !pair->stopped) {
        fuzz_require(allocated == (ref_allocated != 0) && run == ref_run, "map has the same answer in both engines");
        judge_extent(pair, operation, allocated, run);
    }
}

static void judge_read(struct pair *pair, const struct trace_operation *operation)
{
    uint64_t known = operation->length <= REQUEST_MAX ? operation->length : 0;
    enum addcow_status code = addcow_read(pair->fast, operation->offset, operation->length, pair->got, NULL);
    enum addcow_status expected = addcow_ref_read(&pair->ref, operation->offset, operation->length, pair->expected);
    fuzz_require(code == expected || (pair->cut && code == ADDCOW_IO), "a read has the same status in both engines");
    fuzz_require(code != ADDCOW_OK || memcmp(pair->got, pair->expected, (size_t)known) == 0,
                 "both read the same bytes");
}

/* A resize, a stream or a commit. */
static bool stop(void *context, uint64_t done, uint64_t total)
{
    struct pair *pair = context;
    fuzz_require(done <= total, "progress is at most the total");
    pair->stopped = pair->stopped || pair->stops;
    return !pair->stops;
}

static void judge_whole(struct pair *pair, enum addcow_status code, enum addcow_status expected)
{
    struct addcow_info info = ADDCOW_INFO_INIT;
    fuzz_require(code == expected || (pair->stopped && code == ADDCOW_IO),
                 "both engines do the same to the whole disk");
    addcow_get_info(pair->fast, &info);
    fuzz_require(info.virtual_size == pair->ref.size, "both have the same size");
    fuzz_require(pair->stopped || info.all_allocated == (pair->ref.all_allocated != 0), "both have the same flag");
}

static void judge_resize(struct pair *pair, uint64_t size)
{
    enum addcow_status expected = addcow_ref_resize(&pair->ref, size);
    if (expected == ADDCOW_NOSPACE) {
        fuzz_require(pair->ref.size != size, "a resize that is refused changes nothing");
        return;
    }
    judge_whole(pair, addcow_resize(pair->fast, size, NULL), expected);
}

static void judge_commit(struct pair *pair)
{
    bool unused = pair->ref.all_allocated && pair->untrusted->header.backing_size > 0;
    if (!unused && !pair->stopped) {
        enum addcow_status code = addcow_commit(pair->fast, stop, pair, NULL);
        judge_whole(pair, code, pair->stopped ? code : addcow_ref_commit(&pair->ref));
    }
}

static void judge_stream(struct pair *pair)
{
    enum addcow_status code = addcow_stream(pair->fast, stop, pair, NULL);
    if (code == ADDCOW_OK) {
        pair->streamed = true;
        addcow_ref_stream(&pair->ref, pair->untrusted->header.layout == ADDCOW_R20);
    }
    judge_whole(pair, code, ADDCOW_OK);
}

/* The operation as a request that both engines can perform. What it writes is a stamp. */
static struct operation_request make_request(struct pair *pair, const struct trace_operation *operation, uint32_t index)
{
    uint64_t offset = operation->offset <= STAMP_OFFSET_MAX / 2 ? operation->offset : 0;
    stamp_fill((struct stamp){STAMP_WRITE, index}, offset, pair->got,
               (size_t)(operation->length <= REQUEST_MAX ? operation->length : 0));
    return (struct operation_request){.operation = (enum operation)operation->kind,
                                      .offset = operation->offset,
                                      .length = operation->length,
                                      .data = pair->got};
}

static void judge_change(struct pair *pair, const struct trace_operation *operation, uint32_t index)
{
    struct operation_request request = make_request(pair, operation, index);
    enum addcow_status code = adapter_fast_request(pair->fast, &request, NULL);
    enum addcow_status expected = reference_perform(&pair->ref, pair->untrusted->header.layout == ADDCOW_R20, &request);
    fuzz_require(code == expected, "a request has the same status in both engines");
}

/* A disk opened read-only refuses requests that change it. */
static void judge_refusal(struct pair *pair, const struct trace_operation *operation, uint32_t index)
{
    struct operation_request request = make_request(pair, operation, index);
    fuzz_require(adapter_fast_request(pair->fast, &request, NULL) == ADDCOW_READONLY,
                 "a disk that was opened read-only is not changed (REQ-03)");
}

/* From now on only read: the specification does not define changes to an image that was truncated from outside. */
static void cut_image(struct pair *pair)
{
    struct addcow_storage *storage = sim_storage(pair->untrusted->sim);
    struct addcow_info info = ADDCOW_INFO_INIT;
    struct addcow_file *file;
    addcow_get_info(pair->fast, &info);
    if (storage->ops->open(storage, info.image_path, ADDCOW_FILE_READWRITE, &file) == 0) {
        file->ops->truncate(file, pair->ref.size / 2);
        file->ops->close(file);
        pair->cut = true;
    }
}

static void judge_request(struct pair *pair, const struct trace_operation *operation, uint32_t index)
{
    if (operation_has_range(operation->kind) && operation->length > REQUEST_MAX &&
        operation->length <= pair->ref.size) {
        return;
    }
    switch (operation->kind) {
    case OPERATION_READ:
        judge_read(pair, operation);
        break;
    case OPERATION_MAP:
        judge_map(pair, operation);
        break;
    case OPERATION_FLUSH:
        fuzz_require(addcow_flush(pair->fast, NULL) == ADDCOW_OK, "a flush succeeds");
        break;
    case OPERATION_RESIZE:
        judge_resize(pair, operation->offset);
        break;
    case OPERATION_STREAM:
        judge_stream(pair);
        break;
    case OPERATION_COMMIT:
        judge_commit(pair);
        break;
    case TRACE_REOPEN:
        cut_image(pair);
        break;
    case TRACE_BARRIER:
        break;
    default:
        judge_change(pair, operation, index);
    }
}

static bool changes(uint32_t kind)
{
    return operation_properties(kind)->changes != CHANGES_NOTHING || kind == TRACE_REOPEN; /* which cuts the image */
}

static void judge_requests(struct pair *pair, const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_operation *operation = &trace->operations[i];
        if (!changes(operation->kind) || !(pair->read_only || pair->cut)) {
            judge_request(pair, operation, i);
        } else if (!pair->cut && operation->kind < OPERATIONS) {
            judge_refusal(pair, operation, i);
        }
    }
}

/* Two handles may read, and one that writes is alone. */
static void judge_locks(const struct pair *pair)
{
    struct addcow_storage *storage = sim_storage(pair->untrusted->sim);
    struct addcow *other = NULL;
    enum addcow_status code = addcow_open(DISK_METADATA, ADDCOW_OPEN_READWRITE, storage, &other, NULL);
    fuzz_require(code == ADDCOW_BUSY, "a disk that is open is not opened for writing (LCK-01)");
    code = addcow_open(DISK_METADATA, ADDCOW_OPEN_READONLY, storage, &other, NULL);
    fuzz_require(code == (pair->read_only ? ADDCOW_OK : ADDCOW_BUSY), "readers share, a writer does not (LCK-01)");
    if (code == ADDCOW_OK) {
        addcow_close(other, NULL);
    }
}

/* A reader that knows nothing of "all allocated" must read the same (VRT-05). */
static bool has_every_bit(const struct addcow_ref *ref)
{
    uint64_t clusters = addcow_cluster_count(ref->size, ref->cluster_size);
    for (uint64_t k = 0; k < clusters; k++) {
        if (!(ref->bitmap[k / 8] & 1u << k % 8)) {
            return false;
        }
    }
    return true;
}

/* A bit past the last cluster may stay as it was only as long as nothing is written to its byte. */
static void judge_stray_bits(const struct untrusted_image *untrusted, const struct sim_disk *disk)
{
    uint64_t last = addcow_cluster_count(disk->ref.size, disk->ref.cluster_size) / 8;
    uint64_t place = untrusted->header.header_size + last;
    uint8_t before = place < untrusted->length ? untrusted->bytes[place] : 0;
    fuzz_require(!sim_disk_has_stray_bits(disk) || disk->ref.bitmap[last] == before,
                 "a bit past the last cluster is written as 0 (BMP-05)");
}

static void compare_statuses(const struct addcow_ref *got, const struct addcow_ref *expected)
{
    for (uint64_t offset = 0; offset < expected->size; offset += expected->cluster_size) {
        uint32_t statuses[2];
        uint64_t run;
        addcow_ref_map(got, offset, 1, &statuses[0], &run);
        addcow_ref_map(expected, offset, 1, &statuses[1], &run);
        fuzz_require(statuses[0] == statuses[1], "after the close the same clusters are allocated");
    }
}

static void compare_files(const struct pair *pair)
{
    const struct untrusted_image *untrusted = pair->untrusted;
    const struct addcow_ref *ref = &pair->ref;
    struct sim_disk disk;
    char problem[256];
    fuzz_require(sim_disk_open(untrusted->sim, &disk, problem, sizeof problem), problem);
    fuzz_require(disk.ref.size == ref->size, "the size is kept");
    judge_stray_bits(untrusted, &disk);
    if (!pair->stopped) {
        compare_statuses(&disk.ref, ref);
    }
    fuzz_require(!pair->streamed || !disk.ref.all_allocated || has_every_bit(&disk.ref),
                 "a stream sets every bit (VRT-05)");
    uint8_t *bytes = report_allocate(2, ref->size > 0 ? ref->size : 1);
    addcow_ref_read(&disk.ref, 0, ref->size, bytes);
    addcow_ref_read(ref, 0, ref->size, bytes + ref->size);
    fuzz_require(memcmp(bytes, bytes + ref->size, (size_t)ref->size) == 0, "after the close both are the same disk");
    free(bytes);
    sim_disk_close(&disk);
}

static void use(const struct untrusted_image *untrusted, const struct trace *trace)
{
    struct pair pair = {
        .untrusted = untrusted, .read_only = trace->disk.unknown_compatible, .stops = trace->disk.seed % 4 == 1};
    pair.fast = untrusted_image_open(untrusted, pair.read_only ? ADDCOW_OPEN_READONLY : ADDCOW_OPEN_READWRITE);
    if (!pair.fast) {
        return;
    }
    make_ref(untrusted, &pair.ref);
    pair.got = buffers[0];
    pair.expected = buffers[1];
    judge_locks(&pair);
    judge_requests(&pair, trace);
    fuzz_require(addcow_close(pair.fast, NULL) == ADDCOW_OK, "it closes");
    fuzz_require(sim_open_files(untrusted->sim) == 0, "a close leaves nothing open");
    if (!pair.cut) {
        compare_files(&pair);
    }
    free_ref(&pair.ref);
}

/* ---- A call of the storage fails ---- */

static void perform(struct addcow *fast, const struct trace *trace, uint8_t *bytes, const struct storage_fault *fault)
{
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_operation *operation = &trace->operations[i];
        struct operation_request request = {.operation = (enum operation)operation->kind,
                                            .offset = operation->offset,
                                            .length = operation->length,
                                            .data = bytes,
                                            .buffer = bytes};
        if ((operation_has_range(operation->kind) && request.length > REQUEST_MAX) ||
            (operation->kind == OPERATION_RESIZE && request.offset > TRACE_SIZE_MAX) ||
            operation->kind == OPERATION_MAP || operation->kind >= OPERATIONS) {
            continue;
        }
        enum addcow_status code = adapter_fast_request(fast, &request, NULL);
        bool refused = code == ADDCOW_RANGE || code == ADDCOW_UNSUPPORTED || code == ADDCOW_READONLY ||
                       code == ADDCOW_UNLINKABLE; /* the backing file, which is not opened with "all allocated" */
        fuzz_require(code == ADDCOW_OK || refused || storage_fault_explains(fault, code),
                     "a request fails by the fault or not at all (ERR-05)");
    }
}

static void ignore(void *context, const struct addcow_finding *finding);

static void disturb(const struct untrusted_image *untrusted, const struct trace *trace, struct storage_fault *fault)
{
    struct addcow *fast = NULL;
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_error error = {.message = ""};
    struct addcow_error *reported = fault->inject.at % 2 == 0 ? &error : NULL; /* the caller may pass null */
    storage_fault_begin(fault, untrusted->sim);
    enum addcow_status code =
        addcow_open(DISK_METADATA, ADDCOW_OPEN_READWRITE, sim_storage(untrusted->sim), &fast, NULL);
    fuzz_require(code != ADDCOW_OK || untrusted->opens, "a fault opens nothing that is refused");
    fuzz_require(code == ADDCOW_OK || !untrusted->opens || fault_injection_was_hit(&fault->inject),
                 "an open that fails has a reason");
    fuzz_require(code == ADDCOW_OK || !untrusted->opens || !fault_injection_is_harmless(&fault->inject),
                 "interruptions do not fail an open (ERR-04)");
    if (code == ADDCOW_OK) {
        perform(fast, trace, buffers[0], fault);
        addcow_close(fast, NULL);
    }
    fuzz_require(sim_open_files(untrusted->sim) == 0, "whatever fails, nothing is left open (ERR-06)");
    code = addcow_check(DISK_METADATA, true, sim_storage(untrusted->sim), ignore, NULL, &result, reported);
    fuzz_require(code == ADDCOW_OK || storage_fault_explains(fault, code), "a check fails by the fault or not at all");
    fuzz_require(code == ADDCOW_OK || !reported || error.message[0] != '\0', "a check that fails says why");
    fuzz_require(sim_open_files(untrusted->sim) == 0, "a check leaves nothing open");
    sim_set_hook(untrusted->sim, NULL, NULL);
    struct addcow *again = untrusted_image_open(untrusted, ADDCOW_OPEN_READWRITE);
    if (again) {
        addcow_close(again, NULL);
    }
}

/* ---- Checking ---- */

static void ignore(void *context, const struct addcow_finding *finding)
{
    (void)context;
    fuzz_require(finding->message != NULL && finding->clause != NULL, "a finding says what and why");
}

/* A check runs to its end, reports a finding for a disk that does not open, and after a repair nothing is left to
 * repair. */
static void check(const struct untrusted_image *untrusted, addcow_report *report)
{
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_check_result again = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code =
        addcow_check(DISK_METADATA, false, sim_storage(untrusted->sim), report, NULL, &result, &error);
    fuzz_require(code == ADDCOW_OK, error.message);
    fuzz_require(untrusted->opens || result.broken > 0, "what does not open is broken");
    code = addcow_check(DISK_METADATA, true, sim_storage(untrusted->sim), ignore, NULL, &result, &error);
    fuzz_require(code == ADDCOW_OK, error.message);
    code = addcow_check(DISK_METADATA, true, sim_storage(untrusted->sim), ignore, NULL, &again, &error);
    fuzz_require(code == ADDCOW_OK && again.repaired == 0, "what was repaired needs no repair");
    fuzz_require(again.broken == result.broken, "findings that were not repaired remain");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_bounds bounds = {.threads = 1,
                                              .operations = 16,
                                              .cluster_bits = ADDCOW_CLUSTER_BITS_MAX,
                                              .clusters = 1,
                                              .bytes = BYTES_MAX,
                                              .reopen = true};
    static struct trace trace;
    struct untrusted_image untrusted;
    struct fuzz_input input = fuzz_split(data, size);
    if (!fuzz_trace(&input, &bounds, &trace)) {
        return 0;
    }
    untrusted_image_make(&input.parts[FUZZ_FILE], trace.disk.size, trace.disk.backing_size, &untrusted);
    sim_set_punch_refused(untrusted.sim, trace.disk.seed % 4 == 2);
    use(&untrusted, &trace);
    if (input.parts[FUZZ_CHOICES].count >= STORAGE_FAULT_BYTES) {
        struct storage_fault fault = storage_fault_choose(input.parts[FUZZ_CHOICES].bytes);
        sim_restore(untrusted.sim);
        disturb(&untrusted, &trace, &fault);
    }
    sim_restore(untrusted.sim);
    check(&untrusted, trace.disk.seed % 4 == 3 ? NULL : ignore);
    untrusted_image_free(&untrusted);
    return 0;
}

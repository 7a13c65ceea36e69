/*
 * The adapter of the production engine (addcow_fast.h).
 *
 * A map is asked of every function that can answer it, the range deciding which: addcow_map; addcow_map_chain and
 * addcow_map_data, extent by extent; or addcow_size and addcow_get_info, where what they say decides it. So all of them
 * run beside all other requests, and what they answer is judged wherever a map's answer is: each cluster had the status
 * at some moment of the request (CON-10), and the size is one that the disk had (VRT-01).
 */
#include "adapters/adapter_fast.h"

#include "base/random.h"
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

static struct fast_adapter *fast_of(struct adapter *adapter)
{
    return (struct fast_adapter *)adapter;
}

static enum addcow_status fast_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                    struct addcow_error *error)
{
    return addcow_open(path, flags, fast_of(adapter)->storage, &fast_of(adapter)->disk, error);
}

static enum addcow_status fast_close(struct adapter *adapter, struct addcow_error *error)
{
    enum addcow_status code = addcow_close(fast_of(adapter)->disk, error);
    fast_of(adapter)->disk = NULL;
    return code;
}

static uint64_t fast_size(struct adapter *adapter)
{
    return addcow_size(fast_of(adapter)->disk);
}

static bool fast_all_allocated(struct adapter *adapter)
{
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(fast_of(adapter)->disk, &info);
    return info.all_allocated;
}

/* ---- Maps ---- */

static bool is_within(uint64_t size, const struct operation_request *request)
{
    return request->offset <= size && request->length <= size - request->offset;
}

/*
 * Where the cluster ends that a run of `end` bytes from `offset` on may end within: an extent below can end within a
 * cluster, and if a write allocates it before the next one is asked for, the cluster still had the status of the first.
 */
static uint64_t whole_clusters(struct addcow *disk, uint64_t offset, uint64_t end, uint64_t limit)
{
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    uint64_t past = (offset + end) % info.cluster_size;
    uint64_t whole = past == 0 ? end : end + info.cluster_size - past;
    return whole < limit ? whole : limit;
}

/* Goes over extents, of addcow_map_data or of addcow_map_chain, as long as the status is the same. */
static enum addcow_status map_extents(struct addcow *disk, bool by_data, struct operation_request *request,
                                      struct addcow_error *error)
{
    bool allocated = false;
    uint64_t end = 0;
    do {
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        bool data;
        uint64_t offset = request->offset + end;
        uint64_t left = request->length - end;
        enum addcow_status code = by_data ? addcow_map_data(disk, offset, left, &extent, &data, error)
                                          : addcow_map_chain(disk, offset, left, &extent, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        bool here = extent.present && extent.depth == 0;
        if (end > 0 && here != allocated) {
            end = whole_clusters(disk, request->offset, end, request->length);
            break;
        }
        if (extent.length > left || (extent.length == 0 && left > 0) ||
            (extent.present && extent.file_offset != offset)) {
            report_fatal("an extent of %" PRIu64 " bytes at %" PRIu64 " of the file, for %" PRIu64 " bytes at %" PRIu64,
                         extent.length, extent.file_offset, left, offset);
        }
        allocated = here;
        end += extent.length;
    } while (end < request->length);
    request->allocated = allocated;
    request->map_length = end;
    return ADDCOW_OK;
}

static enum addcow_status map(struct addcow *disk, struct operation_request *request, struct addcow_error *error)
{
    return addcow_map(disk, request->offset, request->length, &request->allocated, &request->map_length, error);
}

/* The disk was too small at some moment of the request: it is out of range, whatever it would be now. */
static enum addcow_status map_out_of_range(struct addcow *disk, struct operation_request *request,
                                           struct addcow_error *error)
{
    enum addcow_status code = map(disk, request, error);
    return code == ADDCOW_OK ? ADDCOW_RANGE : code;
}

static enum addcow_status map_by_info(struct addcow *disk, struct operation_request *request,
                                      struct addcow_error *error)
{
    struct addcow_info info = ADDCOW_INFO_INIT;
    uint64_t size = addcow_size(disk);
    addcow_get_info(disk, &info);
    if (!is_within(size, request) || !is_within(info.virtual_size, request)) {
        return map_out_of_range(disk, request, error);
    }
    if (!info.all_allocated || request->length == 0) {
        return map(disk, request, error);
    }
    request->allocated = true;
    request->map_length = request->length;
    return ADDCOW_OK;
}

static enum addcow_status map_somehow(struct addcow *disk, struct operation_request *request,
                                      struct addcow_error *error)
{
    switch (random_hash(request->offset ^ request->length << 20) % 4) {
    case 0:
        return map(disk, request, error);
    case 1:
        return map_extents(disk, false, request, error);
    case 2:
        return map_extents(disk, true, request, error);
    default:
        return map_by_info(disk, request, error);
    }
}

/* ---- All requests ---- */

enum addcow_status adapter_fast_request(struct addcow *disk, struct operation_request *request,
                                        struct addcow_error *error)
{
    switch (request->operation) {
    case OPERATION_READ:
        return addcow_read(disk, request->offset, request->length, request->buffer, error);
    case OPERATION_WRITE:
        return addcow_write(disk, request->offset, request->length, request->data, error);
    case OPERATION_ZERO:
        return addcow_zero(disk, request->offset, request->length, error);
    case OPERATION_DISCARD:
        return addcow_discard(disk, request->offset, request->length, error);
    case OPERATION_MAP:
        return map_somehow(disk, request, error);
    case OPERATION_FLUSH:
        return addcow_flush(disk, error);
    case OPERATION_RESIZE:
        return addcow_resize(disk, request->offset, error);
    case OPERATION_STREAM:
        return addcow_stream(disk, NULL, NULL, error);
    case OPERATION_COMMIT:
        return addcow_commit(disk, NULL, NULL, error);
    case OPERATIONS:
        break;
    }
    report_fatal("no operation has the number %d", (int)request->operation);
}

static enum addcow_status fast_perform(struct adapter *adapter, struct operation_request *request,
                                       struct addcow_error *error)
{
    return adapter_fast_request(fast_of(adapter)->disk, request, error);
}

static enum addcow_status fast_create(struct adapter *adapter, const char *path,
                                      const struct addcow_create_options *options, struct addcow_error *error)
{
    return addcow_create(path, options, fast_of(adapter)->storage, error);
}

static void fast_destroy(struct adapter *adapter)
{
    if (fast_of(adapter)->disk != NULL) {
        addcow_close(fast_of(adapter)->disk, NULL);
    }
    free(adapter);
}

struct adapter *adapter_make_fast(struct addcow_storage *storage)
{
    static const struct adapter_ops ops = {
        .open = fast_open,
        .close = fast_close,
        .size = fast_size,
        .all_allocated = fast_all_allocated,
        .perform = fast_perform,
        .create = fast_create,
        .destroy = fast_destroy,
    };
    struct fast_adapter *fast = report_allocate(1, sizeof *fast);
    fast->adapter = (struct adapter){.ops = &ops, .name = "fast"};
    fast->storage = storage;
    return &fast->adapter;
}

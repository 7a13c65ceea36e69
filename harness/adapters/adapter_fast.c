/*
 * The adapter of the production engine (addcow_fast.h).
 */
#include "adapters/adapter_fast.h"

#include "base/report.h"

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
        return addcow_map(disk, request->offset, request->length, &request->allocated, &request->map_length, error);
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

/*
 * The adapter of the production engine: addcow_fast.h as it is.
 */
#include "adapters/adapter.h"

#include "base/report.h"

#include <stdlib.h>

struct fast_adapter {
    struct adapter adapter;
    struct addcow_storage *storage; /* null: POSIX files */
    struct addcow *disk;            /* null: not open */
};

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
    struct addcow_info info;
    addcow_get_info(fast_of(adapter)->disk, &info);
    return info.all_allocated;
}

static enum addcow_status fast_read(struct adapter *adapter, uint64_t offset, uint64_t length, void *buffer,
                                    struct addcow_error *error)
{
    return addcow_read(fast_of(adapter)->disk, offset, length, buffer, error);
}

static enum addcow_status fast_write(struct adapter *adapter, uint64_t offset, uint64_t length, const void *buffer,
                                     struct addcow_error *error)
{
    return addcow_write(fast_of(adapter)->disk, offset, length, buffer, error);
}

static enum addcow_status fast_zero(struct adapter *adapter, uint64_t offset, uint64_t length,
                                    struct addcow_error *error)
{
    return addcow_zero(fast_of(adapter)->disk, offset, length, error);
}

static enum addcow_status fast_discard(struct adapter *adapter, uint64_t offset, uint64_t length,
                                       struct addcow_error *error)
{
    return addcow_discard(fast_of(adapter)->disk, offset, length, error);
}

static enum addcow_status fast_map(struct adapter *adapter, uint64_t offset, uint64_t length, bool *allocated,
                                   uint64_t *run, struct addcow_error *error)
{
    return addcow_map(fast_of(adapter)->disk, offset, length, allocated, run, error);
}

static enum addcow_status fast_flush(struct adapter *adapter, struct addcow_error *error)
{
    return addcow_flush(fast_of(adapter)->disk, error);
}

static enum addcow_status fast_resize(struct adapter *adapter, uint64_t new_size, struct addcow_error *error)
{
    return addcow_resize(fast_of(adapter)->disk, new_size, error);
}

static enum addcow_status fast_stream(struct adapter *adapter, struct addcow_error *error)
{
    return addcow_stream(fast_of(adapter)->disk, NULL, NULL, error);
}

static enum addcow_status fast_commit(struct adapter *adapter, struct addcow_error *error)
{
    return addcow_commit(fast_of(adapter)->disk, NULL, NULL, error);
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
        .read = fast_read,
        .write = fast_write,
        .zero = fast_zero,
        .discard = fast_discard,
        .map = fast_map,
        .flush = fast_flush,
        .resize = fast_resize,
        .stream = fast_stream,
        .commit = fast_commit,
        .create = fast_create,
        .destroy = fast_destroy,
    };
    struct fast_adapter *fast = report_allocate(1, sizeof *fast);
    fast->adapter = (struct adapter){.ops = &ops, .name = "fast"};
    fast->storage = storage;
    return &fast->adapter;
}

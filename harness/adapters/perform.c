/*
 * Performs one given operation on an adapter.
 */
#include "adapters/perform.h"

enum addcow_status adapter_perform(struct adapter *adapter, enum operation operation, uint64_t offset, uint64_t length,
                                   struct addcow_error *error)
{
    struct operation_request request = {.operation = operation, .offset = offset, .length = length};
    return adapter->ops->perform(adapter, &request, error);
}

enum addcow_status adapter_read(struct adapter *adapter, uint64_t offset, uint64_t length, void *buffer,
                                struct addcow_error *error)
{
    struct operation_request request = {
        .operation = OPERATION_READ, .offset = offset, .length = length, .buffer = buffer};
    return adapter->ops->perform(adapter, &request, error);
}

enum addcow_status adapter_write(struct adapter *adapter, uint64_t offset, uint64_t length, const void *data,
                                 struct addcow_error *error)
{
    struct operation_request request = {.operation = OPERATION_WRITE, .offset = offset, .length = length, .data = data};
    return adapter->ops->perform(adapter, &request, error);
}

enum addcow_status adapter_map(struct adapter *adapter, uint64_t offset, uint64_t length, bool *allocated,
                               uint64_t *map_length, struct addcow_error *error)
{
    struct operation_request request = {.operation = OPERATION_MAP, .offset = offset, .length = length};
    enum addcow_status code = adapter->ops->perform(adapter, &request, error);
    *allocated = request.allocated;
    *map_length = request.map_length;
    return code;
}

enum addcow_status adapter_reopen(struct adapter *adapter, const char *path, bool *open, struct addcow_error *error)
{
    enum addcow_status closed = adapter->ops->close(adapter, error);
    enum addcow_status opened = adapter->ops->open(adapter, path, ADDCOW_OPEN_READWRITE, error);
    *open = opened == ADDCOW_OK;
    return *open ? closed : opened;
}

enum addcow_status adapter_flush(struct adapter *adapter, struct addcow_error *error)
{
    return adapter_perform(adapter, OPERATION_FLUSH, 0, 0, error);
}

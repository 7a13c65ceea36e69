/*
 * Operations on the reference engine.
 */
#include "adapters/reference.h"

#include "base/report.h"

static enum addcow_status map(const struct addcow_ref *disk, struct operation_request *request)
{
    uint32_t allocated = 0;
    enum addcow_status code = addcow_ref_map(disk, request->offset, request->length, &allocated, &request->map_length);
    request->allocated = allocated != 0;
    return code;
}

enum addcow_status reference_perform(struct addcow_ref *disk, bool has_flag, struct operation_request *request)
{
    switch (request->operation) {
    case OPERATION_READ:
        return addcow_ref_read(disk, request->offset, request->length, request->buffer);
    case OPERATION_WRITE:
        return addcow_ref_write(disk, request->offset, request->length, request->data);
    case OPERATION_ZERO:
        return addcow_ref_zero(disk, request->offset, request->length);
    case OPERATION_DISCARD:
        return addcow_ref_discard(disk, request->offset, request->length);
    case OPERATION_MAP:
        return map(disk, request);
    case OPERATION_FLUSH:
        return ADDCOW_OK;
    case OPERATION_RESIZE:
        return addcow_ref_resize(disk, request->offset);
    case OPERATION_STREAM:
        addcow_ref_stream(disk, has_flag);
        return ADDCOW_OK;
    case OPERATION_COMMIT:
        return addcow_ref_commit(disk);
    case OPERATIONS:
        break;
    }
    report_fatal("no operation has the number %d", (int)request->operation);
}

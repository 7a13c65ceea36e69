/*
 * Makes an adapter from its name.
 */
#include "adapters/adapter.h"

#include "adapters/adapter_exec.h"

#include <string.h>

struct adapter *adapter_make(const char *name, struct addcow_storage *storage)
{
    if (strcmp(name, "ref") == 0) {
        return adapter_make_ref();
    }
    if (strcmp(name, "fast") == 0) {
        return adapter_make_fast(storage);
    }
    size_t prefix = strlen(ADAPTER_EXEC_PREFIX);
    if (strncmp(name, ADAPTER_EXEC_PREFIX, prefix) == 0) {
        return adapter_make_exec(name + prefix, NULL, ADAPTER_EXEC_TIMEOUT);
    }
    return NULL;
}

enum addcow_status adapter_size(struct adapter *adapter, uint64_t *size, struct addcow_error *error)
{
    if (adapter->ops->ask_size != NULL) {
        return adapter->ops->ask_size(adapter, size, error);
    }
    *size = adapter->ops->size(adapter);
    return ADDCOW_OK;
}

const char *adapter_names(void)
{
    return "ref, fast, exec:COMMAND";
}

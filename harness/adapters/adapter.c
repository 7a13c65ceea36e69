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

const char *adapter_names(void)
{
    return "ref, fast, exec:COMMAND";
}

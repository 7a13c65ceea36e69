/*
 * The implementation under test: which adapters there are.
 */
#include "adapter.h"

#include <string.h>

struct adapter *adapter_make(const char *name, struct addcow_storage *storage)
{
    if (strcmp(name, "ref") == 0) {
        return adapter_make_ref();
    }
    if (strcmp(name, "fast") == 0) {
        return adapter_make_fast(storage);
    }
    return NULL;
}

const char *adapter_names(void)
{
    return "ref, fast";
}

/*
 * The adapter of the reference engine: ref_disk.h, one request at a time.
 */
#include "adapters/adapter.h"

#include "adapters/ref_disk.h"
#include "base/report.h"

#include <pthread.h>
#include <stdlib.h>

struct ref_adapter {
    struct adapter adapter;
    pthread_mutex_t one_at_a_time; /* protects *disk */
    struct ref_disk *disk;         /* null: not open */
};

static struct ref_adapter *enter(struct adapter *adapter)
{
    struct ref_adapter *ref = (struct ref_adapter *)adapter;
    pthread_mutex_lock(&ref->one_at_a_time);
    return ref;
}

/* Unlocks what enter locked, and fills *error on failure. */
static enum addcow_status leave(struct ref_adapter *ref, enum addcow_status code, struct addcow_error *error)
{
    pthread_mutex_unlock(&ref->one_at_a_time);
    if (code != ADDCOW_OK && error != NULL) {
        *error = (struct addcow_error){.code = code};
        snprintf(error->message, sizeof error->message, "refused: %s", addcow_status_name(code));
    }
    return code;
}

static enum addcow_status ref_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                   struct addcow_error *error)
{
    struct ref_adapter *ref = (struct ref_adapter *)adapter;
    return ref_disk_open(path, flags == ADDCOW_OPEN_READWRITE, &ref->disk, error);
}

static enum addcow_status ref_close(struct adapter *adapter, struct addcow_error *error)
{
    struct ref_adapter *ref = enter(adapter);
    ref_disk_close(ref->disk);
    ref->disk = NULL;
    return leave(ref, ADDCOW_OK, error);
}

static uint64_t ref_size(struct adapter *adapter)
{
    struct ref_adapter *ref = enter(adapter);
    uint64_t size = ref_disk_state(ref->disk)->size;
    leave(ref, ADDCOW_OK, NULL);
    return size;
}

static bool ref_all_allocated(struct adapter *adapter)
{
    struct ref_adapter *ref = enter(adapter);
    bool set = ref_disk_state(ref->disk)->all_allocated;
    leave(ref, ADDCOW_OK, NULL);
    return set;
}

static enum addcow_status ref_perform(struct adapter *adapter, struct operation_request *request,
                                      struct addcow_error *error)
{
    struct ref_adapter *ref = enter(adapter);
    return leave(ref, ref_disk_perform(ref->disk, request), error);
}

static void ref_destroy(struct adapter *adapter)
{
    struct ref_adapter *ref = (struct ref_adapter *)adapter;
    ref_disk_close(ref->disk);
    pthread_mutex_destroy(&ref->one_at_a_time);
    free(ref);
}

struct adapter *adapter_make_ref(void)
{
    static const struct adapter_ops ops = {
        .open = ref_open,
        .close = ref_close,
        .size = ref_size,
        .all_allocated = ref_all_allocated,
        .perform = ref_perform,
        .destroy = ref_destroy,
    };
    struct ref_adapter *ref = report_allocate(1, sizeof *ref);
    ref->adapter = (struct adapter){.ops = &ops, .name = "ref"};
    pthread_mutex_init(&ref->one_at_a_time, NULL);
    return &ref->adapter;
}

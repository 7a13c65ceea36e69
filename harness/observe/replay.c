/*
 * Replays records.
 *
 * Each entry becomes a call on the simulated storage. Whether the replay explains the files as they are now is checked
 * too: so a change that the observer has not seen is never taken for one that did not happen.
 */
#include "observe/replay.h"

#include "workload/disk_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int fail_sync(void *context, enum sim_call call, const char *name, size_t *size)
{
    (void)context;
    (void)name;
    (void)size;
    return call == SIM_SYNC ? -EIO : 0;
}

/* Opens a file of the storage, does one thing with it, and closes it. */
static int change_file(struct sim *sim, const struct record *record, const uint8_t *data)
{
    struct addcow_storage *storage = sim_storage(sim);
    struct addcow_file *file;
    bool create = record->kind == RECORD_CREATE;
    int result = storage->ops->open(storage, record->name, create ? ADDCOW_FILE_CREATE : ADDCOW_FILE_READWRITE, &file);
    if (result != 0) {
        return result;
    }
    if (record->kind == RECORD_WRITE) {
        ssize_t count = file->ops->pwrite(file, data, (size_t)record->length, record->offset);
        result = count == (ssize_t)record->length ? 0 : -EIO;
    } else if (record->kind == RECORD_LENGTH) {
        result = file->ops->truncate(file, record->length);
    } else if (record->kind == RECORD_SYNC_FAILED) {
        sim_set_hook(sim, fail_sync, NULL);
        file->ops->sync(file);
        sim_set_hook(sim, NULL, NULL);
    } else if (record->kind == RECORD_SYNC && record->length > 0) {
        sim_sync_range(sim, record->name, record->offset, record->length);
    } else if (record->kind == RECORD_SYNC) {
        result = file->ops->sync(file);
    }
    file->ops->close(file);
    return result;
}

static int sync_all(struct sim *sim)
{
    int result = 0;
    const char *name;
    for (uint32_t i = 0; result == 0 && (name = sim_name(sim, i)) != NULL; i++) {
        struct record record = {.kind = RECORD_SYNC};
        snprintf(record.name, sizeof record.name, "%s", name);
        result = change_file(sim, &record, NULL);
    }
    sim_sync_names(sim);
    return result;
}

static int replay(struct sim *sim, const struct record *record, const uint8_t *data)
{
    struct addcow_storage *storage = sim_storage(sim);
    switch (record->kind) {
    case RECORD_SYNC_ALL:
        return sync_all(sim);
    case RECORD_SYNC_NAMES:
        sim_sync_names(sim);
        return 0;
    case RECORD_REMOVE:
        return storage->ops->remove(storage, record->name);
    case RECORD_RENAME:
        return storage->ops->rename(storage, record->other, record->name, 1);
    case RECORD_LINK:
        return sim_link(sim, record->other, record->name);
    case RECORD_SYNC_FAILED:
        return record->name[0] == '\0' ? 0 : change_file(sim, record, data);
    default:
        return change_file(sim, record, data);
    }
}

bool replay_records(const struct record_list *list, struct sim *sim, uint64_t *moments, char *why, size_t why_size)
{
    sim_set_split(sim, false);
    sim_set_names_loose(sim, true);
    for (size_t i = 0; i < list->count; i++) {
        moments[i] = sim_moment(sim);
        int result = replay(sim, &list->items[i], list->data[i]);
        if (result != 0) {
            snprintf(why, why_size, "entry %zu of the record cannot be replayed: %s of %s: %s", i, list->items[i].call,
                     list->items[i].name, strerror(-result));
            return false;
        }
    }
    moments[list->count] = sim_moment(sim);
    return true;
}

bool replay_agrees(const struct sim *sim, const char *directory, char *why, size_t why_size)
{
    const char *name;
    for (uint32_t i = 0; (name = sim_name(sim, i)) != NULL; i++) {
        uint8_t *bytes = NULL;
        uint64_t length = 0, expected_length;
        const uint8_t *expected = sim_bytes(sim, name, &expected_length);
        bool same = disk_files_load(directory, name, &bytes, &length) && length == expected_length &&
                    (length == 0 || memcmp(bytes, expected, (size_t)length) == 0);
        free(bytes);
        if (!same) {
            snprintf(why, why_size, "%s was changed by something that cannot be seen", name);
            return false;
        }
    }
    return true;
}

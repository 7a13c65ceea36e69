/*
 * The directory of a simulated storage: its names, and the storage as a whole.
 */
#include "storage/sim_parts.h"

#include "base/report.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t sim_find_entry(const struct sim_entry *names, const char *text)
{
    uint32_t i = 0;
    while (i < SIM_FILES_MAX && strcmp(names[i].text, text) != 0) {
        i++;
    }
    return i;
}

void sim_set_entry(struct sim_entry *names, const char *text, uint32_t inode)
{
    uint32_t i = sim_find_entry(names, text);
    if (i == SIM_FILES_MAX) {
        i = sim_find_entry(names, "");
    }
    if (i == SIM_FILES_MAX || strlen(text) >= SIM_NAME_BYTES) {
        report_fatal("too many simulated files, or too long a name");
    }
    snprintf(names[i].text, SIM_NAME_BYTES, "%s", text);
    names[i].inode = inode;
}

void sim_remove_entry(struct sim_entry *names, const char *text)
{
    uint32_t i = sim_find_entry(names, text);
    if (i < SIM_FILES_MAX) {
        names[i].text[0] = '\0';
    }
}

static uint32_t make_inode(struct sim *sim)
{
    if (sim->inodes == SIM_FILES_MAX) {
        report_fatal("too many simulated files");
    }
    struct sim_inode *inode = &sim->list[sim->inodes];
    sim_content_set_length(&inode->now, 0);
    inode->readers = 0;
    inode->writer = false;
    return sim->inodes++;
}

static struct sim *storage_of(struct addcow_storage *storage)
{
    return (struct sim *)storage;
}

static int sim_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                    struct addcow_file **opened)
{
    struct sim *sim = storage_of(storage);
    int fault = sim_ask_hook(sim, SIM_OPEN, path, NULL);
    if (fault != 0) {
        return fault;
    }
    uint32_t name = sim_find_entry(sim->names, path);
    bool create = mode == ADDCOW_FILE_CREATE;
    if (create != (name == SIM_FILES_MAX)) {
        return create ? -EEXIST : -ENOENT;
    }
    uint32_t inode = create ? make_inode(sim) : sim->names[name].inode;
    if (create) {
        sim_set_entry(sim->names, path, inode);
        snprintf(sim_log_event(sim, SIM_EVENT_CREATE, inode)->name, SIM_NAME_BYTES, "%s", path);
    }
    *opened = sim_file_open(sim, inode, path, mode != ADDCOW_FILE_READ);
    return 0;
}

static int sim_remove(struct addcow_storage *storage, const char *path)
{
    struct sim *sim = storage_of(storage);
    int fault = sim_ask_hook(sim, SIM_REMOVE, path, NULL);
    uint32_t name = sim_find_entry(sim->names, path);
    if (fault != 0 || name == SIM_FILES_MAX) {
        return fault != 0 ? fault : -ENOENT;
    }
    snprintf(sim_log_event(sim, SIM_EVENT_REMOVE, sim->names[name].inode)->name, SIM_NAME_BYTES, "%s", path);
    sim_remove_entry(sim->names, path);
    return 0;
}

static int sim_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    struct sim *sim = storage_of(storage);
    int fault = sim_ask_hook(sim, SIM_RENAME, from, NULL);
    uint32_t name = sim_find_entry(sim->names, from);
    if (fault != 0 || name == SIM_FILES_MAX) {
        return fault != 0 ? fault : -ENOENT;
    }
    if (!replace && sim_find_entry(sim->names, to) < SIM_FILES_MAX) {
        return -EEXIST;
    }
    uint32_t inode = sim->names[name].inode;
    struct sim_event *event = sim_log_event(sim, SIM_EVENT_RENAME, inode);
    snprintf(event->name, SIM_NAME_BYTES, "%s", to);
    snprintf(event->from, SIM_NAME_BYTES, "%s", from);
    sim_remove_entry(sim->names, from);
    sim_set_entry(sim->names, to, inode);
    return 0;
}

struct sim *sim_make(void)
{
    static const struct addcow_storage_ops ops = {
        .struct_size = sizeof ops, .open = sim_open, .remove = sim_remove, .rename = sim_rename};
    struct sim *sim = report_allocate(1, sizeof *sim);
    sim->storage.ops = &ops;
    sim->split = true;
    return sim;
}

void sim_free(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_FILES_MAX; i++) {
        free(sim->list[i].now.bytes);
        free(sim->list[i].kept.bytes);
    }
    free(sim->events);
    free(sim->pool);
    free(sim);
}

struct addcow_storage *sim_storage(struct sim *sim)
{
    return &sim->storage;
}

void sim_set_split(struct sim *sim, bool split)
{
    sim->split = split;
}

void sim_set_punch_refused(struct sim *sim, bool refused)
{
    sim->punch_refused = refused;
}

void sim_set_shares(struct sim *sim, bool shares)
{
    sim->shares = shares;
}

void sim_set_hook(struct sim *sim, sim_hook *hook, void *context)
{
    sim->hook = hook;
    sim->hook_context = context;
}

void sim_set_names_loose(struct sim *sim, bool loose)
{
    sim->names_loose = loose;
}

void sim_sync_names(struct sim *sim)
{
    sim_log_event(sim, SIM_EVENT_SYNC_NAMES, SIM_FILES_MAX);
}

void sim_sync_range(struct sim *sim, const char *name, uint64_t offset, uint64_t length)
{
    uint32_t at = sim_find_entry(sim->names, name);
    if (at < SIM_FILES_MAX && length > 0) {
        struct sim_event *event = sim_log_event(sim, SIM_EVENT_SYNC, sim->names[at].inode);
        event->number = offset / SIM_SECTOR;
        event->sectors = (offset + length - 1) / SIM_SECTOR - event->number + 1;
    }
}

int sim_link(struct sim *sim, const char *from, const char *to)
{
    uint32_t name = sim_find_entry(sim->names, from);
    if (name == SIM_FILES_MAX || sim_find_entry(sim->names, to) < SIM_FILES_MAX) {
        return name == SIM_FILES_MAX ? -ENOENT : -EEXIST;
    }
    uint32_t inode = sim->names[name].inode;
    snprintf(sim_log_event(sim, SIM_EVENT_LINK, inode)->name, SIM_NAME_BYTES, "%s", to);
    sim_set_entry(sim->names, to, inode);
    return 0;
}

uint64_t sim_transfer_offset(const struct sim *sim)
{
    return sim->transfer_offset;
}

uint32_t sim_open_files(const struct sim *sim)
{
    return sim->open;
}

void sim_put(struct sim *sim, const char *name, const uint8_t *bytes, uint64_t length)
{
    uint32_t at = sim_find_entry(sim->names, name);
    uint32_t inode = at < SIM_FILES_MAX ? sim->names[at].inode : make_inode(sim);
    sim_set_entry(sim->names, name, inode);
    struct sim_content *now = &sim->list[inode].now;
    sim_content_set_length(now, length);
    if (length > 0) {
        memcpy(now->bytes, bytes, (size_t)length);
    }
}

const uint8_t *sim_bytes(const struct sim *sim, const char *name, uint64_t *length)
{
    uint32_t at = sim_find_entry(sim->names, name);
    if (at == SIM_FILES_MAX) {
        return NULL;
    }
    const struct sim_content *now = &sim->list[sim->names[at].inode].now;
    *length = now->length;
    return now->bytes;
}

const char *sim_name(const struct sim *sim, uint32_t index)
{
    for (uint32_t i = 0; i < SIM_FILES_MAX; i++) {
        if (sim->names[i].text[0] != '\0' && index-- == 0) {
            return sim->names[i].text;
        }
    }
    return NULL;
}

const char *sim_name_of(const struct sim *sim, const void *object)
{
    for (uint32_t i = 0; i < SIM_FILES_MAX; i++) {
        if (sim->names[i].text[0] != '\0' && &sim->list[sim->names[i].inode] == object) {
            return sim->names[i].text;
        }
    }
    return NULL;
}

void sim_keep(struct sim *sim)
{
    assert(sim->open == 0);
    for (uint32_t i = 0; i < sim->inodes; i++) {
        sim_content_copy(&sim->list[i].kept, &sim->list[i].now);
    }
    memcpy(sim->names_kept, sim->names, sizeof sim->names);
    sim->inodes_kept = sim->inodes;
    sim_log_clear(sim);
}

void sim_restore(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->inodes_kept; i++) {
        sim_content_copy(&sim->list[i].now, &sim->list[i].kept);
        sim->list[i].readers = 0;
        sim->list[i].writer = false;
    }
    memcpy(sim->names, sim->names_kept, sizeof sim->names);
    sim->inodes = sim->inodes_kept;
    sim->open = 0;
    sim_log_clear(sim);
}

/*
 * Simulated storage.
 *
 * The log keeps every change of a sector with its new content. A crash state is made from the files as they were kept:
 * the log is gone through up to the moment of the crash, what a sync covers is applied, and of the rest each sector
 * gets one of its versions.
 */
#include "storage/sim.h"

#include "base/report.h"
#include "sched/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLE_BYTES 4096u

enum event_kind { EVENT_SECTOR, EVENT_LENGTH, EVENT_SYNC, EVENT_SYNC_FAILED, EVENT_CREATE, EVENT_REMOVE, EVENT_RENAME };

struct event {
    enum event_kind kind;
    uint32_t inode;
    uint64_t number;           /* the sector, or the new length */
    size_t data;               /* in the pool: SIM_SECTOR bytes */
    char name[SIM_NAME_BYTES]; /* that is created, removed, or given by rename */
    char from[SIM_NAME_BYTES]; /* of a rename */
};

struct content {
    uint8_t *bytes; /* owned */
    uint64_t length;
    uint64_t room; /* bytes past the length are zero */
};

struct inode {
    struct content now;
    struct content kept;
    uint32_t readers; /* shared locks */
    bool writer;      /* an exclusive one */
};

struct name {
    char text[SIM_NAME_BYTES]; /* "": none */
    uint32_t inode;
};

struct sim {
    struct addcow_storage storage;
    bool split;
    bool punch_refused;
    sim_hook *hook;
    void *hook_context;
    uint64_t transfer_offset; /* of the last transfer */
    uint32_t open;
    uint32_t inodes;
    uint32_t inodes_kept;
    struct inode list[SIM_FILES_MAX];
    struct name names[SIM_FILES_MAX];
    struct name names_kept[SIM_FILES_MAX];
    struct event *events;
    uint64_t event_count;
    uint64_t event_room;
    uint8_t *pool;
    size_t pool_used;
    size_t pool_room;
};

enum lock { LOCK_NONE, LOCK_SHARED, LOCK_EXCLUSIVE };

struct sim_file {
    struct addcow_file file;
    struct sim *sim;
    uint32_t inode;
    enum lock lock;
    bool writable;
    char name[SIM_NAME_BYTES];
};

/* ---- Contents ---- */

static void set_length(struct content *content, uint64_t length)
{
    if (length >= content->room) {
        uint64_t room = length < 4096 ? 4096 : 2 * length;
        content->bytes = realloc(content->bytes, room);
        if (content->bytes == NULL) {
            report_fatal("no memory for a simulated file");
        }
        memset(content->bytes + content->room, 0, room - content->room);
        content->room = room;
    }
    if (length < content->length) {
        memset(content->bytes + length, 0, content->length - length);
    }
    content->length = length;
}

static void copy_content(struct content *to, const struct content *from)
{
    set_length(to, from->length);
    if (from->length > 0) {
        memcpy(to->bytes, from->bytes, from->length);
    }
}

/* The bytes of a sector that lie within the file. */
static uint64_t sector_bytes(const struct content *content, uint64_t sector)
{
    uint64_t begin = sector * SIM_SECTOR;
    uint64_t left = begin < content->length ? content->length - begin : 0;
    return left < SIM_SECTOR ? left : SIM_SECTOR;
}

/* ---- Names ---- */

static uint32_t find_name(const struct name *names, const char *text)
{
    uint32_t i = 0;
    while (i < SIM_FILES_MAX && strcmp(names[i].text, text) != 0) {
        i++;
    }
    return i;
}

static void set_name(struct name *names, const char *text, uint32_t inode)
{
    uint32_t i = find_name(names, text);
    if (i == SIM_FILES_MAX) {
        i = find_name(names, "");
    }
    if (i == SIM_FILES_MAX || strlen(text) >= SIM_NAME_BYTES) {
        report_fatal("too many simulated files, or too long a name");
    }
    snprintf(names[i].text, SIM_NAME_BYTES, "%s", text);
    names[i].inode = inode;
}

static void remove_name(struct name *names, const char *text)
{
    uint32_t i = find_name(names, text);
    if (i < SIM_FILES_MAX) {
        names[i].text[0] = '\0';
    }
}

static uint32_t new_inode(struct sim *sim)
{
    if (sim->inodes == SIM_FILES_MAX) {
        report_fatal("too many simulated files");
    }
    struct inode *inode = &sim->list[sim->inodes];
    set_length(&inode->now, 0);
    inode->readers = 0;
    inode->writer = false;
    return sim->inodes++;
}

/* ---- The log ---- */

static struct event *log_event(struct sim *sim, enum event_kind kind, uint32_t inode)
{
    if (sim->event_count == sim->event_room) {
        sim->event_room = sim->event_room == 0 ? 256 : 2 * sim->event_room;
        sim->events = realloc(sim->events, sim->event_room * sizeof *sim->events);
        if (sim->events == NULL) {
            report_fatal("no memory for the log of a simulated storage");
        }
    }
    struct event *event = &sim->events[sim->event_count++];
    event->kind = kind;
    event->inode = inode;
    return event;
}

/* Logs a sector as it is now. */
static void log_sector(struct sim *sim, uint32_t inode, uint64_t sector)
{
    if (sim->pool_used + SIM_SECTOR > sim->pool_room) {
        sim->pool_room = sim->pool_room == 0 ? 1u << 16 : 2 * sim->pool_room;
        sim->pool = realloc(sim->pool, sim->pool_room);
        if (sim->pool == NULL) {
            report_fatal("no memory for the log of a simulated storage");
        }
    }
    const struct content *now = &sim->list[inode].now;
    uint8_t *data = sim->pool + sim->pool_used;
    uint64_t count = sector_bytes(now, sector);
    memset(data, 0, SIM_SECTOR);
    memcpy(data, now->bytes + sector * SIM_SECTOR, count);
    struct event *event = log_event(sim, EVENT_SECTOR, inode);
    event->number = sector;
    event->data = sim->pool_used;
    sim->pool_used += SIM_SECTOR;
}

uint64_t sim_moment(const struct sim *sim)
{
    return sim->event_count;
}

bool sim_is_barrier(const struct sim *sim, uint64_t moment)
{
    enum event_kind kind = sim->events[moment].kind;
    return kind == EVENT_SYNC || kind == EVENT_RENAME;
}

bool sim_is_changed(const struct sim *sim, uint64_t moment)
{
    for (; moment < sim->event_count; moment++) {
        enum event_kind kind = sim->events[moment].kind;
        if (kind != EVENT_SYNC && kind != EVENT_SYNC_FAILED) {
            return true;
        }
    }
    return false;
}

/* ---- Files ---- */

static struct sim_file *sim_of(struct addcow_file *file)
{
    return (struct sim_file *)file;
}

static struct inode *inode_of(struct sim_file *file)
{
    return &file->sim->list[file->inode];
}

const char *sim_call_name(enum sim_call call)
{
    static const char *const names[SIM_CALLS] = {"pread", "pwrite",   "sync",  "length", "truncate", "punch",
                                                 "lock",  "identity", "close", "open",   "remove",   "rename"};
    return names[call];
}

static int ask_hook(struct sim *sim, enum sim_call call, const char *name, size_t *size)
{
    size_t unused = 0;
    return sim->hook == NULL ? 0 : sim->hook(sim->hook_context, call, name, size != NULL ? size : &unused);
}

/* The part of [offset, end) that is one step: up to the end of its first sector if the storage is split. */
static uint64_t step_end(const struct sim *sim, uint64_t offset, uint64_t end)
{
    uint64_t sector_end = (offset / SIM_SECTOR + 1) * SIM_SECTOR;
    return sim->split && sector_end < end ? sector_end : end;
}

static void file_point(struct sim_file *file, enum sched_kind kind, uint64_t begin, uint64_t end)
{
    sched_file_point(inode_of(file), kind, begin / SIM_SECTOR, (end - 1) / SIM_SECTOR);
}

static void whole_file_point(struct sim_file *file, enum sched_kind kind)
{
    sched_file_point(inode_of(file), kind, 0, UINT64_MAX);
}

static ssize_t sim_pread(struct addcow_file *self, void *buffer, size_t size, uint64_t offset)
{
    struct sim_file *file = sim_of(self);
    file->sim->transfer_offset = offset;
    int fault = ask_hook(file->sim, SIM_PREAD, file->name, &size);
    if (fault != 0) {
        return fault;
    }
    const struct content *now = &inode_of(file)->now;
    uint64_t position = offset;
    for (uint64_t end; position < offset + size && position < now->length; position = end) {
        end = step_end(file->sim, position, offset + size);
        file_point(file, SCHED_READ, position, end);
        end = end < now->length ? end : now->length;
        if (end <= position) {
            break;
        }
        memcpy((uint8_t *)buffer + (position - offset), now->bytes + position, end - position);
    }
    return (ssize_t)(position - offset);
}

/* Changes [begin, end), which is one step, to `data`, or to zeros; the file reaches that far. */
static void change(struct sim_file *file, uint64_t begin, uint64_t end, const uint8_t *data)
{
    struct content *now = &inode_of(file)->now;
    if (data != NULL) {
        memcpy(now->bytes + begin, data, end - begin);
    } else {
        memset(now->bytes + begin, 0, end - begin);
    }
    for (uint64_t sector = begin / SIM_SECTOR; sector <= (end - 1) / SIM_SECTOR; sector++) {
        log_sector(file->sim, file->inode, sector);
    }
}

static void change_length(struct sim_file *file, uint64_t length)
{
    set_length(&inode_of(file)->now, length);
    log_event(file->sim, EVENT_LENGTH, file->inode)->number = length;
}

static ssize_t sim_pwrite(struct addcow_file *self, const void *buffer, size_t size, uint64_t offset)
{
    struct sim_file *file = sim_of(self);
    file->sim->transfer_offset = offset;
    int fault = ask_hook(file->sim, SIM_PWRITE, file->name, &size);
    if (fault != 0) {
        return fault;
    }
    if (!file->writable) {
        return -EBADF;
    }
    for (uint64_t position = offset, end; position < offset + size; position = end) {
        end = step_end(file->sim, position, offset + size);
        file_point(file, SCHED_WRITE, position, end);
        if (end > inode_of(file)->now.length) {
            change_length(file, end);
        }
        change(file, position, end, (const uint8_t *)buffer + (position - offset));
    }
    return (ssize_t)size;
}

static int sim_punch(struct addcow_file *self, uint64_t offset, uint64_t size)
{
    struct sim_file *file = sim_of(self);
    int fault = ask_hook(file->sim, SIM_PUNCH, file->name, NULL);
    if (fault != 0 || file->sim->punch_refused) {
        return fault != 0 ? fault : -EOPNOTSUPP;
    }
    uint64_t length = inode_of(file)->now.length;
    uint64_t limit = offset + size < length ? offset + size : length;
    for (uint64_t position = offset, end; position < limit; position = end) {
        end = step_end(file->sim, position, limit);
        file_point(file, SCHED_WRITE, position, end);
        change(file, position, end, NULL);
    }
    return 0;
}

/* Every aligned block of zeros is a hole, as if they were never stored. */
static int sim_next_data(struct addcow_file *self, uint64_t offset, uint64_t *data)
{
    struct sim_file *file = sim_of(self);
    const struct content *now = &inode_of(file)->now;
    whole_file_point(file, SCHED_READ);
    uint64_t position = offset < now->length ? offset : now->length;
    while (position < now->length && now->bytes[position] == 0) {
        position++;
    }
    uint64_t block = position < now->length ? position / HOLE_BYTES * HOLE_BYTES : position;
    *data = block > offset ? block : offset;
    return 0;
}

static int sim_sync(struct addcow_file *self)
{
    struct sim_file *file = sim_of(self);
    int fault = ask_hook(file->sim, SIM_SYNC, file->name, NULL);
    whole_file_point(file, SCHED_WRITE);
    if (fault != -EINTR && fault != SIM_DEAD) {
        log_event(file->sim, fault != 0 ? EVENT_SYNC_FAILED : EVENT_SYNC, file->inode);
    }
    return fault;
}

static int sim_length(struct addcow_file *self, uint64_t *length)
{
    struct sim_file *file = sim_of(self);
    int fault = ask_hook(file->sim, SIM_LENGTH, file->name, NULL);
    whole_file_point(file, SCHED_READ);
    *length = inode_of(file)->now.length;
    return fault;
}

static int sim_truncate(struct addcow_file *self, uint64_t length)
{
    struct sim_file *file = sim_of(self);
    int fault = ask_hook(file->sim, SIM_TRUNCATE, file->name, NULL);
    if (fault != 0) {
        return fault;
    }
    whole_file_point(file, SCHED_WRITE);
    change_length(file, length);
    return 0;
}

static void unlock(struct sim_file *file)
{
    struct inode *inode = inode_of(file);
    if (file->lock == LOCK_SHARED) {
        inode->readers--;
    } else if (file->lock == LOCK_EXCLUSIVE) {
        inode->writer = false;
    }
    file->lock = LOCK_NONE;
}

static int sim_lock(struct addcow_file *self, int exclusive)
{
    struct sim_file *file = sim_of(self);
    struct inode *inode = inode_of(file);
    int fault = ask_hook(file->sim, SIM_LOCK, file->name, NULL);
    if (fault != 0) {
        return fault;
    }
    uint32_t others = inode->readers - (file->lock == LOCK_SHARED);
    bool written = inode->writer && file->lock != LOCK_EXCLUSIVE;
    if (written || (exclusive && others > 0)) {
        return -EAGAIN;
    }
    unlock(file);
    file->lock = exclusive ? LOCK_EXCLUSIVE : LOCK_SHARED;
    inode->writer = exclusive != 0;
    inode->readers += exclusive == 0;
    return 0;
}

static int sim_identity(struct addcow_file *self, struct addcow_identity *identity)
{
    struct sim_file *file = sim_of(self);
    *identity = (struct addcow_identity){.device = 1, .inode = file->inode};
    return ask_hook(file->sim, SIM_IDENTITY, file->name, NULL);
}

static int sim_close(struct addcow_file *self)
{
    struct sim_file *file = sim_of(self);
    int fault = ask_hook(file->sim, SIM_CLOSE, file->name, NULL);
    unlock(file);
    file->sim->open--;
    free(file);
    return fault;
}

static const struct addcow_file_ops file_ops = {
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .sync = sim_sync,
    .length = sim_length,
    .truncate = sim_truncate,
    .punch = sim_punch,
    .next_data = sim_next_data,
    .lock = sim_lock,
    .identity = sim_identity,
    .close = sim_close,
};

/* ---- The directory ---- */

static struct sim *storage_of(struct addcow_storage *storage)
{
    return (struct sim *)storage;
}

static int sim_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                    struct addcow_file **opened)
{
    struct sim *sim = storage_of(storage);
    int fault = ask_hook(sim, SIM_OPEN, path, NULL);
    if (fault != 0) {
        return fault;
    }
    uint32_t name = find_name(sim->names, path);
    bool create = mode == ADDCOW_FILE_CREATE;
    if (create != (name == SIM_FILES_MAX)) {
        return create ? -EEXIST : -ENOENT;
    }
    uint32_t inode = create ? new_inode(sim) : sim->names[name].inode;
    if (create) {
        set_name(sim->names, path, inode);
        snprintf(log_event(sim, EVENT_CREATE, inode)->name, SIM_NAME_BYTES, "%s", path);
    }
    struct sim_file *file = report_allocate(1, sizeof *file);
    *file =
        (struct sim_file){.file = {.ops = &file_ops}, .sim = sim, .inode = inode, .writable = mode != ADDCOW_FILE_READ};
    snprintf(file->name, sizeof file->name, "%s", path);
    sim->open++;
    *opened = &file->file;
    return 0;
}

static int sim_remove(struct addcow_storage *storage, const char *path)
{
    struct sim *sim = storage_of(storage);
    int fault = ask_hook(sim, SIM_REMOVE, path, NULL);
    uint32_t name = find_name(sim->names, path);
    if (fault != 0 || name == SIM_FILES_MAX) {
        return fault != 0 ? fault : -ENOENT;
    }
    snprintf(log_event(sim, EVENT_REMOVE, sim->names[name].inode)->name, SIM_NAME_BYTES, "%s", path);
    remove_name(sim->names, path);
    return 0;
}

static int sim_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    struct sim *sim = storage_of(storage);
    int fault = ask_hook(sim, SIM_RENAME, from, NULL);
    uint32_t name = find_name(sim->names, from);
    if (fault != 0 || name == SIM_FILES_MAX) {
        return fault != 0 ? fault : -ENOENT;
    }
    if (!replace && find_name(sim->names, to) < SIM_FILES_MAX) {
        return -EEXIST;
    }
    uint32_t inode = sim->names[name].inode;
    struct event *event = log_event(sim, EVENT_RENAME, inode);
    snprintf(event->name, SIM_NAME_BYTES, "%s", to);
    snprintf(event->from, SIM_NAME_BYTES, "%s", from);
    remove_name(sim->names, from);
    set_name(sim->names, to, inode);
    return 0;
}

struct sim *sim_make(void)
{
    static const struct addcow_storage_ops ops = {.open = sim_open, .remove = sim_remove, .rename = sim_rename};
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

void sim_set_hook(struct sim *sim, sim_hook *hook, void *context)
{
    sim->hook = hook;
    sim->hook_context = context;
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
    uint32_t at = find_name(sim->names, name);
    uint32_t inode = at < SIM_FILES_MAX ? sim->names[at].inode : new_inode(sim);
    set_name(sim->names, name, inode);
    struct content *now = &sim->list[inode].now;
    set_length(now, length);
    if (length > 0) {
        memcpy(now->bytes, bytes, length);
    }
}

const uint8_t *sim_bytes(const struct sim *sim, const char *name, uint64_t *length)
{
    uint32_t at = find_name(sim->names, name);
    if (at == SIM_FILES_MAX) {
        return NULL;
    }
    const struct content *now = &sim->list[sim->names[at].inode].now;
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

static void forget_log(struct sim *sim)
{
    sim->event_count = 0;
    sim->pool_used = 0;
}

void sim_keep(struct sim *sim)
{
    assert(sim->open == 0);
    for (uint32_t i = 0; i < sim->inodes; i++) {
        copy_content(&sim->list[i].kept, &sim->list[i].now);
    }
    memcpy(sim->names_kept, sim->names, sizeof sim->names);
    sim->inodes_kept = sim->inodes;
    forget_log(sim);
}

void sim_restore(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->inodes_kept; i++) {
        copy_content(&sim->list[i].now, &sim->list[i].kept);
        sim->list[i].readers = 0;
        sim->list[i].writer = false;
    }
    memcpy(sim->names, sim->names_kept, sizeof sim->names);
    sim->inodes = sim->inodes_kept;
    sim->open = 0;
    forget_log(sim);
}

/* ---- Choices ---- */

uint32_t choices_make(struct choices *choices, uint32_t radix)
{
    assert(radix > 0);
    if (radix == 1) {
        return 0;
    }
    if (choices->random != NULL) {
        return (uint32_t)random_below(choices->random, radix);
    }
    uint32_t at = choices->count++;
    if (at == CHOICES_MAX) {
        report_fatal("too many choices for an exhaustive search");
    }
    if (at == choices->known) {
        choices->digits[at] = 0;
        choices->known++;
    }
    choices->radices[at] = radix;
    return choices->digits[at];
}

bool choices_next(struct choices *choices)
{
    choices->count = 0;
    while (choices->known > 0 && choices->digits[choices->known - 1] + 1 == choices->radices[choices->known - 1]) {
        choices->known--;
    }
    if (choices->known == 0) {
        return false;
    }
    choices->digits[choices->known - 1]++;
    return true;
}

/* ---- Crashes ---- */

/* The changes of one file that no sync has covered, in order, as numbers of events. */
struct unsynced {
    const struct event **list;
    bool *loose; /* no later sync covers it: one has failed */
    uint32_t count;
};

static void apply(const struct sim *from, const struct event *event, struct content *content)
{
    if (event->kind == EVENT_LENGTH) {
        set_length(content, event->number);
        return;
    }
    uint64_t count = sector_bytes(content, event->number);
    if (count > 0) {
        memcpy(content->bytes + event->number * SIM_SECTOR, from->pool + event->data, count);
    }
}

/* A sync: what was written is on the disk now, but for what an earlier sync has failed on. */
static void cover(const struct sim *from, struct unsynced *unsynced, struct content *content)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < unsynced->count; i++) {
        const struct event *event = unsynced->list[i];
        if (unsynced->loose[i]) {
            unsynced->list[kept] = event;
            unsynced->loose[kept++] = true;
            continue;
        }
        apply(from, event, content);
        uint32_t others = 0;
        for (uint32_t j = 0; j < kept; j++) {
            if (unsynced->list[j]->kind != event->kind ||
                (event->kind == EVENT_SECTOR && unsynced->list[j]->number != event->number)) {
                unsynced->list[others++] = unsynced->list[j];
            }
        }
        kept = others;
    }
    unsynced->count = kept;
}

/*
 * The length of a file after the crash: that on the disk or any later one. *cut is the number of changes that came
 * before it was set.
 */
static void choose_length(const struct unsynced *unsynced, struct choices *choices, struct content *content,
                          uint32_t *cut)
{
    uint32_t lengths = 1;
    for (uint32_t i = 0; i < unsynced->count; i++) {
        lengths += unsynced->list[i]->kind == EVENT_LENGTH;
    }
    uint32_t chosen = choices_make(choices, lengths);
    *cut = 0;
    for (uint32_t i = 0; i < unsynced->count && chosen > 0; i++) {
        if (unsynced->list[i]->kind == EVENT_LENGTH) {
            set_length(content, unsynced->list[i]->number);
            chosen--;
            *cut = i + 1;
        }
    }
}

/* Whether the length that was chosen has cut off what change number `i` wrote. */
static bool is_cut_off(const struct unsynced *unsynced, uint32_t i, uint32_t cut)
{
    for (uint32_t j = i + 1; j < cut; j++) {
        if (unsynced->list[j]->kind == EVENT_LENGTH &&
            unsynced->list[j]->number <= unsynced->list[i]->number * SIM_SECTOR) {
            return true;
        }
    }
    return false;
}

/* Mixes old and new bytes of a sector: new ones up to a byte that differs, or from there on, or any. */
static void tear(struct choices *choices, uint8_t *bytes, const uint8_t *newer, uint64_t count)
{
    uint32_t differing = 0;
    for (uint64_t i = 0; i < count; i++) {
        differing += bytes[i] != newer[i];
    }
    uint32_t pattern = differing < 2 ? 1 : choices_make(choices, 3);
    uint32_t limit = differing < 2 || pattern == 2 ? differing : choices_make(choices, differing + 1);
    uint32_t seen = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (bytes[i] == newer[i]) {
            continue;
        }
        bool take = pattern == 0 ? seen < limit : pattern == 1 ? seen >= limit || differing < 2 : true;
        if (pattern == 2 && choices->random != NULL) {
            take = random_once_in(choices->random, 2);
        }
        bytes[i] = take ? newer[i] : bytes[i];
        seen++;
    }
}

struct crash {
    const struct sim *from;
    const struct sim_crash_options *options;
    struct choices *choices;
    const struct unsynced *unsynced;
    uint32_t cut;
    bool uniform;
    uint64_t torn_from; /* bytes of the file from which on sectors tear */
    uint32_t version;   /* of every sector, if uniform */
};

/* The next version of a sector after change number `i`, or from `first` on; UINT32_MAX if there is none. */
static uint32_t next_version(const struct crash *crash, uint32_t i, uint64_t sector)
{
    for (; i < crash->unsynced->count; i++) {
        const struct event *event = crash->unsynced->list[i];
        if (event->kind == EVENT_SECTOR && event->number == sector && !is_cut_off(crash->unsynced, i, crash->cut)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* How many versions a sector has that differ, one after the other, that on the disk included. */
static uint32_t count_versions(const struct crash *crash, uint32_t first, const struct content *content)
{
    uint64_t sector = crash->unsynced->list[first]->number;
    uint64_t count = sector_bytes(content, sector);
    const uint8_t *last = content->bytes + sector * SIM_SECTOR;
    uint32_t versions = 1;
    for (uint32_t i = next_version(crash, first, sector); i != UINT32_MAX; i = next_version(crash, i + 1, sector)) {
        const uint8_t *bytes = crash->from->pool + crash->unsynced->list[i]->data;
        versions += count > 0 && memcmp(bytes, last, count) != 0;
        last = bytes;
    }
    return versions;
}

/* Gives a sector, whose first unsynced change is number `first`, one of its versions. */
static void choose_sector(const struct crash *crash, uint32_t first, struct content *content)
{
    const struct unsynced *unsynced = crash->unsynced;
    uint64_t sector = unsynced->list[first]->number;
    uint64_t count = sector_bytes(content, sector);
    uint8_t *bytes = content->bytes + sector * SIM_SECTOR;
    uint32_t versions = count_versions(crash, first, content);
    uint32_t chosen = crash->version < versions ? crash->version : versions - 1;
    if (!crash->uniform) {
        chosen = choices_make(crash->choices, versions);
    }
    for (uint32_t i = next_version(crash, first, sector); chosen > 0; i = next_version(crash, i + 1, sector)) {
        const struct event *event = unsynced->list[i];
        if (memcmp(bytes, crash->from->pool + event->data, count) == 0) {
            continue; /* no version of its own */
        }
        if (--chosen == 0 && sector * SIM_SECTOR >= crash->torn_from) {
            tear(crash->choices, bytes, crash->from->pool + event->data, count);
        } else {
            apply(crash->from, event, content);
        }
    }
}

static bool is_first_of_sector(const struct unsynced *unsynced, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (unsynced->list[j]->kind == EVENT_SECTOR && unsynced->list[j]->number == unsynced->list[i]->number) {
            return false;
        }
    }
    return unsynced->list[i]->kind == EVENT_SECTOR;
}

static uint32_t most_versions(const struct unsynced *unsynced)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < unsynced->count; i++) {
        uint32_t versions = 1;
        for (uint32_t j = i; j < unsynced->count && is_first_of_sector(unsynced, i); j++) {
            versions +=
                unsynced->list[j]->kind == EVENT_SECTOR && unsynced->list[j]->number == unsynced->list[i]->number;
        }
        most = versions > most ? versions : most;
    }
    return most;
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t torn_from(const struct sim_crash_options *options, const char *name)
{
    for (size_t i = 0; i < sizeof options->torn / sizeof options->torn[0]; i++) {
        if (options->torn[i].name != NULL && strcmp(options->torn[i].name, name) == 0) {
            return options->torn[i].from;
        }
    }
    return UINT64_MAX;
}

/* Makes *content, which is the file `inode` as it was kept, what is on the disk after the crash. */
static void crash_file(struct crash *crash, uint64_t moment, uint32_t inode, const char *name, struct content *content)
{
    const struct sim *from = crash->from;
    struct unsynced unsynced = {
        .list = report_allocate(moment, sizeof *unsynced.list),
        .loose = report_allocate(moment, sizeof *unsynced.loose),
    };
    for (uint64_t i = 0; i < moment; i++) {
        const struct event *event = &from->events[i];
        if (event->inode != inode) {
            continue;
        }
        if (event->kind == EVENT_SYNC) {
            cover(from, &unsynced, content);
        } else if (event->kind == EVENT_SYNC_FAILED) {
            memset(unsynced.loose, 1, unsynced.count * sizeof *unsynced.loose);
        } else if (event->kind == EVENT_SECTOR || event->kind == EVENT_LENGTH) {
            unsynced.loose[unsynced.count] = false;
            unsynced.list[unsynced.count++] = event;
        }
    }
    crash->unsynced = &unsynced;
    crash->uniform = is_listed(crash->options->uniform, name) && crash->choices->random == NULL;
    crash->torn_from = torn_from(crash->options, name);
    choose_length(&unsynced, crash->choices, content, &crash->cut);
    if (crash->uniform) {
        crash->version = choices_make(crash->choices, most_versions(&unsynced));
    }
    for (uint32_t i = 0; i < unsynced.count; i++) {
        if (is_first_of_sector(&unsynced, i)) {
            choose_sector(crash, i, content);
        }
    }
    free(unsynced.list);
    free(unsynced.loose);
}

/* The names after the crash. */
static void crash_names(const struct sim *from, uint64_t moment, struct choices *choices, struct name *names)
{
    memcpy(names, from->names_kept, sizeof from->names_kept);
    uint64_t durable = 0; /* events up to the last rename */
    for (uint64_t i = 0; i < moment; i++) {
        durable = from->events[i].kind == EVENT_RENAME ? i + 1 : durable;
    }
    for (uint64_t i = 0; i < moment; i++) {
        const struct event *event = &from->events[i];
        bool sure = i < durable;
        if (event->kind == EVENT_CREATE && (sure || choices_make(choices, 2) == 1)) {
            set_name(names, event->name, event->inode);
        } else if (event->kind == EVENT_REMOVE && (sure || choices_make(choices, 2) == 1)) {
            remove_name(names, event->name);
        } else if (event->kind == EVENT_RENAME) {
            remove_name(names, event->from);
            set_name(names, event->name, event->inode);
        }
    }
}

void sim_crash(const struct sim *from, uint64_t moment, const struct sim_crash_options *options,
               struct choices *choices, struct sim *to)
{
    struct crash crash = {.from = from, .options = options, .choices = choices};
    assert(moment <= from->event_count);
    sim_restore(to);
    crash_names(from, moment, choices, to->names);
    to->inodes = from->inodes;
    for (uint32_t i = 0; i < from->inodes; i++) {
        const char *name = "";
        for (uint32_t k = 0; k < SIM_FILES_MAX; k++) {
            if (to->names[k].text[0] != '\0' && to->names[k].inode == i) {
                name = to->names[k].text;
            }
        }
        struct content *content = &to->list[i].now;
        if (i < from->inodes_kept) {
            copy_content(content, &from->list[i].kept);
        } else {
            set_length(content, 0);
        }
        if (name[0] != '\0') {
            crash_file(&crash, moment, i, name, content);
        }
        to->list[i].readers = 0;
        to->list[i].writer = false;
    }
}

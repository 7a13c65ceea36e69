/*
 * Finds out what a call has done, and records it.
 *
 * The bytes are read back from the file, whose descriptor /proc opens again. The file's length is recorded before the
 * bytes if the call may have changed it. What a call has done to names is the difference between two listings of the
 * directory.
 */
#include "observe/traced_record.h"

#include "observe/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DURABLE_FLAGS (O_SYNC | O_DSYNC)
#define RWF_DURABLE 6u /* RWF_DSYNC, RWF_SYNC */

bool recorder_open(struct recorder *recorder, struct watch *watch)
{
    *recorder = (struct recorder){.watch = watch, .file = -1};
    recorder->directory = open(watch->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (watch->record[0] != '\0') {
        recorder->file = open(watch->record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    return recorder->directory >= 0 && (recorder->file >= 0 || watch->record[0] == '\0');
}

bool recorder_wants(const struct recorder *recorder, const struct traced_call *call)
{
    if (recorder->file < 0 || call->shape == NULL || call->shape->kind == WATCH_READ) {
        return false;
    }
    bool by_flags = call->shape->kind == WATCH_OPEN; /* openat2 keeps its flags in memory: it may do anything */
    uint64_t flags = strcmp(call->shape->name, "openat") == 0 ? call->arguments[2]
                     : strcmp(call->shape->name, "open") == 0 ? call->arguments[1]
                                                              : O_CREAT;
    return !by_flags || (flags & (O_CREAT | O_TRUNC)) != 0;
}

/* ---- Entries ---- */

static struct record make_entry(const struct recorder *recorder, const struct traced_call *call, enum record_kind kind)
{
    struct record record = {.kind = kind, .request = atomic_load(&recorder->watch->request)};
    memcpy(record.name, call->name, sizeof record.name);
    snprintf(record.call, sizeof record.call, "%s", call->shape->name);
    return record;
}

/* Appends an entry and its data in one write, so that a reader finds whole ones. */
static void append(struct recorder *recorder, const struct record *record, const void *data)
{
    struct iovec parts[] = {{(void *)(uintptr_t)record, sizeof *record},
                            {(void *)(uintptr_t)data, (size_t)record->data_length}};
    size_t wanted = sizeof *record + (size_t)record->data_length;
    if (writev(recorder->file, parts, 2) != (ssize_t)wanted) {
        atomic_fetch_or(&recorder->watch->unseen, 1u << WATCH_UNSEEN_LIMIT);
    }
    atomic_fetch_add(&recorder->watch->records, 1);
}

static void append_kind(struct recorder *recorder, const struct traced_call *call, enum record_kind kind)
{
    struct record record = make_entry(recorder, call, kind);
    append(recorder, &record, NULL);
}

static void append_length(struct recorder *recorder, const struct traced_call *call, uint64_t length)
{
    struct record record = make_entry(recorder, call, RECORD_LENGTH);
    record.length = length;
    append(recorder, &record, NULL);
}

/* Records file[begin, end) as it is now. */
static void append_bytes(struct recorder *recorder, const struct traced_call *call, int file, uint64_t begin,
                         uint64_t end)
{
    struct record record = make_entry(recorder, call, RECORD_WRITE);
    uint8_t *bytes = malloc((size_t)(end - begin) + 1);
    ssize_t got = bytes != NULL ? pread(file, bytes, (size_t)(end - begin), (off_t)begin) : -1;
    record.offset = begin;
    record.length = record.data_length = got > 0 ? (uint64_t)got : 0;
    if (got < 0) {
        atomic_fetch_or(&recorder->watch->unseen, 1u << WATCH_UNSEEN_LIMIT);
    } else if (got > 0) {
        append(recorder, &record, bytes);
    }
    free(bytes);
}

/* ---- Names ---- */

static void list_names(const struct recorder *recorder, struct directory_snapshot *snapshot)
{
    int again = openat(recorder->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again >= 0 ? fdopendir(again) : NULL;
    snapshot->count = 0;
    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' && (length == 1 || (length == 2 && entry->d_name[1] == '.'))) {
            continue;
        }
        if (length >= WATCH_NAME_BYTES || snapshot->count == SNAPSHOT_MAX) {
            atomic_fetch_or(&recorder->watch->unseen, 1u << WATCH_UNSEEN_DEEPER);
            continue;
        }
        memcpy(snapshot->list[snapshot->count].name, entry->d_name, length + 1);
        snapshot->list[snapshot->count++].inode = entry->d_ino;
    }
    if (list != NULL) {
        closedir(list);
    }
}

static ino_t inode_of(const struct directory_snapshot *snapshot, const char *name)
{
    for (unsigned i = 0; i < snapshot->count; i++) {
        if (strcmp(snapshot->list[i].name, name) == 0) {
            return snapshot->list[i].inode;
        }
    }
    return 0;
}

static const char *name_of(const struct directory_snapshot *snapshot, ino_t inode)
{
    for (unsigned i = 0; i < snapshot->count; i++) {
        if (snapshot->list[i].inode == inode) {
            return snapshot->list[i].name;
        }
    }
    return NULL;
}

/* A name has another file than before: a new one, one that was renamed, or one that was linked. */
static void record_new_name(struct recorder *recorder, const struct traced_call *call,
                            const struct directory_snapshot *after, const char *name, ino_t inode)
{
    const char *old = name_of(&recorder->before, inode);
    bool stays = old != NULL && inode_of(after, old) == inode;
    struct record record = make_entry(recorder, call,
                                      old == NULL ? RECORD_CREATE
                                      : stays     ? RECORD_LINK
                                                  : RECORD_RENAME);
    snprintf(record.name, sizeof record.name, "%s", name);
    snprintf(record.other, sizeof record.other, "%s", old != NULL ? old : "");
    append(recorder, &record, NULL);
}

/* Whether the file that had a name has got another one: so the call was a rename, and not the removal of one link. */
static bool was_renamed(const struct recorder *recorder, const struct directory_snapshot *after, ino_t inode)
{
    for (unsigned i = 0; i < after->count; i++) {
        if (after->list[i].inode == inode && inode_of(&recorder->before, after->list[i].name) != inode) {
            return true;
        }
    }
    return false;
}

static void record_names(struct recorder *recorder, const struct traced_call *call)
{
    struct directory_snapshot after;
    list_names(recorder, &after);
    for (unsigned i = 0; i < after.count; i++) {
        if (inode_of(&recorder->before, after.list[i].name) != after.list[i].inode) {
            record_new_name(recorder, call, &after, after.list[i].name, after.list[i].inode);
        }
    }
    for (unsigned i = 0; i < recorder->before.count; i++) {
        const char *name = recorder->before.list[i].name;
        if (inode_of(&after, name) == 0 && !was_renamed(recorder, &after, recorder->before.list[i].inode)) {
            struct record record = make_entry(recorder, call, RECORD_REMOVE);
            snprintf(record.name, sizeof record.name, "%s", name);
            append(recorder, &record, NULL);
        }
    }
}

/* ---- Bytes ---- */

/* What /proc says of a descriptor. */
struct descriptor_state {
    uint64_t position;
    unsigned flags;
};

static struct descriptor_state descriptor_state(pid_t thread, int descriptor)
{
    struct descriptor_state state = {.position = 0};
    char path[64], line[128];
    unsigned long long position;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)thread, descriptor);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "pos: %llu", &position) == 1) {
            state.position = position;
        }
        (void)sscanf(line, "flags: %o", &state.flags);
    }
    if (file != NULL) {
        fclose(file);
    }
    return state;
}

static void record_durable_write(struct recorder *recorder, const struct traced_call *call, unsigned flags,
                                 uint64_t begin, uint64_t end)
{
    bool by_call = strcmp(call->shape->name, "pwritev2") == 0 && (call->arguments[5] & RWF_DURABLE) != 0;
    if ((flags & DURABLE_FLAGS) != 0 || by_call) {
        struct record record = make_entry(recorder, call, RECORD_SYNC);
        record.offset = begin;
        record.length = end - begin;
        append(recorder, &record, NULL);
    }
}

/* A transfer of `count` bytes into the file. */
static void record_write(struct recorder *recorder, pid_t thread, const struct traced_call *call, int file,
                         uint64_t count, uint64_t length)
{
    struct descriptor_state state = descriptor_state(thread, call->descriptor);
    uint64_t begin = 0;
    uint64_t end = length;
    if (call->shape->range == RANGE_AT_ARGUMENT && (int64_t)call->arguments[3] >= 0) {
        bool appends = (state.flags & O_APPEND) != 0;
        begin = appends ? length - count : call->arguments[3];
        end = begin + count;
    } else if (call->shape->range != RANGE_WHOLE) {
        begin = state.position - count;
        end = state.position;
    }
    append_bytes(recorder, call, file, begin, end);
    record_durable_write(recorder, call, state.flags, begin, end);
}

static void record_allocation(struct recorder *recorder, const struct traced_call *call, int file, uint64_t length)
{
    uint64_t mode = call->arguments[1];
    uint64_t begin = call->arguments[2] < length ? call->arguments[2] : length;
    uint64_t end = call->arguments[3] < length - begin ? begin + call->arguments[3] : length;
    append_length(recorder, call, length);
    if ((mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) != 0) {
        append_bytes(recorder, call, file, 0, length);
    } else if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0 && end > begin) {
        append_bytes(recorder, call, file, begin, end);
    }
}

/* The file of a call, opened for reading: by its descriptor, else by its name. */
static int open_file(const struct recorder *recorder, pid_t thread, const struct traced_call *call)
{
    char path[64];
    if (call->descriptor < 0) {
        return openat(recorder->directory, call->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)thread, call->descriptor);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void record_contents(struct recorder *recorder, pid_t thread, const struct traced_call *call, uint64_t result)
{
    struct stat status;
    int file = open_file(recorder, thread, call);
    if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        atomic_fetch_or(&recorder->watch->unseen, 1u << WATCH_UNSEEN_LIMIT);
    } else if (call->shape->kind == WATCH_WRITE) {
        record_write(recorder, thread, call, file, result, (uint64_t)status.st_size);
    } else if (call->shape->kind == WATCH_ALLOCATE) {
        record_allocation(recorder, call, file, (uint64_t)status.st_size);
    } else {
        append_length(recorder, call, (uint64_t)status.st_size);
    }
    if (file >= 0) {
        close(file);
    }
}

static void record_sync(struct recorder *recorder, const struct traced_call *call, bool success)
{
    bool all = call->shape->names == NAMES_ALL;
    if (!success) {
        append_kind(recorder, call, RECORD_SYNC_FAILED);
    } else {
        append_kind(recorder, call, all ? RECORD_SYNC_ALL : call->name[0] == '\0' ? RECORD_SYNC_NAMES : RECORD_SYNC);
    }
}

void recorder_begin(struct recorder *recorder, const struct traced_call *call)
{
    if (call->shape->kind == WATCH_NAMES || call->shape->kind == WATCH_OPEN) {
        list_names(recorder, &recorder->before);
    }
}

void recorder_end(struct recorder *recorder, pid_t thread, const struct traced_call *call, int64_t result)
{
    switch (call->shape->kind) {
    case WATCH_SYNC:
        record_sync(recorder, call, result >= 0);
        return;
    case WATCH_WRITE:
        if (result > 0) {
            record_contents(recorder, thread, call, (uint64_t)result);
        }
        return;
    case WATCH_OPEN:
        record_names(recorder, call);
        if (result >= 0 && inode_of(&recorder->before, call->name) != 0) {
            record_contents(recorder, thread, call, 0); /* it may have been truncated */
        }
        return;
    case WATCH_NAMES:
        record_names(recorder, call);
        return;
    default:
        if (result >= 0) {
            record_contents(recorder, thread, call, 0);
        }
    }
}

void recorder_fail_sync(struct recorder *recorder, const struct traced_call *call)
{
    append_kind(recorder, call, RECORD_SYNC_FAILED);
}

/*
 * A storage that records every call and lets chosen ones fail. It passes everything else on to POSIX files.
 */
#ifndef TESTS_SUPPORT_PROBE_H
#define TESTS_SUPPORT_PROBE_H

#include "support/files.h"

#include "addcow_storage.h"

enum event_kind { EVENT_READ, EVENT_WRITE, EVENT_SYNC, EVENT_TRUNCATE, EVENT_PUNCH, EVENT_SHARE, EVENT_CLOSE };

struct event {
    enum event_kind kind;
    char file; /* 'm' metadata, 'i' image, 'b' anything else */
    uint64_t offset;
    uint64_t size;
    int result; /* 0, or a negative errno */
};

#define EVENTS_MAX 65536

/*
 * Passes on to POSIX what `decide` lets pass: it returns 0, or a negative errno for the engine to get, or, for a
 * transfer, a positive limit of how many bytes may move.
 */
struct probe {
    struct addcow_storage storage;
    int (*decide)(struct probe *probe, const struct event *event);
    void *context;
    uint64_t longest; /* how long a file may become; 0: any length */
    bool shares;      /* files can share storage: a copy stands for it */
    pthread_mutex_t lock;
    size_t count;
    struct event events[EVENTS_MAX];
};

struct probe_file {
    struct addcow_file file;
    struct addcow_file *inner;
    struct probe *probe;
    char name;
};

static inline int probe_decide(struct probe_file *file, enum event_kind kind, uint64_t offset, uint64_t size)
{
    struct probe *probe = file->probe;
    struct event event = {.kind = kind, .file = file->name, .offset = offset, .size = size};
    pthread_mutex_lock(&probe->lock);
    int result = probe->decide ? probe->decide(probe, &event) : 0;
    event.result = result < 0 ? result : 0;
    if (probe->count < EVENTS_MAX) {
        probe->events[probe->count++] = event;
    }
    pthread_mutex_unlock(&probe->lock);
    return result;
}

static inline size_t probe_limit(size_t size, int result)
{
    return result > 0 && (size_t)result < size ? (size_t)result : size;
}

static inline ssize_t probe_pread(struct addcow_file *self, void *buffer, size_t size, uint64_t offset)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_READ, offset, size);
    return result < 0 ? result : file->inner->ops->pread(file->inner, buffer, probe_limit(size, result), offset);
}

static inline ssize_t probe_pwrite(struct addcow_file *self, const void *buffer, size_t size, uint64_t offset)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_WRITE, offset, size);
    return result < 0 ? result : file->inner->ops->pwrite(file->inner, buffer, probe_limit(size, result), offset);
}

static inline int probe_sync(struct addcow_file *self)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_SYNC, 0, 0);
    return result < 0 ? result : file->inner->ops->sync(file->inner);
}

static inline int probe_length(struct addcow_file *self, uint64_t *length)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->length(file->inner, length);
}

static inline int probe_truncate(struct addcow_file *self, uint64_t length)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_TRUNCATE, length, 0);
    return result < 0 ? result : file->inner->ops->truncate(file->inner, length);
}

static inline int probe_punch(struct addcow_file *self, uint64_t offset, uint64_t size)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_PUNCH, offset, size);
    return result < 0 ? result : file->inner->ops->punch(file->inner, offset, size);
}

/* If it is refused, half of the range has been changed. */
static inline int probe_share(struct addcow_file *self, struct addcow_file *source, uint64_t offset, uint64_t size)
{
    struct probe_file *file = (struct probe_file *)self;
    struct addcow_file *from = ((struct probe_file *)source)->inner;
    if (!file->probe->shares) {
        return -EOPNOTSUPP;
    }
    assert_true(offset % 4096 == 0 && size % 4096 == 0 && size > 0);
    int result = probe_decide(file, EVENT_SHARE, offset, size);
    if (result == -EINTR) {
        return result;
    }
    size_t moved = (size_t)(result < 0 ? size / 2 : size);
    uint8_t *bytes = malloc(moved);
    assert_non_null(bytes);
    assert_int_equal(from->ops->pread(from, bytes, moved, offset), moved);
    assert_int_equal(file->inner->ops->pwrite(file->inner, bytes, moved, offset), moved);
    free(bytes);
    return result;
}

static inline int probe_lock(struct addcow_file *self, int exclusive)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->lock(file->inner, exclusive);
}

static inline int probe_lock_data(struct addcow_file *self, int exclusive)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->lock_data(file->inner, exclusive);
}

static inline int probe_identity(struct addcow_file *self, struct addcow_identity *identity)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->identity(file->inner, identity);
}

static inline int probe_close(struct addcow_file *self)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_CLOSE, 0, 0);
    int inner = file->inner->ops->close(file->inner);
    free(file);
    return result < 0 ? result : inner;
}

static inline int probe_next_data(struct addcow_file *self, uint64_t offset, uint64_t *data)
{
    struct addcow_file *inner = ((struct probe_file *)self)->inner;
    return inner->ops->next_data(inner, offset, data);
}

static inline int probe_may_grow(struct addcow_file *self, uint64_t length)
{
    const struct probe *probe = ((struct probe_file *)self)->probe;
    return probe->longest > 0 && length > probe->longest ? -EFBIG : 0;
}

static inline int probe_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                             struct addcow_file **file)
{
    static const struct addcow_file_ops ops = {
        .struct_size = sizeof ops,
        .pread = probe_pread,
        .pwrite = probe_pwrite,
        .sync = probe_sync,
        .length = probe_length,
        .truncate = probe_truncate,
        .punch = probe_punch,
        .next_data = probe_next_data,
        .lock = probe_lock,
        .identity = probe_identity,
        .close = probe_close,
        .may_grow = probe_may_grow,
        .lock_data = probe_lock_data,
        .share = probe_share,
    };
    struct addcow_storage *posix = addcow_posix_storage();
    struct addcow_file *inner;
    int result = posix->ops->open(posix, path, mode, &inner);
    if (result < 0) {
        return result;
    }
    struct probe_file *opened = malloc(sizeof *opened);
    assert_non_null(opened);
    const char *name = strrchr(path, '/') + 1;
    *opened = (struct probe_file){
        .file = {.ops = &ops},
        .inner = inner,
        .probe = (struct probe *)storage,
        .name = strcmp(name, "disk.add-cow") == 0 ? 'm'
                : strcmp(name, "disk.raw") == 0   ? 'i'
                                                  : 'b',
    };
    *file = &opened->file;
    return 0;
}

/* The caller frees it after the disk is closed. */
static inline struct probe *make_probe(void)
{
    static const struct addcow_storage_ops ops = {.struct_size = sizeof ops, .open = probe_open};
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->storage.ops = &ops;
    pthread_mutex_init(&probe->lock, NULL);
    return probe;
}

static inline void free_probe(struct probe *probe)
{
    pthread_mutex_destroy(&probe->lock);
    free(probe);
}

/* How many events of this kind and file there are from the n-th on. */
static inline size_t count_events(const struct probe *probe, size_t from, enum event_kind kind, char file)
{
    size_t count = 0;
    for (size_t i = from; i < probe->count; i++) {
        count += probe->events[i].kind == kind && probe->events[i].file == file;
    }
    return count;
}

#endif

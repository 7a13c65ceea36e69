/*
 * A storage that fails at one chosen call, whatever it is, for tests that try every call of an operation in turn.
 *
 * It passes everything on to POSIX files. The call number `fail_at`, counted from 1 over all functions of both tables,
 * fails with `errnum`: before it does anything, or, if `after` is set, when it has done its work, which is how a sync
 * of a directory fails.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "addcow_storage.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct faults {
    struct addcow_storage storage;
    uint64_t calls;
    uint64_t fail_at; /* 0: never */
    uint64_t syncs;   /* that succeeded */
    int errnum;
    bool after;
};

struct faulty_file {
    struct addcow_file file;
    struct addcow_file *inner;
    struct faults *faults;
};

/* Whether this call fails, at its beginning or at its end. */
static inline bool fault_due(struct faults *faults, bool at_end)
{
    if (!at_end) {
        faults->calls++;
    }
    return faults->calls == faults->fail_at && at_end == faults->after;
}

/* Runs `call` on the inner file, with the fault before or after it. */
#define WITH_FAULT(faults, type, call)                                                                                 \
    do {                                                                                                               \
        if (fault_due(faults, false))                                                                                  \
            return -(faults)->errnum;                                                                                  \
        type result_ = (call);                                                                                         \
        return fault_due(faults, true) ? -(faults)->errnum : result_;                                                  \
    } while (0)

#define INNER(self) (((struct faulty_file *)(self))->inner)
#define FAULTS(self) (((struct faulty_file *)(self))->faults)

static inline ssize_t faulty_pread(struct addcow_file *self, void *buffer, size_t size, uint64_t offset)
{
    WITH_FAULT(FAULTS(self), ssize_t, INNER(self)->ops->pread(INNER(self), buffer, size, offset));
}

static inline ssize_t faulty_pwrite(struct addcow_file *self, const void *buffer, size_t size, uint64_t offset)
{
    WITH_FAULT(FAULTS(self), ssize_t, INNER(self)->ops->pwrite(INNER(self), buffer, size, offset));
}

static inline int faulty_sync_inner(struct addcow_file *self)
{
    int result = INNER(self)->ops->sync(INNER(self));
    FAULTS(self)->syncs += result == 0;
    return result;
}

static inline int faulty_sync(struct addcow_file *self)
{
    WITH_FAULT(FAULTS(self), int, faulty_sync_inner(self));
}

/* A failure at its beginning leaves rubbish. */
static inline int faulty_length(struct addcow_file *self, uint64_t *length)
{
    *length = UINT64_MAX;
    WITH_FAULT(FAULTS(self), int, INNER(self)->ops->length(INNER(self), length));
}

static inline int faulty_truncate(struct addcow_file *self, uint64_t length)
{
    WITH_FAULT(FAULTS(self), int, INNER(self)->ops->truncate(INNER(self), length));
}

static inline int faulty_punch(struct addcow_file *self, uint64_t offset, uint64_t size)
{
    WITH_FAULT(FAULTS(self), int, INNER(self)->ops->punch(INNER(self), offset, size));
}

static inline int faulty_lock(struct addcow_file *self, int exclusive)
{
    WITH_FAULT(FAULTS(self), int, INNER(self)->ops->lock(INNER(self), exclusive));
}

static inline int faulty_lock_data(struct addcow_file *self, int exclusive)
{
    WITH_FAULT(FAULTS(self), int, INNER(self)->ops->lock_data(INNER(self), exclusive));
}

static inline int faulty_identity(struct addcow_file *self, struct addcow_identity *identity)
{
    WITH_FAULT(FAULTS(self), int, INNER(self)->ops->identity(INNER(self), identity));
}

/* Frees the file even if it fails. An interrupted close has closed the file, and is no failure. */
static inline int faulty_close(struct addcow_file *self)
{
    struct faults *faults = FAULTS(self);
    bool failed = fault_due(faults, false);
    int result = INNER(self)->ops->close(INNER(self));
    failed |= fault_due(faults, true);
    free(self);
    return failed && faults->errnum != EINTR ? -faults->errnum : result;
}

static const struct addcow_file_ops faulty_file_ops = {
    .struct_size = sizeof faulty_file_ops,
    .pread = faulty_pread,
    .pwrite = faulty_pwrite,
    .sync = faulty_sync,
    .length = faulty_length,
    .truncate = faulty_truncate,
    .punch = faulty_punch,
    .lock = faulty_lock,
    .identity = faulty_identity,
    .close = faulty_close,
    .lock_data = faulty_lock_data,
};

/* A failure at its end would leave a file that nobody can close, so there is only the one at its beginning. */
static inline int faulty_open(struct addcow_storage *self, const char *path, enum addcow_open_mode mode,
                              struct addcow_file **file)
{
    struct faults *faults = (struct faults *)self;
    if (fault_due(faults, false)) {
        return -faults->errnum;
    }
    struct faulty_file *opened = malloc(sizeof *opened);
    if (!opened) {
        return -ENOMEM;
    }
    *opened = (struct faulty_file){.file = {&faulty_file_ops}, .faults = faults};
    int result = addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, &opened->inner);
    if (result < 0) {
        free(opened);
    } else {
        *file = &opened->file;
    }
    return result;
}

static inline int faulty_remove(struct addcow_storage *self, const char *path)
{
    WITH_FAULT((struct faults *)self, int, addcow_posix_storage()->ops->remove(addcow_posix_storage(), path));
}

static inline int faulty_rename(struct addcow_storage *self, const char *from, const char *to, int replace)
{
    WITH_FAULT((struct faults *)self, int,
               addcow_posix_storage()->ops->rename(addcow_posix_storage(), from, to, replace));
}

static inline struct faults make_faults(uint64_t fail_at, int errnum, bool after)
{
    static const struct addcow_storage_ops ops = {
        .struct_size = sizeof ops, .open = faulty_open, .remove = faulty_remove, .rename = faulty_rename};
    return (struct faults){.storage = {&ops}, .fail_at = fail_at, .errnum = errnum, .after = after};
}

#endif

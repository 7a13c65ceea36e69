/*
 * The files of another storage, some calls of which are a test's own.
 *
 * One at a time: a test's call finds what it replaced in changed_from().
 */
#ifndef TESTS_SUPPORT_CHANGED_FILES_H
#define TESTS_SUPPORT_CHANGED_FILES_H

#include "addcow_storage.h"

#include <string.h>

/* Puts own calls into the table of a file that was opened as `path`; all changed files have the same. */
typedef void change_calls(const char *path, struct addcow_file_ops *calls);

static struct {
    struct addcow_storage storage;
    struct addcow_storage *inner;
    change_calls *change;
    const struct addcow_file_ops *from;
    struct addcow_file_ops calls;
} changed;

/* The calls of the inner storage. */
static inline const struct addcow_file_ops *changed_from(void)
{
    return changed.from;
}

static inline int changed_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                               struct addcow_file **file)
{
    (void)storage;
    int result = changed.inner->ops->open(changed.inner, path, mode, file);
    if (result == 0) {
        struct addcow_file_ops calls = *(*file)->ops;
        changed.change(path, &calls);
        if (memcmp(&calls, (*file)->ops, sizeof calls) != 0) {
            changed.from = (*file)->ops;
            changed.calls = calls;
            (*file)->ops = &changed.calls;
        }
    }
    return result;
}

static inline int changed_remove(struct addcow_storage *storage, const char *path)
{
    (void)storage;
    return changed.inner->ops->remove(changed.inner, path);
}

static inline int changed_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    (void)storage;
    return changed.inner->ops->rename(changed.inner, from, to, replace);
}

/* The storage whose files `change` has changed; `inner` is null for the files of the system. */
static inline struct addcow_storage *changed_files(struct addcow_storage *inner, change_calls *change)
{
    static const struct addcow_storage_ops ops = {
        .struct_size = sizeof ops, .open = changed_open, .remove = changed_remove, .rename = changed_rename};
    changed.storage.ops = &ops;
    changed.inner = inner != NULL ? inner : addcow_posix_storage();
    changed.change = change;
    return &changed.storage;
}

#endif

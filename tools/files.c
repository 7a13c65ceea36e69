/*
 * The files of the engine, as far as a command has to know them.
 *
 * It uses the engine's POSIX files with two changes. They are noted by name while they are open: so a command can ask
 * for holes of the very file that the engine reads, which is another one than the path names if somebody replaced that
 * meanwhile. And they fail after a signal asked to stop, which ends a long create in the ordinary way, with all its
 * clean-up.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A chain has two files at each level, and a backing file; one more may be open for a moment. */
#define OPEN_MAX_FILES (2 * ADDCOW_CHAIN_MAX + 2)

static struct {
    struct addcow_file *file; /* null: the place is free */
    char *path;
} open_files[OPEN_MAX_FILES];

static const struct addcow_file_ops *posix; /* of every POSIX file */

static ssize_t stoppable_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    return signals_stopped() ? -ECANCELED : posix->pread(file, buffer, size, offset);
}

static ssize_t stoppable_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    return signals_stopped() ? -ECANCELED : posix->pwrite(file, buffer, size, offset);
}

static int stoppable_sync(struct addcow_file *file)
{
    return signals_stopped() ? -ECANCELED : posix->sync(file);
}

static int noted_close(struct addcow_file *file)
{
    for (size_t i = 0; i < OPEN_MAX_FILES; i++) {
        if (open_files[i].file == file) {
            open_files[i].file = NULL;
            free(open_files[i].path);
        }
    }
    return posix->close(file);
}

/* A file for which there is no place or no memory is just not known: holes of it are read. */
static void note(const char *path, struct addcow_file *file)
{
    size_t i = 0;
    while (i < OPEN_MAX_FILES && open_files[i].file) {
        i++;
    }
    char *copy = i < OPEN_MAX_FILES ? strdup(path) : NULL;
    if (copy) {
        open_files[i].file = file;
        open_files[i].path = copy;
    }
}

static int noted_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                      struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    (void)storage;
    struct addcow_storage *files = locking_storage();
    int result = files->ops->open(files, path, mode, file);
    if (result == 0) {
        posix = (*file)->ops;
        ops = *posix;
        ops.pread = stoppable_pread;
        ops.pwrite = stoppable_pwrite;
        ops.sync = stoppable_sync;
        ops.close = noted_close;
        (*file)->ops = &ops;
        note(path, *file);
    }
    return result;
}

struct addcow_storage *stoppable_storage(void)
{
    static struct addcow_storage_ops ops;
    static struct addcow_storage storage = {.ops = &ops};
    ops = *addcow_posix_storage()->ops;
    ops.open = noted_open;
    return &storage;
}

static struct addcow_file *find_file(const char *path)
{
    for (size_t i = 0; i < OPEN_MAX_FILES; i++) {
        if (open_files[i].file && strcmp(open_files[i].path, path) == 0) {
            return open_files[i].file;
        }
    }
    return NULL;
}

uint64_t hole_end(const char *path, uint64_t offset)
{
    struct addcow_file *file = find_file(path);
    uint64_t data;
    if (!file || !file->ops->next_data || file->ops->next_data(file, offset, &data) < 0 || data < offset) {
        return offset;
    }
    return data;
}

typedef int search_function(struct addcow_file *file, uint64_t offset, uint64_t *found);

/* Where `find` leads, between `offset` and `end`; to `unknown` if the file system does not tell. */
static int search(struct addcow_file *file, search_function *find, uint64_t offset, uint64_t end, uint64_t unknown,
                  uint64_t *found)
{
    int result;
    do {
        result = find ? find(file, offset, found) : -EOPNOTSUPP;
    } while (result == -EINTR);
    if (result == -EOPNOTSUPP) {
        *found = unknown;
        return 0;
    }
    bool beyond = result == 0 && (*found < offset || *found > end); /* before it: the file has been cut */
    *found = beyond ? end : *found;
    return result;
}

int next_change(const char *path, uint64_t offset, uint64_t end, bool *data, uint64_t *change)
{
    struct addcow_file *file = find_file(path);
    int result = search(file, file ? file->ops->next_data : NULL, offset, end, offset, change);
    if (result < 0) {
        return result;
    }
    *data = *change == offset;
    if (!*data) {
        return 0;
    }
    return search(file, file ? file->ops->next_hole : NULL, offset, end, end, change);
}

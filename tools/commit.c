/*
 * stream and commit: the commands that copy a whole disk, up from its backing file or down into it.
 *
 * Commit goes down one layer: into the backing file of the disk. With --base it goes on from there, down to the backing
 * file that is asked for. Each disk on the way is whole at every moment, and afterwards reads the same as the uppermost
 * one.
 *
 * --grow-backing first makes a backing file as long as the disk above it. A disk reads zeros past the end of its
 * backing file, and the new bytes are zeros: so this changes nothing that any disk above the file reads, and it does no
 * harm if the commit fails afterwards. The file is locked meanwhile.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct {
    const char *base;  /* commit only; null: the backing file of the disk itself */
    bool grow_backing; /* commit only */
    bool progress;
    bool quiet;
} long_options;

static const struct command_option stream_table[] = {
    {0, "direct", OPTION_SWITCH, &direct},
    {'p', "progress", OPTION_SWITCH, &long_options.progress},
    {'q', "quiet", OPTION_SWITCH, &long_options.quiet},
    OPTIONS_END,
};

static const struct command_option commit_table[] = {
    {'b', "base", OPTION_PATH, &long_options.base},
    {0, "grow-backing", OPTION_SWITCH, &long_options.grow_backing},
    {0, "direct", OPTION_SWITCH, &direct},
    {'p', "progress", OPTION_SWITCH, &long_options.progress},
    {'q', "quiet", OPTION_SWITCH, &long_options.quiet},
    OPTIONS_END,
};

typedef enum addcow_status long_operation(struct addcow *disk, addcow_progress *progress, void *context,
                                          struct addcow_error *error);

static int run_long(const char *path, long_operation *operation)
{
    struct addcow *disk;
    int code = open_disk(path, ADDCOW_OPEN_READWRITE, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct progress progress;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    progress_start(&progress, long_options.progress, long_options.quiet);
    enum addcow_status result = operation(disk, progress_step, &progress, &error);
    progress_end(&progress);
    if (result != ADDCOW_OK && signals_stopped() && error.errnum == ECANCELED) {
        code = complain("%s: interrupted; no data is lost, and the command can be repeated", path);
    } else if (result != ADDCOW_OK) {
        code = complain_error(&error);
    }
    return close_disk(disk, code);
}

static int say_done(int code, const char *done)
{
    if (code == EXIT_OK && !long_options.quiet) {
        printf("%s\n", done);
    }
    return code;
}

static int run_stream(const struct operands *operands)
{
    return say_done(run_long(operands->item[0], addcow_stream), "Image streamed.");
}

/* ---- The layers of a commit ---- */

/* A disk that is committed into its backing file. */
struct layer {
    char *path;
    char *backing; /* null: it has none */
    bool raw;      /* the backing file is */
    uint64_t size; /* of the disk, in bytes */
};

struct layers {
    struct layer item[ADDCOW_CHAIN_MAX]; /* from the uppermost disk down */
    unsigned count;
};

/* Adds the disk `path`. It is closed again, so that its locks do not stand in the way. */
static int add_layer(struct layers *layers, const char *path)
{
    if (layers->count == ADDCOW_CHAIN_MAX) {
        return complain("%s: the chain has more than %d metadata files (%s, LNK-09)", path, ADDCOW_CHAIN_MAX,
                        addcow_status_name(ADDCOW_UNSUPPORTED));
    }
    struct addcow *disk;
    int code = open_disk(path, ADDCOW_OPEN_NO_BACKING, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct layer *layer = &layers->item[layers->count++];
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    *layer = (struct layer){.path = strdup(path), .size = info.virtual_size};
    if (info.backing_path) {
        layer->backing = strdup(info.backing_path);
        layer->raw = strcmp(info.backing_format, "raw") == 0;
    }
    if (!layer->path || (info.backing_path && !layer->backing)) {
        code = complain("%s: %s", path, strerror(ENOMEM));
    }
    return close_disk(disk, code);
}

static void free_layers(struct layers *layers)
{
    while (layers->count > 0) {
        free(layers->item[--layers->count].path);
        free(layers->item[layers->count].backing);
    }
}

/* A device may have several names that are no links of each other (LNK-07). */
static bool is_base(const struct layer *layer, const struct stat *base)
{
    struct stat status;
    if (!layer->backing || stat(layer->backing, &status) != 0) {
        return false;
    }
    if (S_ISBLK(status.st_mode) && S_ISBLK(base->st_mode)) {
        return status.st_rdev == base->st_rdev;
    }
    return status.st_dev == base->st_dev && status.st_ino == base->st_ino;
}

/* The disks from `path` down to the one whose backing file is asked for. Nothing is changed. */
static int find_layers(struct layers *layers, const char *path)
{
    struct stat base;
    if (long_options.base && stat(long_options.base, &base) != 0) {
        return complain("%s: %s", long_options.base, strerror(errno));
    }
    for (const char *next = path;;) {
        int code = add_layer(layers, next);
        const struct layer *last = &layers->item[layers->count > 0 ? layers->count - 1 : 0];
        if (code != EXIT_OK || !long_options.base || is_base(last, &base)) {
            return code;
        }
        if (!last->backing || last->raw) {
            return complain("%s: is no backing file below %s", long_options.base, path);
        }
        next = last->backing;
    }
}

/* ---- Longer backing files ---- */

static int grow_disk(const struct layer *layer)
{
    struct addcow *disk;
    int code = open_disk(layer->backing, ADDCOW_OPEN_READWRITE, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow_error error = ADDCOW_ERROR_INIT;
    bool grown = addcow_size(disk) >= layer->size || addcow_resize(disk, layer->size, &error) == ADDCOW_OK;
    return close_disk(disk, grown ? EXIT_OK : complain_error(&error));
}

static int make_longer(struct addcow_file *file, uint64_t size)
{
    int result;
    do {
        result = file->ops->truncate(file, size);
    } while (result == -EINTR);
    if (result < 0) {
        return result;
    }
    do {
        result = file->ops->sync(file);
    } while (result == -EINTR);
    return result;
}

/* Locks, makes longer and syncs. Returns 0 or a negative errno. */
static int grow_file(struct addcow_file *file, uint64_t size)
{
    uint64_t length = 0;
    int result = file->ops->lock_data(file, 1);
    if (result == 0) {
        result = file->ops->length(file, &length);
    }
    if (result == 0 && length < size) {
        result = make_longer(file, size);
    }
    return result;
}

static int grow_raw(const struct layer *layer)
{
    struct addcow_storage *storage = locking_storage();
    struct addcow_file *file;
    int result = storage->ops->open(storage, layer->backing, ADDCOW_FILE_READWRITE, &file);
    if (result == 0) {
        result = grow_file(file, layer->size);
        int closed = file->ops->close(file);
        result = result < 0 ? result : closed;
    }
    if (result == -EAGAIN) {
        return complain("%s: is in use elsewhere (%s, LCK-05)", layer->backing, addcow_status_name(ADDCOW_BUSY));
    }
    return result < 0 ? complain("%s: cannot be made longer: %s", layer->backing, strerror(-result)) : EXIT_OK;
}

static int commit_layer(const struct layer *layer)
{
    int code = EXIT_OK;
    if (long_options.grow_backing && layer->backing) {
        code = layer->raw ? grow_raw(layer) : grow_disk(layer);
    }
    return code == EXIT_OK ? run_long(layer->path, addcow_commit) : code;
}

static int run_commit(const struct operands *operands)
{
    struct layers layers = {.count = 0};
    int code = find_layers(&layers, operands->item[0]);
    for (unsigned i = 0; i < layers.count && code == EXIT_OK; i++) {
        code = commit_layer(&layers.item[i]);
        /* The next disk may have become as long as this one. */
        if (i + 1 < layers.count && layers.item[i + 1].size < layers.item[i].size) {
            layers.item[i + 1].size = layers.item[i].size;
        }
    }
    free_layers(&layers);
    return say_done(code, "Image committed.");
}

const struct command command_stream = {
    .name = "stream",
    .options = stream_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_stream,
    .help =
        "stream [--direct] [-p] [-q] FILE\n"
        "Copies all data that the disk still reads from its backing file into the image file. Afterwards the image\n"
        "file alone is the whole disk. An interrupted stream loses no data and can be repeated.\n\n"
        "      --direct    read and write the image and the backing files without the cache of the system\n"
        "  -p, --progress  show progress even if standard error is not a terminal\n"
        "  -q, --quiet     print nothing but errors\n"
        "  -h, --help      print this and exit\n",
};

const struct command command_commit = {
    .name = "commit",
    .options = commit_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_commit,
    .help =
        "commit [-b BASE] [--grow-backing] [--direct] [-p] [-q] FILE\n"
        "Copies the allocated clusters of the image file into the backing file, from which the disk then reads them,\n"
        "and frees their storage in the image file. Zeros become holes of the backing file.\n"
        "An interrupted commit loses no data and can be repeated.\n\n"
        "  -b, --base=BASE     go on down the chain, until everything is in its backing file BASE\n"
        "      --grow-backing  first make the backing file as long as the disk, if it is shorter\n"
        "      --direct        read and write the image and the backing files without the cache of the system\n"
        "  -p, --progress      show progress even if standard error is not a terminal\n"
        "  -q, --quiet         print nothing but errors\n"
        "  -h, --help          print this and exit\n",
};

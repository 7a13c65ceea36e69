/*
 * create, resize, stream and commit: what makes a disk and changes it as a whole.
 */
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- create ---- */

/* The power of two that `size` is; 64 if it is none. */
static uint32_t exponent_of(uint64_t size)
{
    uint32_t bits = 0;
    while (bits < 64 && UINT64_C(1) << bits != size) {
        bits++;
    }
    return bits;
}

static int complain_create(const struct options *options, const struct addcow_error *error)
{
    bool file_missing = error->errnum == ENOENT && strcmp(error->clause, "LNK-06") == 0;
    bool hint = file_missing && options->size == NO_SIZE;
    return complain_error_and(error, hint ? "; --size SIZE makes an image file that is missing" : "");
}

static void print_created(const struct options *options, const struct addcow_create_options *create)
{
    print_line("Created %s, layout %s, image %s%s%s%s%s%s", options->operand[0],
               create->layout == ADDCOW_R9 ? "r9" : "r20", create->image_name,
               create->backing_name ? ", backing file " : "", create->backing_name ? create->backing_name : "",
               create->backing_name ? " (" : "", create->backing_name ? create->backing_format : "",
               create->backing_name ? ")" : "");
}

static int run_create(const struct options *options)
{
    if (!options->path) {
        return complain_usage("create", "an image file is needed: -i IMAGE");
    }
    if (options->format && !options->backing) {
        return complain_usage("create", "-F FORMAT needs a backing file: -b BACKING");
    }
    uint32_t cluster_bits =
        options->cluster_size == NO_SIZE ? ADDCOW_CLUSTER_BITS_DEFAULT : exponent_of(options->cluster_size);
    if (cluster_bits < ADDCOW_CLUSTER_BITS_MIN || cluster_bits > ADDCOW_CLUSTER_BITS_MAX) {
        return complain_usage("create", "the cluster size is a power of two from 4k to 2M");
    }
    struct addcow_create_options create = {
        .layout = options->layout,
        .cluster_bits = cluster_bits,
        .image_name = options->path,
        .backing_name = options->backing,
        .backing_format = options->backing && !options->format ? "raw" : options->format,
        .replace = options->force,
        .hide_image_data = options->hide_image_data,
        .make_image = options->size != NO_SIZE,
        .image_size = options->size != NO_SIZE ? options->size : 0,
    };
    struct addcow_error error;
    if (addcow_create(options->operand[0], &create, NULL, &error) != ADDCOW_OK) {
        return complain_create(options, &error);
    }
    if (!options->quiet) {
        print_created(options, &create);
    }
    return EXIT_OK;
}

const struct command command_create = {
    .name = "create",
    .accepted = "ibFscLfHq",
    .least_operands = 1,
    .most_operands = 1,
    .run = run_create,
    .help =
        "create -i IMAGE [-b BACKING [-F FORMAT]] [-s SIZE] [-c SIZE] [--layout=r20|r9] [-f] [-q] FILE\n"
        "Makes the add-cow file FILE for the raw image file IMAGE. With a backing file the disk first reads as that "
        "file; without\n"
        "one it reads as IMAGE. IMAGE and BACKING are stored as they are given, and, unless they begin with /, are\n"
        "found relative to the directory of FILE.\n\n"
        "  -i, --image=IMAGE            the image file; it exists and stays as it is, unless --size is given\n"
        "  -b, --backing=BACKING        the backing file; it exists\n"
        "  -F, --backing-format=FORMAT  raw (the default) or add-cow; never guessed\n"
        "  -s, --size=SIZE              make IMAGE, which must not exist, as a sparse file of SIZE bytes\n"
        "  -c, --cluster-size=SIZE      a power of two from 4k to 2M (default 64k)\n"
        "      --layout=LAYOUT          r20 (the default) or r9\n"
        "  -f, --force                  replace FILE if it is an add-cow file that nobody has open\n"
        "      --hide-image-data        allow a backing file over an IMAGE that holds data, which it will hide\n"
        "  -q, --quiet                  print nothing but errors\n"
        "  -h, --help                   print this and exit\n",
};

/* ---- resize ---- */

/* The size that `text`, which may begin with + or -, makes of `size`. Returns an exit code. */
static int resized(const char *text, uint64_t size, uint64_t *new_size)
{
    bool relative = *text == '+' || *text == '-';
    uint64_t value;
    if (!parse_size(text + relative, &value)) {
        return complain_usage("resize", "'%s' is not a size", text);
    }
    if (!relative) {
        *new_size = value;
        return EXIT_OK;
    }
    if (*text == '+' ? value > UINT64_MAX - size : value > size) {
        return complain("%s from %" PRIu64 " bytes is no size that a disk can have (%s)", text, size,
                        addcow_status_name(ADDCOW_RANGE));
    }
    *new_size = *text == '+' ? size + value : size - value;
    return EXIT_OK;
}

static int resize_disk(const struct options *options, struct addcow *disk)
{
    uint64_t size = addcow_size(disk);
    uint64_t new_size = 0;
    int code = resized(options->operand[1], size, &new_size);
    if (code != EXIT_OK) {
        return code;
    }
    if (new_size < size && !options->shrink) {
        return complain("%s: shrinking from %" PRIu64 " to %" PRIu64
                        " bytes loses what lies behind; --shrink allows it",
                        options->operand[0], size, new_size);
    }
    struct addcow_error error;
    return addcow_resize(disk, new_size, &error) == ADDCOW_OK ? EXIT_OK : complain_error(&error);
}

static int run_resize(const struct options *options)
{
    struct addcow *disk;
    int code = open_disk(options, ADDCOW_OPEN_READWRITE, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    code = close_disk(disk, resize_disk(options, disk));
    if (code == EXIT_OK && !options->quiet) {
        printf("Image resized.\n");
    }
    return code;
}

const struct command command_resize = {
    .name = "resize",
    .accepted = "Sq",
    .least_operands = 2,
    .most_operands = 2,
    .signed_operand = true,
    .run = run_resize,
    .help =
        "resize [--shrink] [-q] FILE [+|-]SIZE\n"
        "Sets the size of the disk, or adds to it (+) or takes from it (-). New bytes are zero.\n\n"
        "      --shrink  allow a smaller size, which loses the bytes behind it\n"
        "  -q, --quiet   print nothing but errors\n"
        "  -h, --help    print this and exit\n",
};

/* ---- stream and commit ---- */

typedef enum addcow_status long_operation(struct addcow *disk, addcow_progress *progress, void *context,
                                          struct addcow_error *error);

static int run_long(const struct options *options, long_operation *operation, const char *done)
{
    struct addcow *disk;
    int code = open_disk(options, ADDCOW_OPEN_READWRITE, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct progress progress;
    struct addcow_error error;
    progress_start(&progress, options);
    enum addcow_status result = operation(disk, progress_step, &progress, &error);
    bool stopped = progress_end(&progress);
    if (result != ADDCOW_OK && stopped && error.errnum == ECANCELED) {
        code = complain("%s: stopped; nothing is lost, and the command can be given again", options->operand[0]);
    } else if (result != ADDCOW_OK) {
        code = complain_error(&error);
    }
    code = close_disk(disk, code);
    if (code == EXIT_OK && !options->quiet) {
        printf("%s\n", done);
    }
    return code;
}

static int run_stream(const struct options *options)
{
    return run_long(options, addcow_stream, "Image streamed.");
}

static int run_commit(const struct options *options)
{
    return run_long(options, addcow_commit, "Image committed.");
}

const struct command command_stream = {
    .name = "stream",
    .accepted = "pq",
    .least_operands = 1,
    .most_operands = 1,
    .run = run_stream,
    .help =
        "stream [-p] [-q] FILE\n"
        "Copies what the disk still reads from its backing file into the image file. Afterwards the image file alone "
        "is the\n"
        "whole disk. Interrupted, it loses nothing and can be started again.\n\n"
        "  -p, --progress  show progress even if standard error is no terminal\n"
        "  -q, --quiet     print nothing but errors\n"
        "  -h, --help      print this and exit\n",
};

const struct command command_commit = {
    .name = "commit",
    .accepted = "pq",
    .least_operands = 1,
    .most_operands = 1,
    .run = run_commit,
    .help =
        "commit [-p] [-q] FILE\n"
        "Copies what the image file holds into the backing file, from which the disk then reads it. Interrupted, it "
        "loses\n"
        "nothing and can be started again.\n\n"
        "  -p, --progress  show progress even if standard error is no terminal\n"
        "  -q, --quiet     print nothing but errors\n"
        "  -h, --help      print this and exit\n",
};

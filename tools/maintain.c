/*
 * create and resize: the commands that create a disk or change its size.
 */
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- create ---- */

static struct create_options {
    const char *image;
    const char *backing;    /* null: no backing file */
    const char *format;     /* of the backing file; null: raw */
    struct size_value size; /* of an image to make; not given: the image exists */
    struct size_value cluster_size;
    enum addcow_layout layout;
    enum addcow_preallocation preallocation;
    bool force;
    bool hide_image_data;
    bool quiet;
} create_options = {.layout = ADDCOW_R20};

static const struct command_option create_table[] = {
    {'i', "image", OPTION_PATH, &create_options.image},
    {'b', "backing", OPTION_PATH, &create_options.backing},
    {'F', "backing-format", OPTION_TEXT, &create_options.format},
    {'s', "size", OPTION_SIZE, &create_options.size},
    {'c', "cluster-size", OPTION_SIZE, &create_options.cluster_size},
    {0, "layout", OPTION_LAYOUT, &create_options.layout},
    {0, "preallocation", OPTION_PREALLOCATION, &create_options.preallocation},
    {'f', "force", OPTION_SWITCH, &create_options.force},
    {0, "hide-image-data", OPTION_SWITCH, &create_options.hide_image_data},
    {'q', "quiet", OPTION_SWITCH, &create_options.quiet},
    OPTIONS_END,
};

/* The exponent of `size` if it is a power of two; else 64. */
static uint32_t exponent_of(uint64_t size)
{
    uint32_t bits = 0;
    while (bits < 64 && UINT64_C(1) << bits != size) {
        bits++;
    }
    return bits;
}

static int complain_create(const char *path, const struct addcow_error *error)
{
    if (signals_stopped() && error->errnum == ECANCELED) {
        return complain("%s: interrupted; nothing was made", path);
    }
    if (strcmp(error->clause, "CRE-06") == 0) {
        complain_error(error);
        return EXIT_UNSURE;
    }
    bool file_missing = error->errnum == ENOENT && strcmp(error->clause, "LNK-06") == 0;
    bool hint = file_missing && !create_options.size.given;
    return complain_error_and(error, hint ? "; use --size SIZE to create the image file" : "");
}

static void print_created(const char *path, const struct addcow_create_options *create)
{
    print_line("Created %s, layout %s, image %s%s%s%s%s%s", path, create->layout == ADDCOW_R9 ? "r9" : "r20",
               create->image_name, create->backing_name ? ", backing file " : "",
               create->backing_name ? create->backing_name : "", create->backing_name ? " (" : "",
               create->backing_name ? create->backing_format : "", create->backing_name ? ")" : "");
}

static int run_create(const struct operands *operands)
{
    const struct create_options *options = &create_options;
    if (!options->image) {
        return complain_usage("create", "missing option -i IMAGE");
    }
    if (options->format && !options->backing) {
        return complain_usage("create", "-F FORMAT requires -b BACKING");
    }
    uint32_t cluster_bits =
        options->cluster_size.given ? exponent_of(options->cluster_size.bytes) : ADDCOW_CLUSTER_BITS_DEFAULT;
    if (cluster_bits < ADDCOW_CLUSTER_BITS_MIN || cluster_bits > ADDCOW_CLUSTER_BITS_MAX) {
        return complain_usage("create", "the cluster size must be a power of two from 4k to 2M");
    }
    struct addcow_create_options create = {
        .struct_size = sizeof create,
        .layout = options->layout,
        .cluster_bits = cluster_bits,
        .image_name = options->image,
        .backing_name = options->backing,
        .backing_format = options->backing && !options->format ? "raw" : options->format,
        .replace = options->force,
        .hide_image_data = options->hide_image_data,
        .make_image = options->size.given,
        .image_size = options->size.bytes,
        .make_missing_image = !options->size.given && options->backing,
        .preallocation = options->preallocation,
    };
    struct addcow_error error = ADDCOW_ERROR_INIT;
    signals_catch();
    if (addcow_create(operands->item[0], &create, stoppable_storage(), &error) != ADDCOW_OK) {
        return complain_create(operands->item[0], &error);
    }
    if (!options->quiet) {
        print_created(operands->item[0], &create);
    }
    return EXIT_OK;
}

const struct command command_create = {
    .name = "create",
    .options = create_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_create,
    .help =
        "create -i IMAGE [-b BACKING [-F FORMAT]] [-s SIZE] [-c SIZE] [--layout=r20|r9] [--preallocation=MODE] [-f] "
        "[--hide-image-data] [-q] FILE\n"
        "Creates the add-cow file FILE for the raw image file IMAGE. With a backing file, the disk first reads as "
        "that\n"
        "file; without one, as IMAGE. IMAGE and BACKING are stored as given. Unless they begin with /, they are\n"
        "relative to the directory of FILE.\n\n"
        "  -i, --image=IMAGE            an existing image file, which is not changed; with --size, a new one; with\n"
        "                               BACKING, one that does not exist is created with the size of that\n"
        "  -b, --backing=BACKING        an existing file\n"
        "  -F, --backing-format=FORMAT  raw (the default) or add-cow; never guessed\n"
        "  -s, --size=SIZE              create IMAGE, which must not exist, as a sparse file of SIZE bytes\n"
        "  -c, --cluster-size=SIZE      a power of two from 4k to 2M (default 64k)\n"
        "      --layout=LAYOUT          r20 (the default) or r9\n"
        "      --preallocation=MODE     of a new image: off (the default), falloc (reserves its storage) or full\n"
        "                               (writes zeros)\n"
        "  -f, --force                  replace FILE if it is an add-cow file that is not in use\n"
        "      --hide-image-data        allow a backing file although IMAGE holds data, which it hides\n"
        "  -q, --quiet                  print nothing but errors\n"
        "  -h, --help                   print this and exit\n",
};

/* ---- resize ---- */

static struct {
    struct size_value image_was;
    bool shrink;
    bool quiet;
} resize_options;

static const struct command_option resize_table[] = {
    {0, "image-was", OPTION_SIZE, &resize_options.image_was},
    {0, "direct", OPTION_SWITCH, &direct},
    {0, "shrink", OPTION_SWITCH, &resize_options.shrink},
    {'q', "quiet", OPTION_SWITCH, &resize_options.quiet},
    OPTIONS_END,
};

/* The new size of a disk of `size` bytes, as `text` asks for it: SIZE, +SIZE or -SIZE. Returns an exit code. */
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
        return complain("%s from %" PRIu64 " bytes is not a valid disk size (%s)", text, size,
                        addcow_status_name(ADDCOW_RANGE));
    }
    *new_size = *text == '+' ? size + value : size - value;
    return EXIT_OK;
}

static int resize_disk(const struct operands *operands, struct addcow *disk)
{
    uint64_t size = addcow_size(disk);
    uint64_t new_size = 0;
    int code = resized(operands->item[1], size, &new_size);
    if (code != EXIT_OK) {
        return code;
    }
    if (new_size < size && !resize_options.shrink) {
        return complain("%s: shrinking from %" PRIu64 " to %" PRIu64
                        " bytes would discard data beyond the new end; use --shrink to allow it",
                        operands->item[0], size, new_size);
    }
    struct addcow_error error = ADDCOW_ERROR_INIT;
    return addcow_resize(disk, new_size, &error) == ADDCOW_OK ? EXIT_OK : complain_error(&error);
}

/* Undoes what another program did to the image's length, if --image-was is given. */
static int restore_length(const char *path)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    bool restored = !resize_options.image_was.given ||
                    addcow_restore_length(path, resize_options.image_was.bytes, locking_storage(), &error) == ADDCOW_OK;
    return restored ? EXIT_OK : complain_error(&error);
}

static int open_and_resize(const struct operands *operands)
{
    struct addcow *disk;
    int code = open_disk(operands->item[0], ADDCOW_OPEN_READWRITE, &disk);
    return code == EXIT_OK ? close_disk(disk, resize_disk(operands, disk)) : code;
}

static int run_resize(const struct operands *operands)
{
    bool resizes = operands->count > 1;
    if (!resizes && !resize_options.image_was.given) {
        return complain_usage("resize", "SIZE or --image-was is required");
    }
    int code = restore_length(operands->item[0]);
    if (code == EXIT_OK && resizes) {
        code = open_and_resize(operands);
    }
    if (code == EXIT_OK && !resize_options.quiet) {
        printf("Image resized.\n");
    }
    return code;
}

const struct command command_resize = {
    .name = "resize",
    .options = resize_table,
    .least_operands = 1,
    .most_operands = 2,
    .signed_operand = true,
    .run = run_resize,
    .help =
        "resize [--image-was=OLD] [--shrink] [--direct] [-q] FILE [+|-]SIZE\n"
        "Sets the size of the disk, or changes it by SIZE (+ or -). New bytes are zero.\n\n"
        "      --image-was=OLD  first gives an image that another program made longer its length of OLD bytes back,\n"
        "                       unless data would be lost; then SIZE can be left out\n"
        "      --shrink         allow a smaller size, which discards the data beyond it\n"
        "      --direct         read and write the image and the backing files without the cache of the system\n"
        "  -q, --quiet          print nothing but errors\n"
        "  -h, --help           print this and exit\n",
};

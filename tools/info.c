/*
 * info: the properties of a disk, and with --backing-chain of every file below it.
 *
 * The backing file is not opened to describe a disk: it may be missing, or in use. Only --backing-chain needs the files
 * below, and goes down the levels one by one, each opened without its backing file. Without that option this is tried
 * too for backing files of format add-cow, to count them; where it fails, their number is unknown.
 *
 * Output for people and JSON are those of qemu-img, field by field, where the two have the same thing to say.
 */
#include "command.h"
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct {
    bool json;
    bool chain;
} info_options;

static const struct command_option info_table[] = {
    {0, "output", OPTION_OUTPUT, &info_options.json},
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    {0, "backing-chain", OPTION_SWITCH, &info_options.chain},
    OPTIONS_END,
};

/* ---- The chain ---- */

struct level {
    struct addcow *disk;
    struct addcow_info info;
    struct stat file;
    const char *path;
};

struct chain {
    struct level levels[ADDCOW_CHAIN_MAX];
    unsigned count;
    bool complete; /* every metadata file of the chain is in `levels` */
};

/* The path of the backing file, if the disk uses one (LNK-10); else null. */
static const char *used_backing(const struct addcow_info *info)
{
    return info->all_allocated ? NULL : info->backing_path;
}

static bool is_disk(const struct addcow_info *info)
{
    return strcmp(info->backing_format, "add-cow") == 0;
}

static bool is_above(const struct chain *chain, const struct stat *file)
{
    for (unsigned i = 0; i < chain->count; i++) {
        if (chain->levels[i].file.st_dev == file->st_dev && chain->levels[i].file.st_ino == file->st_ino) {
            return true;
        }
    }
    return false;
}

/* Adds the disk `path` to the end of the chain. Complains only if `loud`. */
static int add_level(struct chain *chain, const char *path, bool loud)
{
    struct level *level = &chain->levels[chain->count];
    struct addcow_error error = ADDCOW_ERROR_INIT;
    *level = (struct level){.path = path, .info = ADDCOW_INFO_INIT};
    if (stat(path, &level->file) == 0 && is_above(chain, &level->file)) {
        return loud ? complain("%s: the chain of backing files is a loop (unlinkable, LNK-07)", path) : EXIT_FAILED;
    }
    if (chain->count == ADDCOW_CHAIN_MAX) {
        return loud ? complain("%s: the chain has more than %d metadata files (unsupported, LNK-09)", path,
                               ADDCOW_CHAIN_MAX)
                    : EXIT_FAILED;
    }
    enum addcow_open_flags flags = ADDCOW_OPEN_READONLY | ADDCOW_OPEN_NO_BACKING;
    if (addcow_open(path, flags, stoppable_storage(), &level->disk, &error) != ADDCOW_OK) {
        return loud ? complain_error(&error) : EXIT_FAILED;
    }
    addcow_get_info(level->disk, &level->info);
    chain->count++;
    return EXIT_OK;
}

/* Opens the disk, and those below it: all, or as many as can be opened. */
static int open_chain(struct chain *chain, const char *path, bool all)
{
    int code = add_level(chain, path, true);
    while (code == EXIT_OK && !chain->complete) {
        const struct addcow_info *last = &chain->levels[chain->count - 1].info;
        const char *next = used_backing(last);
        chain->complete = !next || !is_disk(last);
        if (!chain->complete && add_level(chain, next, all) != EXIT_OK) {
            return all ? EXIT_FAILED : EXIT_OK;
        }
    }
    return code;
}

static int close_chain(struct chain *chain, int code)
{
    while (chain->count > 0) {
        code = close_disk(chain->levels[--chain->count].disk, code);
    }
    return code;
}

/* ---- Output ---- */

/* What the metadata and image file take. */
static struct usage disk_usage(const char *path, const struct addcow_info *info)
{
    struct usage usage = {0};
    add_usage(path, &usage);
    add_usage(info->image_path, &usage);
    return usage;
}

/* Members of a file's object. */
static void add_usage_json(json_t *object, const struct usage *usage)
{
    if (object) {
        json_object_set_new(object, "actual-size", json_size(usage->size));
        if (usage->shared > 0) {
            json_object_set_new(object, "shared-size", json_size(usage->shared));
        }
    }
}

static void print_usage_human(const struct usage *usage)
{
    printf("disk size: %s\n", human_size(usage->size));
    if (usage->shared > 0) {
        printf("shared with other files: %s\n", human_size(usage->shared));
    }
}

static const char *layout_name(enum addcow_layout layout)
{
    return layout == ADDCOW_R9 ? "r9" : "r20";
}

/* `depth`: the metadata files below, or -1 if that is not known. */
static json_t *info_specific(const struct addcow_info *info, int depth)
{
    char compatible[19];
    snprintf(compatible, sizeof(compatible), "0x%" PRIx64, info->compatible_features);
    json_t *data =
        json_pack("{s:s, s:o, s:o, s:s, s:b, s:s}", "layout", layout_name(info->layout), "image-filename",
                  json_text(info->image_name), "full-image-filename", json_text(info->image_path), "image-format",
                  info->image_format, "all-allocated", info->all_allocated, "compatible-features", compatible);
    if (data && depth >= 0) {
        json_object_set_new(data, "chain-depth", json_integer(depth));
    }
    return json_pack("{s:s, s:o}", "type", "add-cow", "data", data);
}

static json_t *info_json(const char *path, const struct addcow_info *info, int depth)
{
    struct usage usage = disk_usage(path, info);
    json_t *object = json_pack("{s:o, s:s, s:o, s:o}", "filename", json_text(path), "format", "add-cow", "virtual-size",
                               json_size(info->virtual_size), "cluster-size", json_size(info->cluster_size));
    add_usage_json(object, &usage);
    if (object && info->backing_name) {
        json_object_set_new(object, "backing-filename", json_text(info->backing_name));
        json_object_set_new(object, "full-backing-filename", json_text(info->backing_path));
        json_object_set_new(object, "backing-filename-format", json_string(info->backing_format));
    }
    if (object) {
        json_object_set_new(object, "format-specific", info_specific(info, depth));
    }
    return object;
}

/* `LABEL: NAME`, and the path that it was resolved to where that is another. */
static void print_name(const char *label, const char *name, const char *resolved)
{
    if (strcmp(name, resolved) == 0) {
        print_line("%s: %s", label, name);
    } else {
        print_line("%s: %s (actual path: %s)", label, name, resolved);
    }
}

static void info_human(const char *path, const struct addcow_info *info, int depth)
{
    print_line("image: %s", path);
    printf("file format: add-cow\n");
    printf("virtual size: %s (%" PRIu64 " bytes)\n", human_size(info->virtual_size), info->virtual_size);
    struct usage usage = disk_usage(path, info);
    print_usage_human(&usage);
    printf("cluster_size: %" PRIu32 "\n", info->cluster_size);
    if (info->backing_name) {
        print_name("backing file", info->backing_name, info->backing_path);
        print_line("backing file format: %s", info->backing_format);
    }
    printf("Format specific information:\n");
    printf("    layout: %s\n", layout_name(info->layout));
    print_name("    image file", info->image_name, info->image_path);
    print_line("    image file format: %s", info->image_format);
    printf("    all allocated: %s\n", info->all_allocated ? "true" : "false");
    printf("    compatible features: 0x%" PRIx64 "\n", info->compatible_features);
    if (depth >= 0) {
        printf("    chain depth: %d\n", depth);
    } else {
        printf("    chain depth: unknown\n");
    }
}

/* A raw file at the end of the chain. */
static json_t *raw_json(const char *path, uint64_t size, const struct usage *usage)
{
    json_t *object =
        json_pack("{s:o, s:s, s:o}", "filename", json_text(path), "format", "raw", "virtual-size", json_size(size));
    add_usage_json(object, usage);
    return object;
}

static void raw_human(const char *path, uint64_t size, const struct usage *usage)
{
    print_line("image: %s", path);
    printf("file format: raw\n");
    printf("virtual size: %s (%" PRIu64 " bytes)\n", human_size(size), size);
    print_usage_human(usage);
}

static int depth_of(const struct chain *chain, unsigned level)
{
    return (int)(chain->count - 1 - level);
}

static void chain_human(const struct chain *chain, const char *raw, uint64_t size, const struct usage *usage)
{
    for (unsigned i = 0; i < chain->count; i++) {
        const struct level *level = &chain->levels[i];
        fputs(i > 0 ? "\n" : "", stdout);
        info_human(level->path, &level->info, depth_of(chain, i));
    }
    if (raw) {
        putchar('\n');
        raw_human(raw, size, usage);
    }
}

static int chain_json(const struct chain *chain, const char *raw, uint64_t size, const struct usage *usage)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < chain->count; i++) {
        const struct level *level = &chain->levels[i];
        json_array_append_new(array, info_json(level->path, &level->info, depth_of(chain, i)));
    }
    if (raw) {
        json_array_append_new(array, raw_json(raw, size, usage));
    }
    return print_json(array, chain->levels[0].path);
}

static int print_chain(const struct chain *chain)
{
    const char *raw = used_backing(&chain->levels[chain->count - 1].info);
    struct stat status = {0};
    if (raw && stat(raw, &status) != 0) {
        return complain("%s: %s", raw, strerror(errno));
    }
    uint64_t size = (uint64_t)status.st_size;
    struct usage usage = {0};
    if (raw) {
        add_usage(raw, &usage);
    }
    if (info_options.json) {
        return chain_json(chain, raw, size, &usage);
    }
    chain_human(chain, raw, size, &usage);
    return EXIT_OK;
}

static int print_disk(const struct chain *chain)
{
    const struct level *level = &chain->levels[0];
    int depth = chain->complete ? (int)chain->count - 1 : -1;
    if (info_options.json) {
        return print_json(info_json(level->path, &level->info, depth), level->path);
    }
    info_human(level->path, &level->info, depth);
    return EXIT_OK;
}

static int run_info(const struct operands *operands)
{
    struct chain chain = {0};
    int code = open_chain(&chain, operands->item[0], info_options.chain);
    if (code == EXIT_OK) {
        code = info_options.chain ? print_chain(&chain) : print_disk(&chain);
    }
    return close_chain(&chain, code);
}

const struct command command_info = {
    .name = "info",
    .options = info_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_info,
    .help =
        "info [-U] [--output=human|json] [--backing-chain] FILE\n"
        "Prints the properties of the disk of the add-cow file FILE. Its backing file may be missing.\n\n"
        "  -U, --force-share    also while the disk is written to\n"
        "      --output=FORMAT  human (the default) or json\n"
        "      --backing-chain  print those of every file below it too\n"
        "  -h, --help           print this and exit\n",
};

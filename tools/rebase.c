/*
 * rebase: gives a disk another backing file. The manners are those of `qemu-img rebase`.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    const char *backing; /* null: not given; empty: none */
    const char *format;  /* null: raw */
    bool unsafe;
    bool progress;
    bool quiet;
} rebase_options;

static const struct command_option rebase_table[] = {
    {'b', "backing", OPTION_TEXT, &rebase_options.backing},
    {'F', "backing-format", OPTION_TEXT, &rebase_options.format},
    {'u', "unsafe", OPTION_SWITCH, &rebase_options.unsafe},
    {0, "direct", OPTION_SWITCH, &direct},
    {'p', "progress", OPTION_SWITCH, &rebase_options.progress},
    {'q', "quiet", OPTION_SWITCH, &rebase_options.quiet},
    OPTIONS_END,
};

static int run_rebase(const struct operands *operands)
{
    const char *path = operands->item[0];
    if (!rebase_options.backing) {
        return complain_usage("rebase", "missing option -b BACKING");
    }
    bool none = *rebase_options.backing == '\0';
    if (none && rebase_options.format) {
        return complain_usage("rebase", "-F FORMAT requires a backing file");
    }
    struct addcow_rebase_options options = {
        .struct_size = sizeof options,
        .backing_name = none ? NULL : rebase_options.backing,
        .backing_format = rebase_options.format ? rebase_options.format : "raw",
        .header_only = rebase_options.unsafe,
        .open_flags = direct ? ADDCOW_OPEN_DIRECT : 0,
    };
    struct progress progress;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    progress_start(&progress, rebase_options.progress, rebase_options.quiet);
    enum addcow_status code = addcow_rebase(path, &options, locking_storage(), progress_step, &progress, &error);
    progress_end(&progress);
    if (code != ADDCOW_OK && signals_stopped() && error.errnum == ECANCELED) {
        return complain("%s: interrupted; no data is lost, and the command can be repeated", path);
    }
    if (code != ADDCOW_OK) {
        return complain_error(&error);
    }
    if (!rebase_options.quiet) {
        printf("Image rebased.\n");
    }
    return EXIT_OK;
}

const struct command command_rebase = {
    .name = "rebase",
    .options = rebase_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_rebase,
    .help =
        "rebase [-u] -b BACKING [-F FORMAT] [--direct] [-p] [-q] FILE\n"
        "Gives the disk another backing file. It reads the same as before: what would not is copied into the image "
        "file.\n"
        "An interrupted rebase loses no data and can be repeated.\n\n"
        "  -b, --backing=BACKING        the new backing file, stored as given; '' for none\n"
        "  -F, --backing-format=FORMAT  raw (the default) or add-cow; never guessed\n"
        "  -u, --unsafe                 only change the name: the old and the new backing file are not opened, and "
        "may\n"
        "                               be missing. If their contents differ, the disk reads differently.\n"
        "      --direct                 read and write the image and the backing files without the cache of the "
        "system\n"
        "  -p, --progress               show progress even if standard error is not a terminal\n"
        "  -q, --quiet                  print nothing but errors\n"
        "  -h, --help                   print this and exit\n",
};

/*
 * addcow: the command line.
 *
 * This file finds the subcommand, reads its options into one struct, runs it, and makes sure that what it printed has
 * arrived. The subcommands themselves are in inspect.c (info, check, map), data.c (read, write, zero, discard) and
 * maintain.c (create, resize, stream, commit).
 *
 * All subcommands draw on one table of options, and each lists the letters that it accepts, so that an option means the
 * same wherever it occurs.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_create, &command_info,    &command_check,  &command_map,    &command_read,   &command_write,
    &command_zero,   &command_discard, &command_resize, &command_stream, &command_commit,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* The long names. A letter that is upper case (but for F) has no short form. */
static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"quiet", no_argument, NULL, 'q'},
    {"progress", no_argument, NULL, 'p'},
    {"output", required_argument, NULL, 'O'},
    {"repair", no_argument, NULL, 'r'},
    {"shrink", no_argument, NULL, 'S'},
    {"force", no_argument, NULL, 'f'},
    {"hide-image-data", no_argument, NULL, 'H'},
    {"layout", required_argument, NULL, 'L'},
    {"image", required_argument, NULL, 'i'},
    {"backing", required_argument, NULL, 'b'},
    {"backing-format", required_argument, NULL, 'F'},
    {"size", required_argument, NULL, 's'},
    {"cluster-size", required_argument, NULL, 'c'},
    {"start-offset", required_argument, NULL, 'A'},
    {"max-length", required_argument, NULL, 'M'},
    {NULL, 0, NULL, 0},
};
static const char short_options[] = ":hqprfi:o:b:F:s:c:";

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static bool parse_layout(const char *text, enum addcow_layout *layout)
{
    if (strcmp(text, "r20") == 0) {
        *layout = ADDCOW_R20;
    } else if (strcmp(text, "r9") == 0) {
        *layout = ADDCOW_R9;
    } else {
        return false;
    }
    return true;
}

static bool parse_output(const char *text, bool *json)
{
    *json = strcmp(text, "json") == 0;
    return *json || strcmp(text, "human") == 0;
}

/* Options with a value. False: the value is not one of those that the option takes. */
static bool apply_value(int letter, const char *value, struct options *options)
{
    switch (letter) {
    case 'i':
    case 'o':
        options->path = value;
        return *value != '\0';
    case 'b':
        options->backing = value;
        return *value != '\0';
    case 'F':
        options->format = value;
        return true;
    case 's':
        return parse_size(value, &options->size);
    case 'c':
        return parse_size(value, &options->cluster_size);
    case 'A':
        return parse_size(value, &options->start_offset);
    case 'M':
        return parse_size(value, &options->maximum_length);
    case 'L':
        return parse_layout(value, &options->layout);
    default:
        return parse_output(value, &options->json);
    }
}

static void apply_switch(int letter, struct options *options)
{
    switch (letter) {
    case 'q':
        options->quiet = true;
        break;
    case 'p':
        options->progress = true;
        break;
    case 'r':
        options->repair = true;
        break;
    case 'S':
        options->shrink = true;
        break;
    case 'f':
        options->force = true;
        break;
    default:
        options->hide_image_data = true;
        break;
    }
}

static const char *long_name(int letter)
{
    for (const struct option *option = long_options; option->name; option++) {
        if (option->val == letter) {
            return option->name;
        }
    }
    return NULL;
}

/* The sentence for what getopt (`?` and `:`) or the command (the letter itself) does not accept. */
static int complain_option(const struct command *command, int letter, const char *word)
{
    if (letter == ':') {
        return complain_usage(command->name, "option '%s' needs a value", word);
    }
    if (letter != '?') {
        const char *name = long_name(letter);
        return name ? complain_usage(command->name, "option '--%s' does not apply", name)
                    : complain_usage(command->name, "option '-%c' does not apply", letter);
    }
    if (optopt != 0 && !long_name(optopt)) {
        return complain_usage(command->name, "there is no option '-%c'", optopt);
    }
    return complain_usage(command->name, "there is no option '%s'", word);
}

static int print_help(const struct command *command)
{
    printf("Usage: addcow %s", command->help);
    return EXIT_OK;
}

/* Reads the options. Returns EXIT_OK with *done false: go on; else *done is true and the result is the exit code. */
static int parse_options(const struct command *command, int argc, char **argv, struct options *options, bool *done)
{
    *done = true;
    opterr = 0;
    int letter;
    while ((letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (letter == 'h') {
            return print_help(command);
        }
        if (letter == ':' || letter == '?' || !strchr(command->accepted, letter)) {
            return complain_option(command, letter, argv[optind - 1]);
        }
        if (!optarg) {
            apply_switch(letter, options);
        } else if (!apply_value(letter, optarg, options)) {
            return complain_usage(command->name, "'%s' is not a value that this option takes", optarg);
        }
    }
    *done = false;
    return EXIT_OK;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct options options = {
        .layout = ADDCOW_R20, .size = NO_SIZE, .cluster_size = NO_SIZE, .start_offset = 0, .maximum_length = NO_SIZE};
    /* As with qemu-img, `resize FILE -1G` is no option -1. */
    const char *last = argv[argc - 1];
    bool taken = command->signed_operand && argc > 1 && last[0] == '-' && isdigit((unsigned char)last[1]);
    bool done;
    int code = parse_options(command, taken ? argc - 1 : argc, argv, &options, &done);
    if (done) {
        return code;
    }
    int count = argc - optind;
    if (count < command->least_operands) {
        return complain_usage(command->name, "too few operands");
    }
    if (count > command->most_operands) {
        return complain_usage(command->name, "too many operands: '%s'", argv[optind + command->most_operands]);
    }
    for (int i = 0; i < count; i++) {
        options.operand[i] = argv[optind + i];
    }
    options.operands = count;
    return command->run(&options);
}

static int print_usage(void)
{
    printf(
        "Usage: addcow COMMAND [OPTION...] FILE [OPERAND...]\n"
        "Disks in the add-cow format: a raw image file with a backing file and copy on write.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *end = strchr(commands[i]->help, '\n');
        printf("  addcow %.*s\n", (int)(end - commands[i]->help), commands[i]->help);
    }
    printf(
        "\nSIZE, OFFSET and LENGTH are in bytes, or have a suffix: k M G T P E, powers of 1024.\n"
        "`addcow COMMAND --help` tells more about a command, `addcow --version` the version.\n"
        "Exit status: 0 done; 1 failed; 2 wrong usage; 3 check: broken clauses remain.\n");
    return EXIT_OK;
}

/* What was printed has to arrive: a full disk or a closed pipe is a failure like any other. */
static int finish_output(int code)
{
    if (!ferror(stdout) && fflush(stdout) == 0 && fclose(stdout) == 0) {
        return code;
    }
    bool reported = code == EXIT_FAILED || code == EXIT_USAGE;
    return reported ? code : complain("standard output: %s", strerror(errno));
}

/*
 * Takes the numbers of standard streams that were closed, so that no file of a disk gets them and is printed into.
 * Using such a stream still fails, as /dev/null is opened for the other direction.
 */
static void occupy_standard_streams(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            exit(EXIT_FAILED);
        }
    }
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        return complain_usage("", "a command is missing");
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        return print_usage();
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("addcow %s\n", ADDCOW_VERSION);
        return EXIT_OK;
    }
    const struct command *command = find_command(name);
    if (!command) {
        return complain_usage("", "there is no command '%s'", name);
    }
    return run_command(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    /* A closed pipe or a limit on file sizes is an error of the write that meets it. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return finish_output(dispatch(argc, argv));
}

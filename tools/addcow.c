/*
 * addcow: the command line.
 *
 * This file finds the subcommand, has its options read (options.c), runs it, and makes sure that its output has been
 * written. The subcommands are in info.c, inspect.c (check, map), read.c, write.c, data.c (zero, discard), maintain.c
 * (create, resize), commit.c (stream, commit), rebase.c, compare.c, measure.c and nbd.c.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command *const commands[] = {
    &command_create, &command_info,   &command_check,   &command_map,     &command_read,
    &command_write,  &command_zero,   &command_discard, &command_resize,  &command_stream,
    &command_commit, &command_rebase, &command_compare, &command_measure, &command_nbd,
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

/* Ends the command line of ours at the first `--`. What stands behind it is that of another command; null: nothing. */
static char *const *cut_command(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            bool any = i + 1 < *argc;
            *argc = i;
            return any ? argv + i + 1 : NULL;
        }
    }
    return NULL;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    char *const *other = command->takes_command ? cut_command(&argc, argv) : NULL;
    /* As with qemu-img, `resize FILE -1G` is no option -1. */
    const char *last = argv[argc - 1];
    bool taken = command->signed_operand && argc > 1 && last[0] == '-' && isdigit((unsigned char)last[1]);
    int code;
    if (!parse_options(command, taken ? argc - 1 : argc, argv, &code)) {
        return code;
    }
    int count = argc - optind;
    if (count < command->least_operands) {
        return complain_usage(command->name, "too few operands");
    }
    if (count > command->most_operands) {
        return complain_usage(command->name, "too many operands: '%s'", argv[optind + command->most_operands]);
    }
    struct operands operands = {.count = count, .command = other};
    for (int i = 0; i < count; i++) {
        operands.item[i] = argv[optind + i];
    }
    return command->run(&operands);
}

static int print_usage(void)
{
    printf(
        "Usage: addcow COMMAND [OPTION...] FILE [OPERAND...]\n"
        "Disks in the add-cow format: a raw image file with a backing file and copy on write.\n\n");
    for (size_t i = 0; i < command_count; i++) {
        const char *end = strchr(commands[i]->help, '\n');
        printf("  addcow %.*s\n", (int)(end - commands[i]->help), commands[i]->help);
    }
    printf(
        "\nSIZE, OFFSET and LENGTH are in bytes, or have a suffix: k M G T P E, powers of 1024; 1.5G is possible.\n"
        "`addcow COMMAND --help` describes a command. `addcow --version` prints the version.\n"
        "Exit status: 0 done; 1 failed, compare: different; 2 wrong usage; 3 check: broken clauses remain;\n"
        "4 create --force: FILE was replaced, but a crash may bring the old one back.\n");
    return EXIT_OK;
}

/* Everything was written before: on Linux, FreeBSD and macOS a close that is interrupted has closed. */
static bool close_output_stream(void)
{
    return fclose(stdout) == 0 || errno == EINTR;
}

/* Output that cannot be written, to a full disk or a closed pipe, is a failure like any other. */
static int finish_output(int code, const struct command *command)
{
    if (!ferror(stdout) && fflush(stdout) == 0 && close_output_stream()) {
        return code;
    }
    int errnum = errno;
    int lost_answer = command ? command->lost_answer : 0;
    bool reported = lost_answer ? code > 1 : code == EXIT_FAILED || code == EXIT_USAGE || code == EXIT_UNSURE;
    if (reported) {
        return code;
    }
    complain("standard output: %s", strerror(errnum));
    return lost_answer ? lost_answer : EXIT_FAILED;
}

/*
 * Opens /dev/null for every standard stream that is closed. Otherwise a file of the disk would get its number, and
 * output would go into that file. Using such a stream still fails, as /dev/null is opened for the other direction.
 */
static void occupy_standard_streams(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            exit(EXIT_FAILED);
        }
    }
}

/* *command becomes the one that was run, if one was. */
static int dispatch(int argc, char **argv, const struct command **command)
{
    if (argc < 2) {
        return complain_usage("", "missing command");
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        return print_usage();
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("addcow %s\n", ADDCOW_VERSION);
        return EXIT_OK;
    }
    *command = find_command(name);
    if (!*command) {
        return complain_usage("", "unknown command '%s'", name);
    }
    return run_command(*command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    signals_begin();
    occupy_standard_streams();
    const struct command *command = NULL;
    int code = dispatch(argc, argv, &command);
    code = finish_output(code, command);
    signals_obey();
    return code;
}

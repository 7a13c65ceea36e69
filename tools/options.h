/*
 * Options of the subcommands: how a command declares them, and how they are read.
 *
 * Each command has a table of its options. An entry says where the value goes: into a field of the command's own
 * struct, which holds the default until then. One process runs one command, so these structs are static.
 */
#ifndef ADDCOW_OPTIONS_H
#define ADDCOW_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct command;

/* A size that need not be given. Every number of 64 bits is a size, so none can stand for "not given". */
struct size_value {
    bool given;
    uint64_t bytes;
};

/* What an option takes, and the type of its variable. */
enum option_kind {
    OPTION_SWITCH,        /* bool; no value: it becomes true */
    OPTION_TEXT,          /* const char * */
    OPTION_PATH,          /* const char *, not empty */
    OPTION_SIZE,          /* struct size_value: see parse_size */
    OPTION_SECONDS,       /* unsigned: a whole number, at most 999999 */
    OPTION_OUTPUT,        /* bool: `json` is true, `human` false */
    OPTION_LAYOUT,        /* enum addcow_layout: `r20` or `r9` */
    OPTION_PREALLOCATION, /* enum addcow_preallocation: `off`, `falloc` or `full` */
};

struct command_option {
    int letter;       /* of the short form; 0: none */
    const char *name; /* of the long form; null: none */
    enum option_kind kind;
    void *variable;
};

/* Ends a table of options. */
#define OPTIONS_END {0, NULL, OPTION_SWITCH, NULL}

/*
 * Reads the options of `command` into their variables; argv[0] is the name of the command. Afterwards `optind` of
 * getopt is the first operand. True: continue. False: a help text or an error was printed, and *exit_code is the
 * result.
 */
bool parse_options(const struct command *command, int argc, char **argv, int *exit_code);

#endif

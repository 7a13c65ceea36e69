/*
 * What the subcommands of `addcow` share: the command line, sizes, messages, progress.
 *
 * The command is one thread; nothing here is meant for more. Functions that report a failure print one line to standard
 * error, `addcow: FILE: reason`, and return the exit code to give back.
 */
#ifndef ADDCOW_COMMAND_H
#define ADDCOW_COMMAND_H

#include "addcow_fast.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes, as the manual page documents them. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* the work was not done; check: the file could not be checked */
    EXIT_USAGE = 2,  /* the command line is wrong; nothing was touched */
    EXIT_BROKEN = 3, /* check: broken clauses remain */
};

/* Everything that a command line can say. Absent options are false, null or NO_SIZE. */
struct options {
    bool quiet;
    bool progress;
    bool json;
    bool repair;
    bool shrink;
    bool force;
    bool hide_image_data;
    enum addcow_layout layout;
    const char *path;        /* -i IMAGE or IN, -o OUT */
    const char *backing;     /* -b */
    const char *format;      /* -F */
    uint64_t size;           /* -s */
    uint64_t cluster_size;   /* -c */
    uint64_t start_offset;   /* --start-offset */
    uint64_t maximum_length; /* --max-length */
    const char *operand[3];
    int operands;
};

#define NO_SIZE UINT64_MAX

struct command {
    const char *name;
    const char *accepted; /* the letters of the options that it takes */
    int least_operands;
    int most_operands;
    bool signed_operand; /* the last operand may begin with `-` and a digit */
    int (*run)(const struct options *options);
    const char *help; /* the synopsis without `addcow`, a newline, then the text */
};

/* Defined in inspect.c, data.c and maintain.c. */
extern const struct command command_info, command_check, command_map;
extern const struct command command_read, command_write, command_zero, command_discard;
extern const struct command command_create, command_resize, command_stream, command_commit;

/* ---- sizes.c ---- */

/*
 * Bytes, decimal or 0x-hexadecimal, with an optional suffix k K M G T P E (powers of 1024) or b. False: not such a
 * size, or 2^64 and above.
 */
bool parse_size(const char *text, uint64_t *size);

/* `size` as people read it, such as "1.5 GiB", in static storage. */
const char *human_size(uint64_t size);

/* ---- report.c ---- */

/*
 * Prints `addcow: MESSAGE` in one line; control characters, which file names may hold, become `?`. Returns EXIT_FAILED.
 */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and where to look for help. Returns EXIT_USAGE. */
int complain_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints a failure of the engine with its class and clause. Returns EXIT_FAILED. */
int complain_error(const struct addcow_error *error);

/* The same, and `more` behind it in the same line. */
int complain_error_and(const struct addcow_error *error, const char *more);

/* Prints to standard output with control characters made harmless, unless they are newlines of the format itself. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Opens the disk of operand 0. On failure *disk is null and the failure has been reported; returns the exit code.
 */
int open_disk(const struct options *options, enum addcow_open_flags flags, struct addcow **disk);

/*
 * Closes the disk, which flushes it. Reports a failure unless `code` says that one has been reported already. Returns
 * the exit code of the whole.
 */
int close_disk(struct addcow *disk, int code);

/* ---- progress.c ---- */

/* Shows how far long work is, on standard error, and lets SIGINT, SIGTERM and SIGHUP stop it in an orderly way. */
struct progress {
    bool wanted;     /* -p: from the start; else after a second, on a terminal */
    bool allowed;    /* standard error is a terminal, and no -q */
    bool shown;      /* a line stands on the terminal */
    int64_t started; /* milliseconds */
    int64_t last;    /* milliseconds: when the line was last drawn */
};

void progress_start(struct progress *progress, const struct options *options);

/* The engine's callback; `context` is the struct progress. */
bool progress_step(void *context, uint64_t done, uint64_t total);

/* Ends the line, if there is one. Returns whether a signal asked to stop. */
bool progress_end(struct progress *progress);

#endif

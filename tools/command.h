/*
 * What the subcommands of `addcow` share: their declaration, sizes, messages, the disk, progress. Their options are in
 * options.h.
 *
 * The command is one thread; nothing here is meant for more. Functions that report a failure print one line to standard
 * error, `addcow: FILE: reason`, and return the exit code to give back.
 */
#ifndef ADDCOW_COMMAND_H
#define ADDCOW_COMMAND_H

#include "addcow_fast.h"
#include "options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, as the manual page documents them. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* the work was not done; check: the file could not be checked */
    EXIT_USAGE = 2,  /* the command line is wrong; nothing was touched */
    EXIT_BROKEN = 3, /* check: broken clauses remain */
    EXIT_UNSURE = 4, /* create --force: the file was replaced, but perhaps not durably */
};

#define OPERANDS_MAX 3

/* What stands on the command line behind the options; item[0] is the FILE of every command. */
struct operands {
    int count;
    const char *item[OPERANDS_MAX];
    char *const *command; /* what stands behind `--`, for a command that runs another one; null: nothing */
};

struct command {
    const char *name;
    const struct command_option *options; /* ends with OPTIONS_END */
    int least_operands;
    int most_operands;
    bool signed_operand; /* the last operand may begin with `-` and a digit */
    bool takes_command;  /* what stands behind `--` is a command line, and no operand */
    int lost_answer; /* 0 and 1 are answers, and this is the exit code if one could not be printed; 0: they are not */
    int (*run)(const struct operands *operands);
    const char *help; /* the synopsis without `addcow`, a newline, then the text */
};

/*
 * Defined in info.c, inspect.c, read.c, write.c, data.c, maintain.c, commit.c, rebase.c, compare.c, measure.c and
 * nbd.c.
 */
extern const struct command command_info, command_check, command_map;
extern const struct command command_read, command_write, command_zero, command_discard;
extern const struct command command_create, command_resize, command_stream, command_commit, command_rebase;
extern const struct command command_compare, command_measure, command_nbd;

/* All of them. Defined in addcow.c. */
extern const struct command *const commands[];
extern const size_t command_count;

/* ---- sizes.c ---- */

/*
 * Bytes, decimal or 0x-hexadecimal, with an optional suffix k M G T P E (powers of 1024) or b, in upper or lower case.
 * A decimal number may have a fraction, which is cut to whole bytes: 1.5M. False: not such a size, or 2^64 and above.
 */
bool parse_size(const char *text, uint64_t *size);

/* `size` as people read it, such as "1.5 GiB", in static storage. */
const char *human_size(uint64_t size);

/* ---- usage.c ---- */

/* The storage that files take, in bytes, and how much of it they share with other files, as far as the system tells. */
struct usage {
    uint64_t size;
    uint64_t shared;
};

/* Adds what a file takes; nothing if it is not there, and nothing as shared if it cannot be read. */
void add_usage(const char *path, struct usage *usage);

/* ---- data.c ---- */

/* Data passes in chunks of at most this size: at least the largest cluster, and a multiple of every one. */
#define CHUNK (4u << 20)

/* Bytes from `offset` to the end of its chunk. */
uint64_t chunk_at(uint64_t offset);

/* The value of an option that names a file: null for standard input or output, which `-` stands for too. */
const char *named_file(const char *value);

/* Reads operand `index` as a size, if it is there. Returns EXIT_OK, or EXIT_USAGE after a message. */
int parse_operand(const struct operands *operands, const char *command, int index, struct size_value *value);

/* Whether the range lies within a disk of `size` bytes. */
bool within(uint64_t offset, uint64_t length, uint64_t size);

/* Says that it does not. Returns EXIT_FAILED. */
int complain_range(const char *path, uint64_t offset, uint64_t length, uint64_t size);

/* ---- read.c ---- */

/* How many of `length` bytes from `offset` on are known to be zeros without reading them. */
enum addcow_status known_zeros(struct addcow *disk, uint64_t offset, uint64_t length, uint64_t *zeros,
                               struct addcow_error *error);

/* ---- report.c ---- */

/*
 * Prints `addcow: MESSAGE` in one line; control characters, which file names may hold, become `?`. Returns EXIT_FAILED.
 */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and where to look for help. Returns EXIT_USAGE. */
int complain_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints a failure of the engine with its class and clause. Returns EXIT_FAILED. */
int complain_error(const struct addcow_error *error);

/* The same, followed by `more` in the same line. */
int complain_error_and(const struct addcow_error *error, const char *more);

/*
 * The character of UTF-8 that begins at `at`; *length becomes its bytes. What is no UTF-8 is a character of one byte
 * with the number 0.
 */
unsigned decode_utf8(const unsigned char *at, size_t *length);

/* Prints one line to standard output; control characters become `?`. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- disk.c ---- */

/* --direct: image and backing files are read and written without the cache of the system. */
extern bool direct;

/* Opens the disk whose metadata file is `path`. On failure *disk is null and the failure has been reported. Returns the
 * exit code. */
int open_disk(const char *path, enum addcow_open_flags flags, struct addcow **disk);

/*
 * Closes the disk, which flushes it. Reports a failure unless `code` says that one has been reported already. Returns
 * the exit code of the whole command.
 */
int close_disk(struct addcow *disk, int code);

/* ---- locking.c ---- */

/* What the options say about locks. */
struct locking {
    bool shared;   /* -U: take none; only for commands that change nothing */
    bool optional; /* --without-locks: go on where the file system has none */
    unsigned wait; /* --lock-wait: seconds */
};
extern struct locking locking;

/* The options of every command. */
extern const struct command_option locking_table[];
extern const char locking_help[];

/* The files of the operating system, locked as the options say. Static storage. */
struct addcow_storage *locking_storage(void);

/* ---- files.c ---- */

/*
 * The files of the operating system, for disks that are only read and for create. Reads, writes and syncs fail with
 * ECANCELED after a signal asked to stop. Static storage.
 */
struct addcow_storage *stoppable_storage(void);

/*
 * Where the hole ends that begins at `offset` of the file `path`, which the engine has open through stoppable_storage.
 * `offset` itself if there may be data.
 */
uint64_t hole_end(const char *path, uint64_t offset);

/*
 * Whether there is data at `offset` of that file, and where what is there, data or hole, ends: at most at `end`. A file
 * system that does not tell has data only. Returns 0, or a negative errno if it should have told.
 */
int next_change(const char *path, uint64_t offset, uint64_t end, bool *data, uint64_t *change);

/* ---- signals.c ---- */

/* No signal but those that end a program by custom ends this one. SIGUSR1 asks for progress. */
void signals_begin(void);

/* Undoes signals_begin, for a program that takes the place of this one. */
void signals_default(void);

/* From now on SIGINT, SIGTERM and SIGHUP only ask to stop, unless they are ignored. */
void signals_catch(void);

/* Undoes signals_catch. What was asked meanwhile stays asked. */
void signals_release(void);

/* Whether a signal asked to stop. */
bool signals_stopped(void);

/* Whether SIGUSR1 has come since the last call. */
bool signals_progress(void);

/* Dies of the signal that asked to stop, if one did, so that a shell or its loop stops too. */
void signals_obey(void);

/* ---- clock.c ---- */

/* Milliseconds since some moment in the past, by a clock that nobody sets. */
int64_t clock_milliseconds(void);

/* ---- progress.c ---- */

/* Shows how far long work is, on standard error: from the start, after a second, or when SIGUSR1 asks. */
struct progress {
    bool wanted;     /* -p: from the start; else after a second, on a terminal */
    bool allowed;    /* standard error is a terminal, and no -q */
    bool shown;      /* a line stands on the terminal */
    int64_t started; /* milliseconds */
    int64_t last;    /* milliseconds: when the line was last drawn */
};

/* `asked`: -p was given; `quiet`: -q was. Signals stop the work from now on. */
void progress_start(struct progress *progress, bool asked, bool quiet);

/* The engine's callback; `context` is the struct progress. */
bool progress_step(void *context, uint64_t done, uint64_t total);

/* Ends the line, if there is one. */
void progress_end(struct progress *progress);

/* Prints how far the work is if SIGUSR1 has asked for it. */
void progress_answer(uint64_t done, struct size_value total);

#endif

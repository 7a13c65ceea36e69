/*
 * Output of all programs of the harness: fatal errors, differences of bytes, progress; and their exit codes.
 */
#ifndef HARNESS_REPORT_H
#define HARNESS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The exit codes of gate, hunt and realdisk. "Not run" is never success. */
enum report_exit {
    REPORT_CONFORMS = 0,
    REPORT_DIFFERS = 1,    /* the implementation does not conform */
    REPORT_USAGE = 2,      /* wrong arguments, or an input that cannot be used */
    REPORT_CRASHED = 3,    /* the implementation crashed, hung or broke the protocol */
    REPORT_INCOMPLETE = 4, /* not everything was run */
};

/*
 * Prints an error of the harness itself, such as no memory or no space, to standard error. Ends the process with
 * REPORT_INCOMPLETE.
 */
_Noreturn void report_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Like calloc, but calls report_fatal on failure, also if the size does not fit size_t. Never null. The caller frees.
 */
void *report_allocate(uint64_t count, uint64_t size);

/* The index of the first byte that differs, or `length`. */
size_t report_first_difference(const uint8_t *left, const uint8_t *right, size_t length);

/*
 * Prints the bytes around the first difference between expected[0, length) and got[0, length) in hex. `offset` is the
 * offset of byte 0. Prints nothing if they are equal. Each line is indented by four spaces.
 */
void report_hex_window(FILE *out, uint64_t offset, const uint8_t *expected, const uint8_t *got, size_t length);

/* Whether standard error is a terminal, so progress is shown. */
bool report_on_terminal(void);

/*
 * If standard error is a terminal, replaces the progress line on it, at most ten times a second. A null format removes
 * the line. Not thread-safe.
 */
void report_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/*
 * What every program of the harness says to people: differences of bytes, progress, exit codes.
 */
#ifndef HARNESS_REPORT_H
#define HARNESS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The exit codes of gate, hunt and realdisk. Disjoint: "not run" is never success. */
enum report_exit {
    REPORT_CONFORMS = 0,
    REPORT_DIFFERS = 1,    /* the implementation does not conform */
    REPORT_USAGE = 2,      /* wrong arguments, or an input that cannot be used */
    REPORT_CRASHED = 3,    /* the implementation crashed, hung or broke the protocol */
    REPORT_INCOMPLETE = 4, /* nothing was run, or not all */
};

/*
 * Says on standard error that the harness itself cannot go on (no memory, no room for its files) and ends the process
 * with REPORT_INCOMPLETE: nothing was judged.
 */
_Noreturn void report_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* calloc that never fails, by report_fatal. The caller frees. */
void *report_allocate(size_t count, size_t size);

/* The index of the first byte in which the two differ, or `length`. */
size_t report_first_difference(const uint8_t *left, const uint8_t *right, size_t length);

/*
 * Prints the neighbourhood of the first difference between expected[0, length) and got[0, length) as lines in hex:
 * `offset` is the offset of byte 0. Prints nothing if they are equal. Each line is indented by four spaces.
 */
void report_hex_window(FILE *out, uint64_t offset, const uint8_t *expected, const uint8_t *got, size_t length);

/* Whether there is a person to show progress to: standard error is a terminal. */
bool report_on_terminal(void);

/*
 * Shows a progress line on standard error in place of the last one, if that is a terminal; at most ten times a second.
 * With a null format removes it. Not to be called from several threads at once.
 */
void report_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

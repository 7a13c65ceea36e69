/*
 * Output of all programs of the harness: fatal errors, differences of bytes, progress.
 */
#include "base/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROW 16u        /* bytes in a line of a hex window */
#define ROWS_BEFORE 1u /* lines shown before the first difference */
#define ROWS_SHOWN 5u
#define PROGRESS_MILLISECONDS 100 /* between two progress lines */

void report_fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("harness: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(REPORT_INCOMPLETE);
}

void *report_allocate(uint64_t count, uint64_t size)
{
    void *memory = NULL;
    if (count <= SIZE_MAX && size <= SIZE_MAX) {
        memory = calloc(count == 0 ? 1 : (size_t)count, size == 0 ? 1 : (size_t)size);
    }
    if (memory == NULL) {
        report_fatal("no memory for %" PRIu64 " times %" PRIu64 " bytes", count, size);
    }
    return memory;
}

size_t report_first_difference(const uint8_t *left, const uint8_t *right, size_t length)
{
    size_t i = 0;
    while (length - i >= 64 && memcmp(left + i, right + i, 64) == 0) {
        i += 64;
    }
    while (i < length && left[i] == right[i]) {
        i++;
    }
    return i;
}

/* One line of a window: the bytes [begin, begin + ROW) of an array of `length`. A '*' marks bytes that differ. */
static void print_row(FILE *out, const char *label, const uint8_t *bytes, const uint8_t *other, size_t begin,
                      size_t length)
{
    fprintf(out, " %s", label);
    for (size_t i = begin; i < begin + ROW; i++) {
        if (i >= length) {
            fputs("   ", out);
        } else {
            fprintf(out, "%c%02x", bytes[i] != other[i] ? '*' : ' ', bytes[i]);
        }
    }
}

void report_hex_window(FILE *out, uint64_t offset, const uint8_t *expected, const uint8_t *got, size_t length)
{
    size_t first = report_first_difference(expected, got, length);
    if (first == length) {
        return;
    }
    size_t row = first / ROW;
    row -= row < ROWS_BEFORE ? row : ROWS_BEFORE;
    for (size_t i = 0; i < ROWS_SHOWN && (row + i) * ROW < length; i++) {
        size_t begin = (row + i) * ROW;
        fprintf(out, "    %010" PRIx64, offset + begin);
        print_row(out, "expected", expected, got, begin, length);
        fputs("\n              ", out);
        print_row(out, "     got", got, expected, begin, length);
        fputc('\n', out);
    }
}

bool report_on_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

void report_progress(const char *format, ...)
{
    static int64_t last;
    if (!report_on_terminal()) {
        return;
    }
    if (format == NULL) {
        fputs("\r\033[K", stderr);
        return;
    }
    int64_t now = clock_milliseconds();
    if (now - last < PROGRESS_MILLISECONDS) {
        return;
    }
    last = now;
    fputs("\r\033[K", stderr);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
}

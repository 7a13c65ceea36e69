/*
 * What the command says to people: failures in one line each, and text on standard output.
 *
 * File names come from the command line, but also from headers that a stranger may have written. So nothing is printed
 * as it is: what could forge lines or steer a terminal becomes question marks. These are the control characters of
 * ASCII, those of Unicode (U+0080..9F, which some terminals obey, in UTF-8 or as single bytes), and what ends lines or
 * turns the direction of writing. A line may be of any length: its end holds the reason of a failure.
 */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned decode_utf8(const unsigned char *at, size_t *length)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    *length = 1;
    if (*at < 0x80) {
        return *at;
    }
    size_t bytes = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc2 ? 2 : 0;
    if (bytes == 0 || *at > 0xf4) {
        return 0;
    }
    unsigned number = *at & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        number = number << 6 | (at[i] & 0x3fu);
    }
    if (number < least[bytes] || number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) {
        return 0;
    }
    *length = bytes;
    return number;
}

static bool is_harmless(unsigned character)
{
    bool control = character < 0x20 || (character >= 0x7f && character < 0xa0);
    bool line_or_direction = character == 0x61c || (character >= 0x200e && character <= 0x200f) ||
                             (character >= 0x2028 && character <= 0x202e) ||
                             (character >= 0x2066 && character <= 0x2069);
    return !control && !line_or_direction;
}

/* Replaces each character that could do harm by one question mark. */
static void make_harmless(char *text)
{
    unsigned char *to = (unsigned char *)text;
    for (const unsigned char *from = to; *from;) {
        size_t length;
        if (is_harmless(decode_utf8(from, &length))) {
            memmove(to, from, length);
            to += length;
        } else {
            *to++ = '?';
        }
        from += length;
    }
    *to = '\0';
}

/* Formats a text, as it is. The caller frees it; null: no memory. */
static char *format_text(const char *format, va_list arguments)
{
    char *text = NULL;
    return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

/* Formats a line in which nothing can harm a terminal. */
static char *format_line(const char *format, va_list arguments)
{
    char *line = format_text(format, arguments);
    if (line) {
        make_harmless(line);
    }
    return line;
}

static const char *or_excuse(const char *line)
{
    return line ? line : "no memory for the message";
}

int complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments);
    va_end(arguments);
    fprintf(stderr, "addcow: %s\n", or_excuse(line));
    free(line);
    return EXIT_FAILED;
}

int complain_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_text(format, arguments); /* complain makes it harmless */
    va_end(arguments);
    complain("%s%s%s; try 'addcow %s%s--help'", command, *command ? ": " : "", or_excuse(line), command,
             *command ? " " : "");
    free(line);
    return EXIT_USAGE;
}

/* What people can do about a failure, behind its message. */
static const char *hint_of(const struct addcow_error *error)
{
    if (strcmp(error->clause, "LCK-07") == 0) {
        return "; --without-locks goes on without, if nobody else uses the disk";
    }
    if (strcmp(error->clause, "BMP-03") == 0) {
        return "; if another program made the image longer, cut it back to its old length, as in the manual under "
               "DIAGNOSTICS";
    }
    return "";
}

int complain_error(const struct addcow_error *error)
{
    return complain_error_and(error, hint_of(error));
}

int complain_error_and(const struct addcow_error *error, const char *more)
{
    const char *separator = error->clause[0] ? ", " : "";
    return complain("%s (%s%s%s)%s", error->message, addcow_status_name(error->code), separator, error->clause, more);
}

void print_line(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments);
    va_end(arguments);
    puts(or_excuse(line));
    free(line);
}

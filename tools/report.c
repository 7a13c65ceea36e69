/*
 * What the command says to people: failures in one line each, and text on standard output.
 *
 * File names come from the command line, but also from headers that somebody else may have written. So nothing is
 * printed as it is: control characters, which could forge lines or steer a terminal, become question marks.
 */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 8192

static void make_harmless(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if (*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
}

/* Formats a line in which nothing can harm a terminal. */
static void format_line(char line[LINE_MAX_BYTES], const char *format, va_list arguments)
{
    vsnprintf(line, LINE_MAX_BYTES, format, arguments);
    make_harmless(line);
}

int complain(const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "addcow: %s\n", line);
    return EXIT_FAILED;
}

int complain_usage(const char *command, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    complain("%s%s%s; try 'addcow %s%s--help'", command, *command ? ": " : "", line, command, *command ? " " : "");
    return EXIT_USAGE;
}

int complain_error(const struct addcow_error *error)
{
    return complain_error_and(error, "");
}

int complain_error_and(const struct addcow_error *error, const char *more)
{
    const char *separator = error->clause[0] ? ", " : "";
    return complain("%s (%s%s%s)%s", error->message, addcow_status_name(error->code), separator, error->clause, more);
}

void print_line(const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, format, arguments);
    va_end(arguments);
    puts(line);
}

/*
 * Parses numbers in text, the same way for command lines, traces, schedules and the adapter protocol.
 */
#ifndef HARNESS_NUMBER_H
#define HARNESS_NUMBER_H

#include <stdint.h>

enum number_result {
    NUMBER_OK,
    NUMBER_MALFORMED, /* empty, or a character that is not a digit */
    NUMBER_TOO_LARGE, /* 2^64 or more */
};

/* Parses all of `text`: decimal digits, or hexadecimal ones after 0x. No sign, no blanks. */
enum number_result number_parse(const char *text, uint64_t *number);

/* Parses decimal digits only: "0x10" is malformed. */
enum number_result number_parse_decimal(const char *text, uint64_t *number);

#endif

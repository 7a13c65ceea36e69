/*
 * Parses numbers in text. strtoull alone would accept signs, blanks and empty text.
 */
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static enum number_result parse(const char *text, int base, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (!isxdigit((unsigned char)text[0]) || *end != '\0') {
        return NUMBER_MALFORMED;
    }
    *number = value;
    return errno == ERANGE ? NUMBER_TOO_LARGE : NUMBER_OK;
}

enum number_result number_parse_decimal(const char *text, uint64_t *number)
{
    return parse(text, 10, number);
}

enum number_result number_parse(const char *text, uint64_t *number)
{
    bool hexadecimal = strncmp(text, "0x", 2) == 0;
    /* Without the prefix: strtoull would accept a second one. */
    if (hexadecimal && strncmp(text + 2, "0x", 2) == 0) {
        return NUMBER_MALFORMED;
    }
    return hexadecimal ? parse(text + 2, 16, number) : parse(text, 10, number);
}

/*
 * Sizes as people type and read them.
 *
 * The suffixes are those of qemu-img: powers of 1024, upper or lower case for kilo, upper case for the rest. Fractions
 * are refused: 1536M says the same as 1.5G and leaves no doubt about rounding.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The power of two that a suffix stands for; -1: none. */
static int suffix_bits(const char *suffix)
{
    static const char letters[] = "bkMGTPE";
    if (*suffix == '\0') {
        return 0;
    }
    if (suffix[1] != '\0') {
        return -1;
    }
    if (*suffix == 'K') {
        return 10;
    }
    const char *found = strchr(letters, *suffix);
    return found ? 10 * (int)(found - letters) : -1;
}

bool parse_size(const char *text, uint64_t *size)
{
    if (!isdigit((unsigned char)*text)) {
        return false; /* strtoumax would take signs and spaces */
    }
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (hexadecimal && !isxdigit((unsigned char)text[2])) {
        return false;
    }
    char *end;
    errno = 0;
    uintmax_t number = strtoumax(text, &end, hexadecimal ? 16 : 10);
    if (errno != 0 || number > UINT64_MAX) {
        return false;
    }
    int bits = suffix_bits(end);
    if (bits < 0 || number > UINT64_MAX >> bits) {
        return false;
    }
    *size = (uint64_t)number << bits;
    return true;
}

const char *human_size(uint64_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    static char text[32];
    unsigned unit = 0;
    double value = (double)size;
    while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, sizeof(text), "%0.3g %s", value, units[unit]);
    return text;
}

/*
 * Sizes as people type and read them.
 *
 * Sizes are those of qemu-img: suffixes are powers of 1024 in upper or lower case, and a decimal number may have a
 * fraction, which is cut to whole bytes. The arithmetic is exact, digit by digit: a double has too few bits for it. A
 * hexadecimal number has no fraction; b and e are digits of it, not suffixes.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRACTION_DIGITS 64 /* 2^-60, a byte of an E, has 60 */

/* The power of two that a suffix stands for; -1: none. */
static int suffix_bits(const char *suffix)
{
    static const char letters[] = "bkmgtpe";
    if (*suffix == '\0') {
        return 0;
    }
    if (suffix[1] != '\0') {
        return -1;
    }
    const char *found = strchr(letters, tolower((unsigned char)*suffix));
    return found ? 10 * (int)(found - letters) : -1;
}

/*
 * The whole bytes of 0.DIGITS * 2^bits: the decimal fraction is doubled `bits` times, and what is carried out of it are
 * the bits of the result. False: too many digits, or a fraction of a byte without a unit.
 */
static bool scale_fraction(const char *digits, size_t count, int bits, uint64_t *bytes)
{
    uint8_t fraction[FRACTION_DIGITS];
    bool zero = true;
    *bytes = 0;
    if (count > FRACTION_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        fraction[i] = (uint8_t)(digits[i] - '0');
        zero = zero && fraction[i] == 0;
    }
    for (int bit = 0; bit < bits; bit++) {
        unsigned carry = 0;
        for (size_t i = count; i-- > 0;) {
            unsigned doubled = 2u * fraction[i] + carry;
            fraction[i] = (uint8_t)(doubled % 10);
            carry = doubled / 10;
        }
        *bytes = 2 * *bytes + carry;
    }
    return bits > 0 || zero;
}

/* Adds nothing but what fits: `number` units of 2^bits bytes, and `rest` bytes, which are less than one. */
static bool scale_number(uintmax_t number, int bits, uint64_t rest, uint64_t *size)
{
    if (number > UINT64_MAX >> bits) {
        return false;
    }
    *size = ((uint64_t)number << bits) + rest;
    return true;
}

static bool parse_hexadecimal(const char *text, uint64_t *size)
{
    char *end;
    errno = 0;
    uintmax_t number = strtoumax(text, &end, 16);
    int bits = suffix_bits(end);
    return isxdigit((unsigned char)text[2]) && errno == 0 && bits >= 0 && scale_number(number, bits, 0, size);
}

bool parse_size(const char *text, uint64_t *size)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        return parse_hexadecimal(text, size);
    }
    size_t whole = strspn(text, "0123456789");
    const char *digits = text + whole + (text[whole] == '.');
    size_t count = text[whole] == '.' ? strspn(digits, "0123456789") : 0;
    int bits = suffix_bits(digits + count);
    uint64_t rest = 0;
    if (whole + count == 0 || bits < 0 || !scale_fraction(digits, count, bits, &rest)) {
        return false;
    }
    /* strtoumax would take signs and spaces, so it only gets what begins with a digit. */
    errno = 0;
    uintmax_t number = whole > 0 ? strtoumax(text, NULL, 10) : 0;
    return errno == 0 && scale_number(number, bits, rest, size);
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

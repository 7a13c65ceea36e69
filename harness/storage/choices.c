/*
 * Choices: an odometer whose digits are the choices made so far.
 */
#include "storage/choices.h"

#include "base/report.h"

#include <assert.h>

uint32_t choices_make(struct choices *choices, uint32_t radix)
{
    assert(radix > 0);
    if (radix == 1) {
        return 0;
    }
    if (choices->random != NULL) {
        return (uint32_t)random_below(choices->random, radix);
    }
    uint32_t at = choices->count++;
    if (at == CHOICES_MAX) {
        report_fatal("too many choices for an exhaustive search");
    }
    if (at == choices->known) {
        choices->digits[at] = 0;
        choices->known++;
    }
    choices->radices[at] = radix;
    return choices->digits[at];
}

bool choices_next(struct choices *choices)
{
    choices->count = 0;
    while (choices->known > 0 && choices->digits[choices->known - 1] + 1 == choices->radices[choices->known - 1]) {
        choices->known--;
    }
    if (choices->known == 0) {
        return false;
    }
    choices->digits[choices->known - 1]++;
    return true;
}

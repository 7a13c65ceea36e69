/*
 * Choices: a program that chooses is run again and again, until it has made every series of choices.
 */
#ifndef HARNESS_CHOICES_H
#define HARNESS_CHOICES_H

#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A series of choices. Exhaustive: choices_next goes on to the next one, until it returns false. With `random`: any.
 */
#define CHOICES_MAX 64u
struct choices {
    struct random *random; /* null: exhaustive */
    uint32_t digits[CHOICES_MAX];
    uint32_t radices[CHOICES_MAX];
    uint32_t count; /* of those made so far, in this turn */
    uint32_t known; /* digits that are set */
};

uint32_t choices_make(struct choices *choices, uint32_t radix);
/* Begins the next turn, of an exhaustive series; false if all have been made. */
bool choices_next(struct choices *choices);

#endif

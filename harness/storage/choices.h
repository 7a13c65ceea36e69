/*
 * Choices: a program that makes choices is executed again and again, until every series of choices has been made.
 */
#ifndef HARNESS_CHOICES_H
#define HARNESS_CHOICES_H

#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A series of choices. With `random`, each is random. Without, choices_next moves on to the next series, until it
 * returns false.
 */
#define CHOICES_MAX 64u
struct choices {
    struct random *random; /* null: exhaustive */
    uint32_t digits[CHOICES_MAX];
    uint32_t radices[CHOICES_MAX];
    uint32_t count; /* made so far in this series */
    uint32_t known; /* digits that are set */
};

uint32_t choices_make(struct choices *choices, uint32_t radix);
/* Begins the next series; false if all have been made. Only without `random`. */
bool choices_next(struct choices *choices);

#endif

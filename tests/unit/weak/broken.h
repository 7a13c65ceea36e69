/*
 * Small programs with one defect each, and the same programs without it.
 */
#ifndef TESTS_WEAK_BROKEN_H
#define TESTS_WEAK_BROKEN_H

#include "weak/program.h"

struct litmus_broken {
    struct weak_program program;
    const char *message; /* a part of what is found; null: nothing is */
};

/* Up to one without a name. */
extern const struct litmus_broken litmus_broken[];

#endif

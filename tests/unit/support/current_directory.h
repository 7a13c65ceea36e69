/*
 * A directory of its own for a test program, as the current directory, and files in it.
 */
#ifndef TESTS_SUPPORT_CURRENT_DIRECTORY_H
#define TESTS_SUPPORT_CURRENT_DIRECTORY_H

#include "base/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char directory_before[SCRATCH_PATH_BYTES];
static char directory_entered[SCRATCH_PATH_BYTES];

static inline int enter_directory(void **state)
{
    (void)state;
    return getcwd(directory_before, sizeof directory_before) &&
                   scratch_make(scratch_large_parent(), "addcow-test", directory_entered) &&
                   chdir(directory_entered) == 0
               ? 0
               : -1;
}

/* Removes the directory. Fails if it is not empty: the library must leave no files of its own. */
static inline int leave_empty_directory(void)
{
    return chdir(directory_before) == 0 && rmdir(directory_entered) == 0 ? 0 : -1;
}

/* Stores a file of bytes that the seed decides, none of them 0. */
static inline void store(const char *name, uint64_t size, unsigned seed)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    for (uint64_t i = 0; i < size; i++) {
        fputc((int)((i * 7 + i / 251 + seed) % 255 + 1), file);
    }
    assert_int_equal(fclose(file), 0);
}

#endif

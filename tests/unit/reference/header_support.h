/*
 * Headers to begin with, and what is expected of a changed one.
 */
#ifndef TESTS_HEADER_SUPPORT_H
#define TESTS_HEADER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "addcow_header.h"

#define ROOM (2u << 20) /* the largest header */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t file[ROOM];

static inline void put(uint32_t offset, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++) {
        file[offset + i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void put_text(uint32_t offset, const char *text)
{
    memcpy(file + offset, text, strlen(text));
}

/* A valid r20 header with 4 KiB clusters, "backing.raw" at 76 and "test.raw" at 87. */
static inline void make_r20(void)
{
    memset(file, 0, sizeof file);
    put_text(0, "ACOW");
    put(4, 4, 76);
    put(8, 4, 11);
    put(12, 4, 87);
    put(16, 4, 8);
    put(20, 4, 12);
    put(40, 4, 4096);
    put_text(44, "raw");
    put_text(60, "raw");
    put_text(76, "backing.rawtest.raw");
}

static inline void make_r20_alone(void)
{
    make_r20();
    put(4, 8, 0);
    put(12, 4, 76);
    memset(file + 44, 0, 16);
    memset(file + 76, 0, 32);
    put_text(76, "test.raw");
}

static inline void make_r9(void)
{
    memset(file, 0, sizeof file);
    put_text(0, "ADD_COW\xff");
    put(8, 4, 1);
    put_text(12, "backing.raw");
    put_text(1036, "test.raw");
}

#endif

/*
 * A directory for each test, and files in it that are filled with patterns.
 */
#ifndef TESTS_SUPPORT_FILES_H
#define TESTS_SUPPORT_FILES_H

#include "base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Whether the library punches holes and asks where they are. */
#ifdef ONLY_POSIX
#define LIBRARY_KNOWS_HOLES false
#else
#define LIBRARY_KNOWS_HOLES true
#endif

#define PATH_SIZE (SCRATCH_PATH_BYTES + 512)
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

static char directory[SCRATCH_PATH_BYTES];

static inline int make_directory(void **state)
{
    (void)state;
    return scratch_make(scratch_large_parent(), "addcow-test", directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

/* A path in that directory; of the last 16 that were asked for. */
static inline const char *in_directory(const char *name)
{
    static _Thread_local char paths[16][PATH_SIZE];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, PATH_SIZE, "%s/%s", directory, name);
    return path;
}

/* Byte i of a file made from this seed. Never 0, so that it differs from holes. */
static inline uint8_t pattern(unsigned seed, uint64_t i)
{
    return (uint8_t)(1 + (i * 2654435761u + (i >> 9) * 97u + seed * 83u) / 7 % 255);
}

static inline void fill_pattern(uint8_t *bytes, unsigned seed, uint64_t offset, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = pattern(seed, offset + i);
    }
}

static inline uint8_t *allocate_bytes(uint64_t size)
{
    uint8_t *bytes = calloc(size > 0 ? (size_t)size : 1, 1);
    assert_non_null(bytes);
    return bytes;
}

static inline void store_file(const char *name, const uint8_t *bytes, uint64_t size)
{
    FILE *file = fopen(in_directory(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void store_pattern(const char *name, unsigned seed, uint64_t size)
{
    uint8_t *bytes = allocate_bytes(size);
    fill_pattern(bytes, seed, 0, size);
    store_file(name, bytes, size);
    free(bytes);
}

static inline uint64_t file_length(const char *name)
{
    struct stat status;
    assert_int_equal(stat(in_directory(name), &status), 0);
    return (uint64_t)status.st_size;
}

/* The caller frees it. */
static inline uint8_t *load_file(const char *name)
{
    uint64_t size = file_length(name);
    uint8_t *bytes = allocate_bytes(size);
    FILE *file = fopen(in_directory(name), "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    fclose(file);
    return bytes;
}

static inline void patch_file(const char *name, uint64_t offset, const void *bytes, size_t size)
{
    int descriptor = open(in_directory(name), O_WRONLY);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, bytes, size, (off_t)offset), size);
    close(descriptor);
}

#endif

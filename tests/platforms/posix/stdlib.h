/* Not the real header: what the library uses of C, for tests/setup/platforms.bats. */
#pragma once
#include <stddef.h>
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
int posix_memalign(void **memory, size_t alignment, size_t size);
void free(void *memory);
char *realpath(const char *path, char *resolved);

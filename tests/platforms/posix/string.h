/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. */
#pragma once
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *memory, int byte, size_t size);
int memcmp(const void *left, const void *right, size_t size);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t size);
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t size);
char *strchr(const char *text, int character);
char *strrchr(const char *text, int character);
char *strdup(const char *text);
char *strndup(const char *text, size_t size);
int strerror_r(int number, char *buffer, size_t size);

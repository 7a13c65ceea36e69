/* Not the real header: what the library uses of C, for tests/setup/platforms.bats. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
int snprintf(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *buffer, size_t size, const char *format, va_list arguments);
int rename(const char *from, const char *to);

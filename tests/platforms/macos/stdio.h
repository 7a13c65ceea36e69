/* Not the real header: what macOS has beyond C, and the library uses. */
#include_next <stdio.h>
#pragma once
#define RENAME_EXCL 4
int renamex_np(const char *from, const char *to, unsigned flags);

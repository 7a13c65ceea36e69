/* Not the real header: what FreeBSD 14 has beyond POSIX, and the library uses. */
#include_next <fcntl.h>
#pragma once
#define SPACECTL_DEALLOC 1
struct spacectl_range {
    off_t r_offset;
    off_t r_len;
};
int fspacectl(int descriptor, int command, const struct spacectl_range *range, int flags, struct spacectl_range *rest);

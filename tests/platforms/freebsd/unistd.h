/* Not the real header: what FreeBSD has beyond POSIX, and the library uses. */
#include_next <unistd.h>
#pragma once
#define SEEK_DATA 3
#define SEEK_HOLE 4

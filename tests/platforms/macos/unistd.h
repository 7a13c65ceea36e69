/* Not the real header: what macOS has beyond POSIX, and what it has not. */
#define WITHOUT_FDATASYNC
#include_next <unistd.h>
#pragma once
#define SEEK_HOLE 3
#define SEEK_DATA 4

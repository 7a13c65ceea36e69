/* Not the real header: what macOS has beyond POSIX, and the library uses. */
#include_next <fcntl.h>
#pragma once
#define F_FULLFSYNC 51
#define F_PUNCHHOLE 99
typedef struct fpunchhole {
    unsigned fp_flags;
    unsigned reserved;
    off_t fp_offset;
    off_t fp_length;
} fpunchhole_t;

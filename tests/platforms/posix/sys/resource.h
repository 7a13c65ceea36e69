/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. */
#pragma once
#define RLIMIT_FSIZE 1
#define RLIM_INFINITY (~0UL)
typedef unsigned long rlim_t;
struct rlimit {
    rlim_t rlim_cur;
    rlim_t rlim_max;
};
int getrlimit(int resource, struct rlimit *limit);

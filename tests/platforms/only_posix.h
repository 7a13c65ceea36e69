/*
 * Takes away what the headers of Linux have beyond POSIX and BSD, so that fast/platform.c takes its general way: the
 * strerror_r of POSIX, flock, no hole punching, no SEEK_DATA. It is included before everything else, with -include.
 */
#ifdef _FEATURES_H
#error "too late: a header of the system has been included"
#endif
#undef _GNU_SOURCE
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE 1

/*
 * Elapsed time.
 */
#ifndef HARNESS_CLOCK_H
#define HARNESS_CLOCK_H

#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds of the monotonic clock. */
uint64_t clock_nanoseconds(void);

/* Nanoseconds of processor time that this process has used. */
uint64_t clock_processor_nanoseconds(void);

/* The same of another process; 0 if it has ended. */
uint64_t clock_processor_nanoseconds_of(pid_t process);

/* Milliseconds on the same clock as clock_nanoseconds, for poll and deadlines. */
int64_t clock_milliseconds(void);

/* Seconds since `moment`, a result of clock_nanoseconds. */
double clock_seconds_since(uint64_t moment);

#endif

/*
 * Elapsed time.
 */
#ifndef HARNESS_CLOCK_H
#define HARNESS_CLOCK_H

#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
uint64_t clock_nanoseconds(void);

/* Nanoseconds of processor time that this process has used. */
uint64_t clock_processor_nanoseconds(void);

/* Milliseconds on the same clock as clock_nanoseconds, for poll and deadlines. */
int64_t clock_milliseconds(void);

/* Seconds since `moment`, a result of clock_nanoseconds. */
double clock_seconds_since(uint64_t moment);

#endif

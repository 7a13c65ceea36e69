/*
 * Elapsed time.
 */
#include "base/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_nanoseconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_processor_nanoseconds(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t clock_processor_nanoseconds_of(pid_t process)
{
    clockid_t clock;
    return clock_getcpuclockid(process, &clock) == 0 ? read_clock(clock) : 0;
}

int64_t clock_milliseconds(void)
{
    return (int64_t)(clock_nanoseconds() / 1000000u);
}

double clock_seconds_since(uint64_t moment)
{
    return (double)(clock_nanoseconds() - moment) / 1e9;
}

/*
 * The options of hunt. There are two kinds of hunt, on real threads and under the scheduler; which options mean
 * something for which of them is said once, in the table of hunt_options.c.
 */
#ifndef HARNESS_HUNT_OPTIONS_H
#define HARNESS_HUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum hunt_judge { HUNT_SCHEDULE, HUNT_CRASH, HUNT_FAULT, HUNT_JUDGES };

/* Its name, such as "crash". Static storage. */
const char *hunt_judge_name(enum hunt_judge judge);

struct hunt_options {
    const char *program;
    bool scheduled; /* the hunt is one under the scheduler: an option for it was given */
    /* For both. */
    const char *replay; /* a workload in text form, or null */
    uint64_t seed;      /* by chance if none was given */
    uint64_t traces;    /* 0: as many as the time allows */
    uint64_t seconds;   /* 0: no limit */
    uint32_t threads;   /* 0: not given */
    uint32_t operations;
    /* On real threads. */
    const char *implementation;
    const char *directory; /* where files are made */
    uint64_t hang_seconds;
    bool keep;
    uint32_t cluster_bits; /* 0: any */
    uint32_t layout;       /* enum addcow_layout; 0: any */
    /* Under the scheduler. */
    const char *strategy; /* "random", "pct", "exhaustive" or "all" */
    uint32_t judges;      /* a bit each */
    uint64_t schedules;   /* of each workload; 0: as the strategy likes */
    uint32_t preemptions;
    bool self_check;
    bool brief; /* a failure is told, but not made small */
    bool bench; /* how many schedules a second */
};

/* Parses the command line. Ends the process for --help, and if something makes no sense. */
void hunt_options_parse(int count, char **words, struct hunt_options *options);

/* Says on standard error what makes no sense, and ends the process. */
_Noreturn void hunt_options_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/*
 * The subcommands of hunt, and what their command lines share.
 */
#ifndef HARNESS_HUNT_H
#define HARNESS_HUNT_H

#include "base/options.h"
#include "explore/trace_file.h"

/* Each gets the words from its own name on, and returns the exit status of the process (report.h). */
int hunt_stress(int count, char **words);
int hunt_explore(int count, char **words);
int hunt_replay(int count, char **words);
int hunt_bench(int count, char **words);

/* ---- Shared options ---- */

#define HUNT_SECONDS_MAX 1000000000u
#define HUNT_SEED_MAX (UINT64_MAX / 2)
#define HUNT_NO_SEED UINT64_MAX /* until one is given */

#define HUNT_ROW_TIME(place)                                                                                           \
    {.name = "time",                                                                                                   \
     .operand = "SECONDS",                                                                                             \
     .meaning = "how long; 60, or no limit with --traces, unless given",                                               \
     .number = (place),                                                                                                \
     .least = 1,                                                                                                       \
     .greatest = HUNT_SECONDS_MAX,                                                                                     \
     .unit = "seconds"}
#define HUNT_ROW_TRACES(place)                                                                                         \
    {.name = "traces",                                                                                                 \
     .operand = "N",                                                                                                   \
     .meaning = "how many workloads; no limit unless given",                                                           \
     .number = (place),                                                                                                \
     .least = 1,                                                                                                       \
     .greatest = UINT64_MAX}
#define HUNT_ROW_SEED(place)                                                                                           \
    {.name = "seed",                                                                                                   \
     .operand = "N",                                                                                                   \
     .meaning = "of the first workload; the next one has N + 1; by chance unless given",                               \
     .number = (place),                                                                                                \
     .greatest = HUNT_SEED_MAX}

#define HUNT_EXIT_STATUS                                                                                               \
    "Exit status: 0 all workloads conform; 1 one does not; 2 wrong usage, or a file that cannot be replayed;\n"        \
    "3 the implementation crashed or hung; 4 nothing was judged, for example because the disk is full.\n"

#define HUNT_REASON_BYTES 320u
#define HUNT_COMMAND_BYTES 256u

/* Copies the first line of a message, which says what is wrong. */
void hunt_take_reason(const char *message, char reason[HUNT_REASON_BYTES]);

/*
 * Prints the last line of a hunt that failed. It has the reason and the command that runs the workload again, so that
 * the end of a long output is enough.
 */
void hunt_print_failure(const char *reason, const char *command);

/* Fills in what was not given: a seed by chance, and a time if there is no other limit. */
void hunt_set_defaults(uint64_t *seed, uint64_t traces, uint64_t *seconds);

/* ---- Weak memory (hunt_weak.c) ---- */

struct hunt_weak {
    uint64_t seed;
    uint64_t traces;     /* 0: no limit */
    uint64_t seconds;    /* 0: no limit */
    unsigned threads;    /* 0: 2 or 3 */
    unsigned operations; /* of each thread; 0: 1 to 3 */
    uint64_t executions; /* of each workload, random ones and as many in order; 0: some */
    uint64_t preemptions;
    bool brief;
};

/* Returns the exit status. */
int hunt_weak(const struct hunt_weak *hunt);

/* ---- Real threads (hunt_stress.c) ---- */

struct stress {
    const char *implementation;
    const struct trace_file *file; /* the workload to be run again and again; null: random ones */
    const char *path;              /* of that file */
    uint64_t seed;
    uint64_t traces;  /* 0: no limit */
    uint64_t seconds; /* 0: no limit */
    uint64_t hang_seconds;
    const char *directory; /* where the disks' directory is made */
    bool keep;
    struct generate_options generate; /* of random workloads */
};

#define STRESS_DEFAULTS {.implementation = "fast", .hang_seconds = 30}

/* Runs the workloads in a child process and watches it. Returns the exit status. */
int stress_run(const struct stress *stress);

/* Refuses an implementation that there is not. */
void stress_check_implementation(const struct options_command *command, const char *implementation);

#endif

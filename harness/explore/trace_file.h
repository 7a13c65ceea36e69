/*
 * Trace files: a workload together with all that its replay needs.
 *
 * A trace file is a trace in text form (trace_text.c) with these keywords besides:
 *
 *   judge schedule                     one run with the schedule below: answers, contents, deadlocks
 *   judge crash                        the same, and some crashes of that run
 *   judge fault                        the same, with the fault below
 *   judge crash every 2000             every crash of a workload of one thread, that many states of each moment; the
 *                                      words `deaths` and `second` may follow (struct crash_options)
 *   judge fault every                  every call of a workload of one thread fails in turn
 *   judge stress                       real threads and real files, again and again
 *   storage punch-refused              holes cannot be punched; for stress, also `short-transfers` and `pause N`
 *   storage shares                     files can share storage
 *   crash-seed 7                       which crashes of a run are judged
 *   fault EIO at sync 3 of disk.raw    `persistent` may follow: all such calls from then on
 *   schedule 0x14,1x3                  who does how many steps, one after the other; `continue` may follow: then the
 *                                      run continues after it without preemption
 *
 * A file has one of the first three judges at most, and stress alone. Each keyword stands where it means something, and
 * only there; so a file is replayed exactly or refused.
 */
#ifndef HARNESS_TRACE_FILE_H
#define HARNESS_TRACE_FILE_H

#include "explore/plan.h"

struct trace_file_storage {
    bool punch_refused;
    bool shares;
    bool short_transfers; /* of stress */
    uint32_t pause;       /* of stress: as struct storage_sector_options has it */
};

struct trace_file {
    struct trace trace;
    bool stress;
    bool run;              /* one run with the schedule, */
    enum plan_judge judge; /* which this one judges */
    bool every_crash;
    bool every_fault;
    struct crash_options crashes; /* of every_crash */
    struct trace_file_storage storage;
    uint64_t crash_seed;
    struct fault_injection fault;
    struct sched_schedule schedule; /* owned */
    bool goes_on;                   /* after the schedule */
    /* Where in the file it stands, for messages; 0 if it does not. */
    unsigned fault_line;
    unsigned schedule_line;
};

/* False, with "FILE:LINE: reason" in `error`, if the file cannot be replayed. The caller frees in either case. */
bool trace_file_load(const char *path, struct trace_file *file, char *error, size_t error_size);

/* The same from a stream, with "LINE: reason". */
bool trace_file_parse(FILE *in, struct trace_file *file, char *error, size_t error_size);
void trace_file_free(struct trace_file *file);

/* Loading what is printed gives the same again. */
void trace_file_print(FILE *out, const struct trace_file *file);

/* How the run of a file is explored. */
struct explore_options trace_file_explore_options(const struct trace_file *file);

/*
 * Makes the file of a plan's workload, which may have been made smaller. `schedule` is null if the plan judges every
 * crash or fault; `goes_on`: the run did not come to the schedule's end. The caller frees.
 */
void trace_file_make(const struct plan *plan, const struct trace *trace, const struct sched_schedule *schedule,
                     bool goes_on, struct trace_file *file);

#endif

/*
 * hunt replay: runs the workload of a trace file again, as the file says (trace_file.h).
 *
 * A file whose judge is `stress` runs on real threads, again and again. Any other runs under the scheduler in a child
 * process, exactly as it ran when the file was written. If the engine takes other steps by now, the file is refused,
 * because the run would not be the one in the file.
 */
#include "programs/hunt.h"

#include "base/report.h"
#include "base/sandbox.h"
#include "base/scratch.h"
#include "explore/timeline.h"
#include "judges/fault.h"

#include <inttypes.h>

#define REPEATS 200u /* on real threads */

struct replay {
    struct trace_file file;
    const char *path;
    bool self_check;
};

/* Whether a run that found nothing wrong was the one that the file says. */
static bool is_exact(const struct replay *replay, const struct timeline_result *result)
{
    const struct trace_file *file = &replay->file;
    uint32_t segment = sched_schedule_divergence(&file->schedule, file->goes_on, &result->done);
    if (file->schedule.count > 0 && segment != UINT32_MAX) {
        fprintf(stderr, "hunt: %s:%u: the run leaves the schedule at segment %" PRIu32 "; it is ", replay->path,
                file->schedule_line, segment + 1);
        sched_schedule_print(stderr, &result->done);
        fputc('\n', stderr);
        return false;
    }
    if (file->fault.at != 0 && !result->fault_hit) {
        fprintf(stderr, "hunt: %s:%u: the fault does not happen: there are fewer such calls\n", replay->path,
                file->fault_line);
        return false;
    }
    return true;
}

/* One run with the schedule. */
static enum report_exit replay_run(const struct replay *replay)
{
    struct explore_options options = trace_file_explore_options(&replay->file);
    options.self_check = replay->self_check;
    struct timeline_result result =
        timeline_print(&replay->file.trace, &options, &replay->file.schedule, UINT64_MAX, stdout);
    enum report_exit verdict = result.answer != EXPLORE_OK ? REPORT_DIFFERS
                               : is_exact(replay, &result) ? REPORT_CONFORMS
                                                           : REPORT_USAGE;
    sched_schedule_free(&result.done);
    return verdict;
}

/* In the child. */
static int replay_scheduled(void *context)
{
    const struct replay *replay = context;
    const struct trace_file *file = &replay->file;
    struct crash_counts crashes = {0};
    struct fault_counts faults = {0};
    enum report_exit verdict = file->run ? replay_run(replay) : REPORT_CONFORMS;
    if (verdict == REPORT_USAGE) {
        return REPORT_USAGE;
    }
    bool conforms = verdict == REPORT_CONFORMS;
    if (file->every_fault) {
        conforms = fault_trace(&file->trace, &faults, stdout) && conforms;
    }
    if (file->every_crash) {
        conforms = crash_sequence(&file->trace, &file->crashes, &crashes, stdout) && conforms;
    }
    if (conforms) {
        puts("hunt: the replay conforms");
    } else {
        printf("hunt: the replay of %s fails\n", replay->path);
    }
    return conforms ? REPORT_CONFORMS : REPORT_DIFFERS;
}

/* Refuses options that mean nothing for the file. */
static void check_options(const struct options_command *command, const bool *given, const struct replay *replay)
{
    for (size_t i = 0; i < command->row_count; i++) {
        bool scheduled = command->rows[i].flag == &replay->self_check;
        if (given[i] && scheduled == replay->file.stress) {
            options_refuse(command, "--%s: %s is replayed %s", command->rows[i].name, replay->path,
                           replay->file.stress ? "on real threads" : "under the scheduler");
        }
    }
}

int hunt_replay(int count, char **words)
{
    static struct replay replay;
    char error[512];
    struct stress stress = STRESS_DEFAULTS;
    stress.traces = REPEATS;
    stress.directory = scratch_fast_parent();
    const struct option_row rows[] = {
        {"self-check", NULL, "under the scheduler: run the schedule twice and demand the same",
         .flag = &replay.self_check},
        {"impl", "NAME", "on real threads: the implementation: fast, ref or exec:COMMAND",
         .text = &stress.implementation},
        {"repeat", "N", "on real threads: how often", .number = &stress.traces, .least = 1, .greatest = UINT64_MAX},
        {"dir", "DIR", "on real threads: make the disks in a new directory in DIR", .text = &stress.directory},
        {"keep", NULL, "on real threads: leave the disk of a failed run there", .flag = &stress.keep},
        {"hang", "SECONDS", "on real threads: how long nothing may happen", .number = &stress.hang_seconds, .least = 1,
         .greatest = HUNT_SECONDS_MAX, .unit = "seconds"},
    };
    bool given[sizeof rows / sizeof rows[0]];
    const struct options_command command = {
        .program = "hunt",
        .call = PROGRAM_PREFIX "hunt replay",
        .synopsis = "[OPTION]... FILE",
        .purpose =
            "Runs the workload of a trace file again, as the file says: under the scheduler once, exactly; on "
            "real threads again and again until it fails.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .notes = HUNT_EXIT_STATUS,
    };
    int first = options_parse(&command, count, words, given);
    if (first == count) {
        options_refuse(&command, "a FILE is missing");
    }
    options_refuse_operands(&command, count, words, first + 1);
    replay.path = words[first];
    if (!trace_file_load(replay.path, &replay.file, error, sizeof error)) {
        fprintf(stderr, "hunt: %s\n", error);
        return REPORT_USAGE;
    }
    check_options(&command, given, &replay);
    int verdict;
    if (replay.file.stress) {
        stress_check_implementation(&command, stress.implementation);
        stress.file = &replay.file;
        stress.path = replay.path;
        verdict = stress_run(&stress);
    } else {
        struct sandbox *sandbox = sandbox_make(false, NULL);
        verdict = sandbox_run(sandbox, replay_scheduled, &replay);
        sandbox_free(sandbox);
    }
    trace_file_free(&replay.file);
    return verdict;
}

/*
 * hunt stress: random concurrent workloads on real threads and real files, judged against the reference engine.
 *
 * The workloads run in a child process; the parent watches. So an implementation that crashes, or that hangs in a
 * deadlock, is reported with the workload that did it, like one that answers wrongly. Trace number i of a hunt has the
 * seed --seed + i and can be made again from it alone; how threads interleave cannot be repeated, so a replay runs its
 * trace many times. hunt replay uses stress_run for that.
 *
 * A loaded machine must not look like a wrong implementation. Therefore:
 *
 *   - A hang is a lack of progress in the time that the child had, not on the clock (is_hung).
 *   - A signal that no program sends itself, such as SIGKILL when memory is short, is no crash.
 *   - A workload whose storage failed, for example because the file system is full, is not judged.
 *   - Sectors are atomic (storage_sector.h), although those of real files are not.
 *
 * An implementation behind exec: has the files to itself, so nothing makes its sectors atomic.
 */
#include "programs/hunt.h"

#include "adapters/adapter_exec.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/report.h"
#include "base/sandbox.h"
#include "base/scratch.h"
#include "judges/differential.h"
#include "storage/storage_sector.h"
#include "workload/disk_files.h"
#include "workload/generate.h"

#include "addcow_format.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCH_NANOSECONDS 20000000u
#define WATCH_NANOSECONDS_MAX (10u * WATCH_NANOSECONDS) /* that one look at the child counts */
#define IDLE_SHARE 1000u     /* a child that uses less than this part of a processor does nothing */
#define SLOW_TIMES 10u       /* so many times the limit is a hang in any case */
#define SPACE_MIN (1u << 20) /* bytes; with less free space, a workload that fails is not judged */
#define WHY_BYTES 1024u

/* What the child reports to the parent. In shared memory. */
struct progress {
    struct differential_counts counts;
    _Atomic uint64_t seed;            /* of the trace in progress */
    _Atomic uint64_t finished;        /* traces */
    bool printed;                     /* the child has printed what is wrong */
    char reason[HUNT_REASON_BYTES];   /* what is wrong, in one line */
    struct generate_options generate; /* as the implementation's abilities restrict them */
    struct execution_watch watch;
};

/* ---- Workloads: the child ---- */

static void make_trace(const struct stress *stress, const struct generate_options *generate, uint64_t seed,
                       struct trace *trace)
{
    if (stress->file != NULL) {
        *trace = stress->file->trace;
    } else {
        generate_trace(seed, generate, trace);
    }
}

/* How hostile the storage is differs from seed to seed; a file says it. */
static struct storage_sector_options storage_options(const struct stress *stress, uint64_t seed)
{
    static const unsigned pauses[] = {0, 3, 10, 40};
    struct random random = {random_hash(~seed)};
    if (stress->file != NULL) {
        const struct trace_file_storage *storage = &stress->file->storage;
        return (struct storage_sector_options){seed, storage->pause, storage->short_transfers, storage->punch_refused,
                                               storage->shares};
    }
    return (struct storage_sector_options){
        .seed = seed,
        .pause = pauses[random_below(&random, 4)],
        .short_transfers = random_once_in(&random, 3),
        .refuse_holes = random_once_in(&random, 3),
        .shares = random_once_in(&random, 2),
    };
}

/* Why a workload that failed says nothing about the implementation; null if it does. */
static const char *storage_failure(const struct addcow_storage *storage, const char *directory)
{
    struct statvfs space;
    if (storage_sector_failure(storage) != NULL) {
        return storage_sector_failure(storage);
    }
    bool full = statvfs(directory, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < SPACE_MIN;
    return full ? "the file system is full" : NULL;
}

/* Prints what is wrong with a workload, and notes it. */
static int print_failure(struct progress *progress, const char *message, enum exec_state state, const char *why,
                         const char *storage_failed)
{
    char line[WHY_BYTES + 64];
    fputs(message, stdout);
    hunt_take_reason(message, progress->reason);
    if (state != EXEC_OK) {
        snprintf(line, sizeof line, "the implementation %s: %s", exec_state_name(state), why);
        puts(line);
        hunt_take_reason(line, progress->reason);
    }
    if (storage_failed != NULL) {
        printf("hunt: not judged: the storage under the hunt failed: %s\n", storage_failed);
    }
    fflush(stdout);
    progress->printed = true;
    return storage_failed != NULL ? REPORT_INCOMPLETE : state != EXEC_OK ? REPORT_CRASHED : REPORT_DIFFERS;
}

/* Runs one workload, and prints what is wrong if it fails. */
static int run_trace(const struct trace *trace, struct adapter *adapter, const struct addcow_storage *storage,
                     const char *directory, struct progress *progress)
{
    char *message = NULL;
    size_t length = 0;
    char why[WHY_BYTES];
    FILE *out = open_memstream(&message, &length);
    if (out == NULL) {
        report_fatal("no memory for a report");
    }
    adapter_exec_reserve(adapter, trace_capacity(trace));
    bool conforms = differential_judge(trace, adapter, directory, &progress->watch, &progress->counts, out);
    fclose(out);
    enum exec_state state = adapter_exec_state(adapter, why, sizeof why);
    int verdict = REPORT_CONFORMS;
    if (!conforms || state != EXEC_OK) {
        verdict = print_failure(progress, message, state, why, storage_failure(storage, directory));
    }
    free(message);
    return verdict;
}

/* Restricts the workloads to the abilities that a child process declares; ends the hunt if that is too little. */
static void respect_abilities(const struct stress *stress, struct adapter *adapter, struct generate_options *generate)
{
    const struct protocol_abilities *abilities = adapter_exec_abilities(adapter);
    if (abilities == NULL) {
        return;
    }
    for (uint32_t operation = 0; operation < OPERATIONS; operation++) {
        if ((abilities->requests >> operation & 1) == 0) {
            report_fatal("%s: a hunt needs %s", stress->implementation, operation_properties(operation)->name);
        }
    }
    if (abilities->granularity != 1 || !abilities->r20) {
        report_fatal("%s: a hunt needs layout r20 and granularity 1", stress->implementation);
    }
    if (!abilities->r9 && generate->layout == 0) {
        generate->layout = ADDCOW_R20;
    }
    generate->raw_backing = (abilities->lacks >> PROTOCOL_CHAIN & 1) != 0;
}

static int run_traces(const struct stress *stress, const char *directory, struct progress *progress)
{
    static struct trace trace;
    struct storage_sector_options hostility = storage_options(stress, stress->seed);
    struct addcow_storage *storage = storage_sector_make(&hostility);
    struct adapter *adapter = adapter_make(stress->implementation, storage);
    respect_abilities(stress, adapter, &progress->generate);
    uint64_t start = clock_nanoseconds();
    int verdict = REPORT_CONFORMS;
    for (uint64_t i = 0; verdict == REPORT_CONFORMS && (stress->traces == 0 || i < stress->traces); i++) {
        if (stress->seconds != 0 && clock_seconds_since(start) >= (double)stress->seconds) {
            break;
        }
        progress->seed = stress->seed + i;
        hostility = storage_options(stress, progress->seed);
        storage_sector_set(storage, &hostility);
        make_trace(stress, &progress->generate, progress->seed, &trace);
        verdict = run_trace(&trace, adapter, storage, directory, progress);
        progress->finished += verdict == REPORT_CONFORMS;
    }
    adapter->ops->destroy(adapter);
    storage_sector_free(storage);
    return verdict;
}

/* ---- The parent ---- */

/* Writes the failed workload into a file. */
static bool write_file(const struct stress *stress, const struct progress *progress, const char *name)
{
    static struct trace_file file;
    struct storage_sector_options storage = storage_options(stress, progress->seed);
    FILE *out = fopen(name, "w");
    if (out == NULL) {
        return false;
    }
    file.stress = true;
    file.storage =
        (struct trace_file_storage){storage.refuse_holes, storage.shares, storage.short_transfers, storage.pause};
    make_trace(stress, &progress->generate, progress->seed, &file.trace);
    fprintf(out, "# hunt stress --impl '%s' --seed %" PRIu64 "\n", stress->implementation, progress->seed);
    trace_file_print(out, &file);
    return fclose(out) == 0;
}

/* Says how the failed workload can be run again. Stores the best command for that. */
static void print_repeat(const struct stress *stress, const struct progress *progress, const char *directory,
                         char command[HUNT_COMMAND_BYTES])
{
    char name[64];
    char seed[HUNT_COMMAND_BYTES];
    snprintf(name, sizeof name, "hunt-%" PRIu64 ".trace", progress->seed);
    int length = snprintf(
        seed, sizeof seed,
        PROGRAM_PREFIX "hunt stress --impl '%s' --seed %" PRIu64 " --traces 1 --threads %" PRIu32 " --ops %" PRIu32,
        stress->implementation, progress->seed, progress->generate.threads, progress->generate.operations);
    if (progress->generate.cluster_bits != 0 && length < (int)sizeof seed) {
        length += snprintf(seed + length, sizeof seed - (size_t)length, " --cluster-bits %" PRIu32,
                           progress->generate.cluster_bits);
    }
    if (progress->generate.layout != 0 && length < (int)sizeof seed) {
        snprintf(seed + length, sizeof seed - (size_t)length, " --layout r%" PRIu32, progress->generate.layout);
    }
    bool has_file = stress->file != NULL || write_file(stress, progress, name);
    if (has_file) {
        snprintf(command, HUNT_COMMAND_BYTES, PROGRAM_PREFIX "hunt replay --impl '%s' %s", stress->implementation,
                 stress->file != NULL ? stress->path : name);
        printf("Run it again with: %s\n", command);
    } else {
        snprintf(command, HUNT_COMMAND_BYTES, "%s", seed);
        printf("%s cannot be written: %s\n", name, strerror(errno));
    }
    if (stress->file == NULL) {
        printf("%s with: %s\n", has_file ? "or" : "Run it again", seed);
    }
    if (stress->keep) {
        printf("The disk: %s/%s\n", directory, DISK_METADATA);
    }
}

/* Names the operations that were in progress when the child died or was stopped. */
static void print_in_progress(const struct stress *stress, const struct progress *progress)
{
    static struct trace trace;
    make_trace(stress, &progress->generate, progress->seed, &trace);
    for (uint32_t thread = 0; thread < trace.threads; thread++) {
        uint32_t operation = progress->watch.doing[thread];
        if (operation != 0 && operation <= trace.count) {
            printf("  in progress: operation %" PRIu32 " (", operation - 1);
            trace_print_operation(stdout, &trace.operations[operation - 1]);
            puts(")");
        }
    }
}

enum child_end { CHILD_ENDED, CHILD_HANGS, CHILD_JUDGES_TOO_LONG };

/* The time since the child last made progress, in nanoseconds. */
struct quiet {
    uint64_t passed;    /* as far as the parent ran too: the child may have been stopped with it */
    uint64_t processor; /* that the child used */
};

static bool is_idle(const struct quiet *quiet)
{
    return quiet->processor < quiet->passed / IDLE_SHARE;
}

/*
 * A child hangs if it sleeps during the whole limit, as in a deadlock, or if it has used that much processor time. A
 * child that did not get a processor has done neither.
 */
static bool is_hung(const struct quiet *quiet, uint64_t limit)
{
    return quiet->passed > limit && (is_idle(quiet) || quiet->processor > limit || quiet->passed / SLOW_TIMES > limit);
}

/* Waits for the child, and stops it if it hangs. */
static enum child_end watch_child(const struct stress *stress, pid_t child, const struct progress *progress,
                                  int *status)
{
    uint64_t start = clock_nanoseconds();
    uint64_t last_look = start;
    uint64_t used_before = 0;
    uint32_t last_event = 0;
    struct quiet quiet = {0};
    while (waitpid(child, status, WNOHANG) == 0) {
        uint64_t now = clock_nanoseconds();
        uint64_t used = clock_processor_nanoseconds_of(child);
        uint32_t event = progress->watch.events;
        if (event != last_event) {
            last_event = event;
            used_before = used;
            quiet.passed = 0;
        }
        quiet.passed += now - last_look < WATCH_NANOSECONDS_MAX ? now - last_look : WATCH_NANOSECONDS_MAX;
        quiet.processor = used - used_before;
        last_look = now;
        if (is_hung(&quiet, stress->hang_seconds * 1000000000u)) {
            bool judging = progress->watch.judging && !is_idle(&quiet); /* the judge never sleeps */
            kill(child, SIGKILL);
            waitpid(child, status, 0);
            return judging ? CHILD_JUDGES_TOO_LONG : CHILD_HANGS;
        }
        report_progress("hunt: %.0f s, %" PRIu64 " traces, %" PRIu64 " operations, %" PRIu64 " sectors compared",
                        clock_seconds_since(start), progress->finished, progress->counts.operations,
                        progress->counts.sectors);
        nanosleep(&(struct timespec){.tv_nsec = WATCH_NANOSECONDS}, NULL);
    }
    report_progress(NULL);
    return CHILD_ENDED;
}

/* Prints a failure that the parent has seen, and notes it. */
__attribute__((format(printf, 4, 5))) static enum report_exit
fail(const struct stress *stress, struct progress *progress, enum report_exit verdict, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(progress->reason, sizeof progress->reason, format, arguments);
    va_end(arguments);
    puts(progress->reason);
    print_in_progress(stress, progress);
    return verdict;
}

static enum report_exit judge_exit(const struct stress *stress, struct progress *progress, int status)
{
    if (WIFSIGNALED(status) && sandbox_signal_is_from_outside(WTERMSIG(status))) {
        return fail(stress, progress, REPORT_INCOMPLETE,
                    "hunt: not judged: signal %d (%s) from outside ended the workloads; perhaps memory is short",
                    WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    if (WIFSIGNALED(status)) {
        return fail(stress, progress, REPORT_CRASHED, "the implementation crashes: signal %d (%s)", WTERMSIG(status),
                    strsignal(WTERMSIG(status)));
    }
    int code = WEXITSTATUS(status);
    bool failed = code == REPORT_DIFFERS || code == REPORT_CRASHED;
    if (code > REPORT_INCOMPLETE || (failed && !progress->printed)) { /* a sanitizer ends a process with 1 */
        return fail(stress, progress, REPORT_CRASHED, "the implementation ended the process with status %d", code);
    }
    if (code != REPORT_CONFORMS) {
        return (enum report_exit)code; /* the child has said why */
    }
    return progress->finished > 0 ? REPORT_CONFORMS : REPORT_INCOMPLETE;
}

static enum report_exit judge_child(const struct stress *stress, struct progress *progress, enum child_end end,
                                    int status)
{
    switch (end) {
    case CHILD_HANGS:
        return fail(stress, progress, REPORT_CRASHED,
                    "the implementation hangs: nothing happened for %" PRIu64 " seconds (CON-12)",
                    stress->hang_seconds);
    case CHILD_JUDGES_TOO_LONG:
        return fail(stress, progress, REPORT_INCOMPLETE,
                    "hunt: not judged: judging the workload of --seed %" PRIu64 " takes over %" PRIu64
                    " seconds of processor time",
                    progress->seed, stress->hang_seconds);
    default:
        return judge_exit(stress, progress, status);
    }
}

static void print_summary(const struct stress *stress, const struct progress *progress, enum report_exit verdict)
{
    bool failed = verdict == REPORT_DIFFERS || verdict == REPORT_CRASHED;
    printf("hunt: %s: %" PRIu64 " traces, %" PRIu64 " operations, %" PRIu64 " sectors compared, %u failures",
           stress->implementation, progress->finished + failed, progress->counts.operations, progress->counts.sectors,
           failed);
    if (stress->file == NULL) {
        printf("; seeds %" PRIu64 "..%" PRIu64, stress->seed, progress->seed);
    }
    if (progress->counts.history.undecided > 0) {
        printf("; %" PRIu64 " of %" PRIu64 " fragments undecided", progress->counts.history.undecided,
               progress->counts.history.fragments);
    }
    putchar('\n');
}

int stress_run(const struct stress *stress)
{
    char directory[SCRATCH_PATH_BYTES];
    if (!scratch_make(stress->directory, "addcow-hunt", directory)) {
        fprintf(stderr, "hunt: --dir: %s: %s\n", directory, strerror(errno));
        return REPORT_USAGE;
    }
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        report_fatal("no memory");
    }
    progress->generate = stress->generate;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        report_fatal("cannot start a process: %s", strerror(errno));
    }
    if (child == 0) {
        exit(run_traces(stress, directory, progress));
    }
    int status = 0;
    char command[HUNT_COMMAND_BYTES] = "";
    enum child_end end = watch_child(stress, child, progress, &status);
    enum report_exit verdict = judge_child(stress, progress, end, status);
    bool failed = verdict == REPORT_DIFFERS || verdict == REPORT_CRASHED;
    if (failed) {
        print_repeat(stress, progress, directory, command);
    }
    if (!failed || !stress->keep) {
        scratch_remove(directory);
    }
    if (verdict != REPORT_USAGE) {
        print_summary(stress, progress, verdict);
    }
    if (failed) {
        hunt_print_failure(progress->reason, command);
    }
    munmap(progress, sizeof *progress);
    return (int)verdict;
}

/* ---- The command line ---- */

void stress_check_implementation(const struct options_command *command, const char *implementation)
{
    struct adapter *adapter = strncmp(implementation, ADAPTER_EXEC_PREFIX, strlen(ADAPTER_EXEC_PREFIX)) == 0
                                  ? NULL
                                  : adapter_make(implementation, NULL);
    if (adapter != NULL) {
        adapter->ops->destroy(adapter);
    } else if (strncmp(implementation, ADAPTER_EXEC_PREFIX, strlen(ADAPTER_EXEC_PREFIX)) != 0) {
        options_refuse(command, "--impl: '%s' is none of: %s", implementation, adapter_names());
    }
}

/* What the options say about workloads. */
struct workload_options {
    uint64_t threads;
    uint64_t operations;
    uint64_t cluster_bits; /* 0: any */
    unsigned layout;       /* an index of the names below */
};

enum { LAYOUT_R20, LAYOUT_R9, LAYOUT_BOTH };

static const char *const layout_names[] = {"r20", "r9", "both", NULL};

static struct generate_options generate_options(const struct options_command *command,
                                                const struct workload_options *options)
{
    static const uint32_t layouts[] = {ADDCOW_R20, ADDCOW_R9, 0};
    if (options->layout == LAYOUT_R9 && options->cluster_bits != 0 && options->cluster_bits != 16) {
        options_refuse(command, "--cluster-bits: '%" PRIu64 "' is not 16, the only one of layout r9",
                       options->cluster_bits);
    }
    return (struct generate_options){
        .threads = (uint32_t)options->threads,
        .operations = (uint32_t)options->operations,
        .cluster_bits = (uint32_t)options->cluster_bits,
        .layout = layouts[options->layout],
    };
}

int hunt_stress(int count, char **words)
{
    struct stress stress = STRESS_DEFAULTS;
    struct workload_options workload = {.threads = 4, .operations = 120, .layout = LAYOUT_BOTH};
    stress.directory = scratch_fast_parent();
    stress.seed = HUNT_NO_SEED;
    const struct option_row rows[] = {
        {"impl", "NAME", "the implementation: fast, ref or exec:COMMAND", .text = &stress.implementation},
        HUNT_ROW_TIME(&stress.seconds),
        HUNT_ROW_TRACES(&stress.traces),
        HUNT_ROW_SEED(&stress.seed),
        {"threads", "N", "of each workload", .number = &workload.threads, .least = 1, .greatest = TRACE_THREADS_MAX},
        {"ops", "N", "operations of each workload", .number = &workload.operations, .least = 1,
         .greatest = TRACE_OPERATIONS_MAX},
        {"cluster-bits", "N", "the size of clusters; all unless given", .number = &workload.cluster_bits, .least = 12,
         .greatest = 21},
        {"layout", "L", "of the disks", .choice = &workload.layout, .names = layout_names},
        {"dir", "DIR", "make the disks in a new directory in DIR", .text = &stress.directory},
        {"keep", NULL, "leave the disk of a failed workload there", .flag = &stress.keep},
        {"hang", "SECONDS", "how long nothing may happen", .number = &stress.hang_seconds, .least = 1,
         .greatest = HUNT_SECONDS_MAX, .unit = "seconds"},
    };
    const struct options_command command = {
        .program = "hunt",
        .call = PROGRAM_PREFIX "hunt stress",
        .synopsis = "[OPTION]...",
        .purpose =
            "Runs random concurrent workloads on real threads and real files, and compares the implementation "
            "with the reference engine, byte for byte.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .notes = HUNT_EXIT_STATUS,
    };
    int first = options_parse(&command, count, words, NULL);
    options_refuse_operands(&command, count, words, first);
    stress_check_implementation(&command, stress.implementation);
    stress.generate = generate_options(&command, &workload);
    hunt_set_defaults(&stress.seed, stress.traces, &stress.seconds);
    return stress_run(&stress);
}

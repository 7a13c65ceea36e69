/*
 * hunt: random concurrent workloads on real threads and real files, judged against the reference engine.
 *
 * The workloads run in a child process; the parent watches. So an implementation that crashes, or that hangs in a
 * deadlock, is reported with the workload that did it, like one that answers wrongly. Trace number i of a hunt has the
 * seed --seed + i and can be made again from it alone; how threads interleave cannot be repeated, so a replay runs its
 * trace many times.
 */
#include "adapters/adapter_exec.h"
#include "programs/hunt_explore.h"
#include "workload/disk_files.h"
#include "workload/phase.h"
#include "workload/generate.h"
#include "programs/hunt_options.h"
#include "judges/differential.h"
#include "base/random.h"
#include "base/report.h"
#include "base/scratch.h"
#include "storage/storage_sector.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define DEFAULT_THREADS 4u
#define DEFAULT_OPERATIONS 120u
#define WATCH_NANOSECONDS 20000000

/* What the child tells the parent. In shared memory. */
struct progress {
    struct differential_counts counts;
    _Atomic uint64_t seed;            /* of the trace in progress */
    _Atomic uint64_t finished;        /* traces */
    bool told;                        /* the child has said what is wrong */
    struct generate_options generate; /* as the implementation's abilities restrict them */
    struct execution_watch watch;
};

/* ---- Workloads: the child ---- */

static void load_replay(const struct hunt_options *options, struct trace *trace)
{
    char error[256];
    FILE *in = fopen(options->replay, "r");
    if (in == NULL) {
        hunt_options_refuse("%s: %s", options->replay, strerror(errno));
    }
    bool parsed = trace_parse(in, trace, error, sizeof error);
    fclose(in);
    if (!parsed) {
        hunt_options_refuse("%s: %s", options->replay, error);
    }
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        const char *problem = phase_problem(trace, begin, end);
        if (trace_phase_is_concurrent(trace, begin, end) && problem != NULL) {
            hunt_options_refuse("%s: operations %" PRIu32 "..%" PRIu32 ": %s cannot be judged", options->replay, begin,
                                end - 1, problem);
        }
    }
}

static struct generate_options generate_options(const struct hunt_options *options)
{
    return (struct generate_options){
        .threads = options->threads != 0 ? options->threads : DEFAULT_THREADS,
        .operations = options->operations != 0 ? options->operations : DEFAULT_OPERATIONS,
        .cluster_bits = options->cluster_bits,
        .layout = options->layout,
    };
}

static void make_trace(const struct hunt_options *options, const struct generate_options *generate, uint64_t seed,
                       struct trace *trace)
{
    if (options->replay != NULL) {
        load_replay(options, trace);
    } else {
        generate_trace(seed, generate, trace);
    }
}

/* How hostile the storage is differs from trace to trace. */
static struct storage_sector_options storage_options(uint64_t seed)
{
    static const unsigned pauses[] = {0, 3, 10, 40};
    struct random random = {random_hash(~seed)};
    return (struct storage_sector_options){
        .seed = seed,
        .pause = pauses[random_below(&random, 4)],
        .short_transfers = random_once_in(&random, 3),
        .refuse_holes = random_once_in(&random, 3),
    };
}

/* Runs one workload and tells its story if it fails. */
static int run_trace(const struct trace *trace, struct adapter *adapter, const char *directory,
                     struct progress *progress)
{
    char *story = NULL;
    size_t length = 0;
    char why[1024];
    FILE *out = open_memstream(&story, &length);
    if (out == NULL) {
        report_fatal("no memory for a report");
    }
    bool conforms = differential_judge(trace, adapter, directory, &progress->watch, &progress->counts, out);
    fclose(out);
    enum exec_state state = adapter_exec_state(adapter, why, sizeof why);
    if (!conforms) {
        printf("%s", story);
    }
    if (state != EXEC_SOUND) {
        printf("the implementation %s: %s\n", exec_state_name(state), why);
    }
    fflush(stdout);
    free(story);
    progress->told = !conforms || state != EXEC_SOUND;
    return state != EXEC_SOUND ? REPORT_CRASHED : conforms ? REPORT_CONFORMS : REPORT_DIFFERS;
}

/* Restricts the workloads to what a child process says that it can do; ends the hunt if that is too little. */
static void respect_abilities(const struct hunt_options *options, struct adapter *adapter,
                              struct generate_options *generate)
{
    const struct protocol_abilities *abilities = adapter_exec_abilities(adapter);
    if (abilities == NULL) {
        return;
    }
    for (uint32_t operation = 0; operation < OPERATIONS; operation++) {
        if ((abilities->requests >> operation & 1) == 0) {
            report_fatal("%s: a hunt needs %s", options->implementation, operation_properties(operation)->name);
        }
    }
    if (abilities->granularity != 1 || !abilities->r20) {
        report_fatal("%s: a hunt needs layout r20 and granularity 1", options->implementation);
    }
    if (!abilities->r9 && generate->layout == 0) {
        generate->layout = ADDCOW_R20;
    }
    generate->raw_backing = (abilities->lacks >> PROTOCOL_CHAIN & 1) != 0;
}

static int hunt(const struct hunt_options *options, const char *directory, struct progress *progress)
{
    static struct trace trace;
    struct storage_sector_options hostility = storage_options(options->seed);
    struct addcow_storage *storage = storage_sector_make(&hostility);
    struct adapter *adapter = adapter_make(options->implementation, storage);
    if (adapter == NULL) {
        hunt_options_refuse("--impl: '%s' is none of: %s", options->implementation, adapter_names());
    }
    respect_abilities(options, adapter, &progress->generate);
    time_t deadline = time(NULL) + (time_t)options->seconds;
    int verdict = REPORT_CONFORMS;
    for (uint64_t i = 0; verdict == REPORT_CONFORMS && (options->traces == 0 || i < options->traces); i++) {
        if (options->seconds != 0 && time(NULL) >= deadline) {
            break;
        }
        progress->seed = options->seed + i;
        hostility = storage_options(progress->seed);
        storage_sector_set(storage, &hostility);
        make_trace(options, &progress->generate, progress->seed, &trace);
        verdict = run_trace(&trace, adapter, directory, progress);
        progress->finished += verdict == REPORT_CONFORMS;
    }
    adapter->ops->destroy(adapter);
    storage_sector_free(storage);
    return verdict;
}

/* ---- The parent ---- */

/* Says how the failed workload can be run again. */
static void print_replay(const struct hunt_options *options, const struct progress *progress, const char *directory)
{
    static struct trace trace;
    char name[64];
    make_trace(options, &progress->generate, progress->seed, &trace);
    if (options->replay == NULL) {
        snprintf(name, sizeof name, "hunt-%" PRIu64 ".trace", progress->seed);
        FILE *out = fopen(name, "w");
        if (out != NULL) {
            fprintf(out, "# hunt --impl '%s' --seed %" PRIu64 "\n", options->implementation, progress->seed);
            trace_print(out, &trace);
            fclose(out);
            printf("The workload: %s\n", name);
            printf("Run it again with: %s --impl '%s' --replay %s\n", options->program, options->implementation, name);
        }
    }
    printf("%s with: %s --impl '%s'", options->replay == NULL ? "or" : "Run it again", options->program,
           options->implementation);
    if (options->replay != NULL) {
        printf(" --replay %s", options->replay);
    } else {
        printf(" --seed %" PRIu64 " --traces 1 --threads %" PRIu32 " --ops %" PRIu32, progress->seed,
               progress->generate.threads, progress->generate.operations);
        if (progress->generate.cluster_bits != 0) {
            printf(" --cluster-bits %" PRIu32, progress->generate.cluster_bits);
        }
        if (progress->generate.layout != 0) {
            printf(" --layout r%" PRIu32, progress->generate.layout);
        }
    }
    putchar('\n');
    if (options->keep) {
        printf("The disk: %s/%s\n", directory, DISK_METADATA);
    }
}

/* Names the operations that were in progress when the child died or was stopped. */
static void print_in_progress(const struct hunt_options *options, const struct progress *progress)
{
    static struct trace trace;
    make_trace(options, &progress->generate, progress->seed, &trace);
    for (uint32_t thread = 0; thread < trace.threads; thread++) {
        uint32_t operation = progress->watch.doing[thread];
        if (operation != 0 && operation <= trace.count) {
            printf("  in progress: operation %" PRIu32 " (", operation - 1);
            trace_print_operation(stdout, &trace.operations[operation - 1]);
            puts(")");
        }
    }
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Waits for the child. Returns its status as waitpid gives it, or -1 after stopping it because it hung. */
static int watch_child(const struct hunt_options *options, pid_t child, const struct progress *progress)
{
    struct timespec start;
    struct timespec last_change;
    uint64_t last_finished = 0;
    int status;
    clock_gettime(CLOCK_MONOTONIC, &start);
    last_change = start;
    while (waitpid(child, &status, WNOHANG) == 0) {
        uint64_t finished = progress->finished;
        if (finished != last_finished) {
            last_finished = finished;
            clock_gettime(CLOCK_MONOTONIC, &last_change);
        }
        if (seconds_since(&last_change) > (double)options->hang_seconds) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return -1;
        }
        report_progress("hunt: %.0f s, %" PRIu64 " traces, %" PRIu64 " operations, %" PRIu64 " sectors compared",
                        seconds_since(&start), finished, progress->counts.operations, progress->counts.sectors);
        nanosleep(&(struct timespec){.tv_nsec = WATCH_NANOSECONDS}, NULL);
    }
    report_progress(NULL);
    return status;
}

static enum report_exit judge_child(const struct hunt_options *options, const struct progress *progress, int status)
{
    if (status == -1) {
        printf("the implementation hangs: nothing happened for %" PRIu64 " seconds (CON-12)\n", options->hang_seconds);
        print_in_progress(options, progress);
        return REPORT_CRASHED;
    }
    if (WIFSIGNALED(status)) {
        printf("the implementation crashes: signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        print_in_progress(options, progress);
        return REPORT_CRASHED;
    }
    int code = WEXITSTATUS(status);
    bool failed = code == REPORT_DIFFERS || code == REPORT_CRASHED;
    if (code > REPORT_INCOMPLETE || (failed && !progress->told)) { /* a sanitizer ends a process with 1 */
        printf("the implementation ended the process with status %d\n", code);
        print_in_progress(options, progress);
        return REPORT_CRASHED;
    }
    if (code != REPORT_CONFORMS) {
        return (enum report_exit)code; /* the child has said why */
    }
    return progress->finished > 0 ? REPORT_CONFORMS : REPORT_INCOMPLETE;
}

static void print_summary(const struct hunt_options *options, const struct progress *progress, enum report_exit verdict)
{
    bool failed = verdict == REPORT_DIFFERS || verdict == REPORT_CRASHED;
    printf("hunt: %s: %" PRIu64 " traces, %" PRIu64 " operations, %" PRIu64 " sectors compared, %u failures",
           options->implementation, progress->finished + failed, progress->counts.operations, progress->counts.sectors,
           failed);
    if (options->replay == NULL) {
        printf("; seeds %" PRIu64 "..%" PRIu64, options->seed, progress->seed);
    }
    if (progress->counts.history.undecided > 0) {
        printf("; %" PRIu64 " of %" PRIu64 " fragments undecided", progress->counts.history.undecided,
               progress->counts.history.fragments);
    }
    putchar('\n');
}

int hunt_main(int count, char **words)
{
    struct hunt_options options;
    hunt_options_parse(count, words, &options);
    if (options.scheduled) {
        return explore_hunt(&options);
    }
    static struct trace trace;
    struct generate_options generate = generate_options(&options);
    make_trace(&options, &generate, options.seed, &trace); /* a replay that cannot be used is said at once */
    char directory[PATH_BYTES];
    snprintf(directory, sizeof directory, "%s/addcow-hunt.XXXXXX", options.directory);
    if (mkdtemp(directory) == NULL) {
        hunt_options_refuse("--dir: %s: %s", directory, strerror(errno));
    }
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        report_fatal("no memory");
    }
    progress->generate = generate;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        report_fatal("cannot start a process: %s", strerror(errno));
    }
    if (child == 0) {
        exit(hunt(&options, directory, progress));
    }
    int status = watch_child(&options, child, progress);
    enum report_exit verdict = judge_child(&options, progress, status);
    bool failed = verdict == REPORT_DIFFERS || verdict == REPORT_CRASHED;
    if (failed) {
        print_replay(&options, progress, directory);
    }
    if (!failed || !options.keep) {
        scratch_remove(directory);
    }
    if (verdict != REPORT_USAGE) {
        print_summary(&options, progress, verdict);
    }
    return (int)verdict;
}

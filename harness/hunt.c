/*
 * hunt: random concurrent workloads on real threads and real files, judged against the reference engine.
 *
 * The workloads run in a child process; the parent watches. So an implementation that crashes, or that hangs in a
 * deadlock, is reported with the workload that did it, like one that answers wrongly. Trace number i of a hunt has
 * the seed --seed + i and can be made again from it alone; how threads interleave cannot be repeated, so a replay
 * runs its trace many times.
 */
#include "adapter_exec.h"
#include "explore_hunt.h"
#include "files.h"
#include "generate.h"
#include "judge.h"
#include "random.h"
#include "report.h"
#include "storage_sector.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define DEFAULT_SECONDS 60u
#define DEFAULT_THREADS 4u
#define DEFAULT_OPERATIONS 120u
#define DEFAULT_REPEAT 200u
#define HANG_SECONDS 30u /* one trace takes milliseconds */
#define WATCH_NANOSECONDS 20000000

struct options {
    const char *program;
    const char *implementation;
    const char *replay;    /* a trace in text form, or null */
    const char *directory; /* where files are made */
    uint64_t seed;
    uint64_t traces;  /* 0: as many as the time allows */
    uint64_t seconds; /* 0: no limit */
    uint64_t hang_seconds;
    bool keep;
    struct generate_options generate;
};

/* What the child tells the parent. In shared memory. */
struct progress {
    struct judge_counts counts;
    _Atomic uint64_t seed;            /* of the trace in progress */
    _Atomic uint64_t finished;        /* traces */
    bool told;                        /* the child has said what is wrong */
    struct generate_options generate; /* as the implementation's abilities restrict them */
    struct run_watch watch;
};

static const char usage[] =
    "Usage: hunt [OPTION]...\n"
    "Runs random concurrent workloads on an add-cow implementation, and compares it with the reference engine, byte "
    "for byte.\n"
    "\n"
    "  --impl NAME         the implementation: fast, ref or exec:COMMAND (default fast)\n"
    "  --time SECONDS      how long (default 60, or no limit with --traces)\n"
    "  --traces N          how many workloads\n"
    "  --seed N            of the first workload; the next has N + 1 (default: a random one)\n"
    "  --threads N         1..16 (default 4)\n"
    "  --ops N             operations of a workload, 1..4096 (default 120)\n"
    "  --cluster-bits N    12..21 (default: all)\n"
    "  --layout L          r20 or r9 (default: both)\n"
    "  --replay FILE       run the workload in FILE, again and again until it fails (default 200 times)\n"
    "  --dir DIR           make the disks in a new directory in DIR (default TMPDIR, /dev/shm or /tmp)\n"
    "  --keep              leave the disk of a failed workload there\n"
    "  --hang SECONDS      how long a workload may take (default 30)\n"
    "  --strategy, --judge hunt on simulated storage under the deterministic scheduler instead: see 'hunt --judge "
    "all --help'\n"
    "  --help              show this\n"
    "\n"
    "Exit status: 0 all workloads conform; 1 one does not; 2 wrong usage; 3 the implementation crashed or hung;\n"
    "4 nothing was run.\n";

/* ---- Options ---- */

_Noreturn __attribute__((format(printf, 1, 2))) static void wrong_usage(const char *format, ...)
{
    va_list arguments;
    fputs("hunt: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\nTry 'hunt --help'.\n", stderr);
    exit(REPORT_USAGE);
}

static uint64_t number(const char *option, const char *word, uint64_t least, uint64_t greatest)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0 || value < least || value > greatest) {
        wrong_usage("--%s: '%s' is not a number in %" PRIu64 "..%" PRIu64, option, word, least, greatest);
    }
    return value;
}

static uint32_t layout(const char *word)
{
    if (strcmp(word, "r20") != 0 && strcmp(word, "r9") != 0) {
        wrong_usage("--layout: '%s' is neither r20 nor r9", word);
    }
    return strcmp(word, "r9") == 0 ? ADDCOW_R9 : ADDCOW_R20;
}

static void set_option(struct options *options, int option, const char *word)
{
    switch (option) {
    case 'i':
        options->implementation = word;
        break;
    case 't':
        options->seconds = number("time", word, 1, 1000000000);
        break;
    case 'n':
        options->traces = number("traces", word, 1, UINT64_MAX);
        break;
    case 's':
        options->seed = number("seed", word, 0, UINT64_MAX);
        break;
    case 'j':
        options->generate.threads = (uint32_t)number("threads", word, 1, TRACE_THREADS_MAX);
        break;
    case 'o':
        options->generate.operations = (uint32_t)number("ops", word, 1, TRACE_OPERATIONS_MAX);
        break;
    case 'c':
        options->generate.cluster_bits = (uint32_t)number("cluster-bits", word, 12, 21);
        break;
    case 'l':
        options->generate.layout = layout(word);
        break;
    case 'r':
        options->replay = word;
        break;
    case 'd':
        options->directory = word;
        break;
    case 'k':
        options->keep = true;
        break;
    case 'g':
        options->hang_seconds = number("hang", word, 1, 1000000);
        break;
    case 'h':
        fputs(usage, stdout);
        exit(REPORT_CONFORMS);
    default:
        wrong_usage("wrong option");
    }
}

static void parse_options(int count, char **words, struct options *options)
{
    static const struct option known[] = {
        {"impl", required_argument, NULL, 'i'},    {"time", required_argument, NULL, 't'},
        {"traces", required_argument, NULL, 'n'},  {"seed", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 'j'}, {"ops", required_argument, NULL, 'o'},
        {"layout", required_argument, NULL, 'l'},  {"cluster-bits", required_argument, NULL, 'c'},
        {"replay", required_argument, NULL, 'r'},  {"dir", required_argument, NULL, 'd'},
        {"keep", no_argument, NULL, 'k'},          {"hang", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
        if (option == '?') {
            exit(REPORT_USAGE); /* getopt has said why */
        }
        set_option(options, option, optarg);
    }
    if (optind < count) {
        wrong_usage("unexpected argument '%s'", words[optind]);
    }
    if (options->generate.layout == ADDCOW_R9 && options->generate.cluster_bits != 0 &&
        options->generate.cluster_bits != 16) {
        wrong_usage("layout r9 has cluster bits 16 only");
    }
    if (options->replay != NULL && options->traces == 0) {
        options->traces = DEFAULT_REPEAT;
    }
    if (options->seconds == 0 && options->traces == 0) {
        options->seconds = DEFAULT_SECONDS;
    }
}

/* ---- Workloads: the child ---- */

static void load_replay(const struct options *options, struct trace *trace)
{
    char error[256];
    FILE *in = fopen(options->replay, "r");
    if (in == NULL) {
        wrong_usage("%s: %s", options->replay, strerror(errno));
    }
    bool parsed = trace_parse(in, trace, error, sizeof error);
    fclose(in);
    if (!parsed) {
        wrong_usage("%s: %s", options->replay, error);
    }
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        const char *problem = history_problem(trace, begin, end);
        if (trace_phase_is_concurrent(trace, begin, end) && problem != NULL) {
            wrong_usage("%s: operations %" PRIu32 "..%" PRIu32 ": %s cannot be judged", options->replay, begin, end - 1,
                        problem);
        }
    }
}

static void make_trace(const struct options *options, uint64_t seed, struct trace *trace)
{
    if (options->replay != NULL) {
        load_replay(options, trace);
    } else {
        generate_trace(seed, &options->generate, trace);
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
    bool conforms = judge_trace(trace, adapter, directory, &progress->watch, &progress->counts, out);
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
static void respect_abilities(struct options *options, struct adapter *adapter)
{
    const struct protocol_abilities *abilities = adapter_exec_abilities(adapter);
    if (abilities == NULL) {
        return;
    }
    for (int operation = PROTOCOL_WRITE; operation < PROTOCOL_CREATE; operation++) {
        if ((abilities->operations >> operation & 1) == 0) {
            report_fatal("%s: a hunt needs %s", options->implementation,
                         protocol_operation_name((enum protocol_operation)operation));
        }
    }
    if (abilities->granularity != 1 || !abilities->r20) {
        report_fatal("%s: a hunt needs layout r20 and granularity 1", options->implementation);
    }
    if (!abilities->r9 && options->generate.layout == 0) {
        options->generate.layout = ADDCOW_R20;
    }
    options->generate.raw_backing = (abilities->lacks >> PROTOCOL_CHAIN & 1) != 0;
}

static int hunt(const struct options *given, const char *directory, struct progress *progress)
{
    static struct trace trace;
    struct options options = *given;
    struct storage_sector_options hostility = storage_options(options.seed);
    struct addcow_storage *storage = storage_sector_make(&hostility);
    struct adapter *adapter = adapter_make(options.implementation, storage);
    if (adapter == NULL) {
        wrong_usage("--impl: '%s' is none of: %s", options.implementation, adapter_names());
    }
    respect_abilities(&options, adapter);
    time_t deadline = time(NULL) + (time_t)options.seconds;
    int verdict = REPORT_CONFORMS;
    for (uint64_t i = 0; verdict == REPORT_CONFORMS && (options.traces == 0 || i < options.traces); i++) {
        if (options.seconds != 0 && time(NULL) >= deadline) {
            break;
        }
        progress->seed = options.seed + i;
        hostility = storage_options(progress->seed);
        storage_sector_set(storage, &hostility);
        make_trace(&options, progress->seed, &trace);
        progress->generate = options.generate;
        verdict = run_trace(&trace, adapter, directory, progress);
        progress->finished += verdict == REPORT_CONFORMS;
    }
    adapter->ops->destroy(adapter);
    storage_sector_free(storage);
    return verdict;
}

/* ---- The parent ---- */

/* Says how the failed workload can be run again. */
static void print_replay(const struct options *options, const struct progress *progress, const char *directory)
{
    static struct trace trace;
    char name[64];
    make_trace(options, progress->seed, &trace);
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
               options->generate.threads, options->generate.operations);
        if (options->generate.cluster_bits != 0) {
            printf(" --cluster-bits %" PRIu32, options->generate.cluster_bits);
        }
        if (options->generate.layout != 0) {
            printf(" --layout r%" PRIu32, options->generate.layout);
        }
    }
    putchar('\n');
    if (options->keep) {
        printf("The disk: %s/%s\n", directory, FILES_METADATA);
    }
}

/* Names the operations that were in progress when the child died or was stopped. */
static void print_in_progress(const struct options *options, const struct progress *progress)
{
    static struct trace trace;
    make_trace(options, progress->seed, &trace);
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
static int watch_child(const struct options *options, pid_t child, const struct progress *progress)
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

static enum report_exit judge_child(const struct options *options, const struct progress *progress, int status)
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

static void print_summary(const struct options *options, const struct progress *progress, enum report_exit verdict)
{
    bool failed = verdict == REPORT_DIFFERS || verdict == REPORT_CRASHED;
    printf("hunt: %s: %" PRIu64 " traces, %" PRIu64 " operations, %" PRIu64 " sectors compared, %u failures",
           options->implementation, progress->finished + failed, progress->counts.operations, progress->counts.sectors,
           failed);
    if (options->replay == NULL) {
        printf("; seeds %" PRIu64 "..%" PRIu64, options->seed, progress->seed);
    }
    if (progress->counts.history.undecided > 0) {
        printf("; %" PRIu64 " of %" PRIu64 " registers undecided", progress->counts.history.undecided,
               progress->counts.history.registers);
    }
    putchar('\n');
}

int main(int count, char **words)
{
    if (explore_hunt_is_asked(count, words)) {
        return explore_hunt(count, words);
    }
    struct options options = {
        .program = words[0],
        .implementation = "fast",
        .directory = report_fast_directory(),
        .hang_seconds = HANG_SECONDS,
        .generate = {.threads = DEFAULT_THREADS, .operations = DEFAULT_OPERATIONS},
    };
    if (getrandom(&options.seed, 4, 0) != 4) {
        options.seed = (uint64_t)time(NULL);
    }
    parse_options(count, words, &options);
    static struct trace trace;
    make_trace(&options, options.seed, &trace); /* a replay that cannot be used is said at once */
    char directory[PATH_BYTES];
    snprintf(directory, sizeof directory, "%s/addcow-hunt.XXXXXX", options.directory);
    if (mkdtemp(directory) == NULL) {
        wrong_usage("--dir: %s: %s", directory, strerror(errno));
    }
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(NULL);
    pid_t child = progress == MAP_FAILED ? -1 : fork();
    if (child < 0) {
        report_fatal("cannot start a process: %s", strerror(errno));
    }
    if (child == 0) {
        exit(hunt(&options, directory, progress));
    }
    int status = watch_child(&options, child, progress);
    if (progress->generate.threads != 0) {
        options.generate = progress->generate;
    }
    enum report_exit verdict = judge_child(&options, progress, status);
    bool failed = verdict == REPORT_DIFFERS || verdict == REPORT_CRASHED;
    if (failed) {
        print_replay(&options, progress, directory);
    }
    if (!failed || !options.keep) {
        files_remove(directory);
    }
    if (verdict != REPORT_USAGE) {
        print_summary(&options, progress, verdict);
    }
    return (int)verdict;
}

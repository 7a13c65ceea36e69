/*
 * The options of hunt.
 */
#include "programs/hunt_options.h"

#include "addcow_format.h"
#include "base/report.h"
#include "base/scratch.h"
#include "sched/sched.h"
#include "workload/trace.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DEFAULT_SECONDS 60u
#define DEFAULT_REPEAT 200u
#define HANG_SECONDS 30u /* one trace takes milliseconds */

static const char usage[] =
    "Usage: hunt [OPTION]...\n"
    "Runs random concurrent workloads on an add-cow implementation, and compares it with the reference engine, byte "
    "for byte.\n"
    "\n"
    "  --time SECONDS      how long (default 60, or no limit with --traces)\n"
    "  --traces N          how many workloads\n"
    "  --seed N            of the first workload; the next has N + 1 (default: a random one)\n"
    "  --threads N         1..16 (default 4; under the scheduler 2 to 4)\n"
    "  --ops N             operations of a workload, 1..4096 (default 120); under the scheduler of each thread, "
    "1..100\n"
    "                      (default 1 to 3)\n"
    "  --replay FILE       run the workload in FILE: on real threads again and again until it fails (default 200\n"
    "                      times), under the scheduler with the schedule, and all else, that FILE says\n"
    "  --help              show this\n"
    "\n"
    "On real threads and real files:\n"
    "  --impl NAME         the implementation: fast, ref or exec:COMMAND (default fast)\n"
    "  --cluster-bits N    12..21 (default: all)\n"
    "  --layout L          r20 or r9 (default: both)\n"
    "  --dir DIR           make the disks in a new directory in DIR (default TMPDIR, /dev/shm or /tmp)\n"
    "  --keep              leave the disk of a failed workload there\n"
    "  --hang SECONDS      how long a workload may take (default 30)\n"
    "\n"
    "The production engine under a deterministic scheduler, on simulated storage, if one of these is given:\n"
    "  --judge J           schedule: answers, contents, deadlocks; crash: crashes too; fault: failing calls of the\n"
    "                      storage; or all (default)\n"
    "  --strategy S        who runs next: random, pct, exhaustive, or all in turns (default)\n"
    "  --schedules N       of each workload (default 50; exhaustive: without limit, or 400 of all)\n"
    "  --preemptions N     bound of the exhaustive strategy (default 2)\n"
    "  --self-check        run every schedule twice, and demand the same\n"
    "  --brief             do not make a failing workload small\n"
    "  --bench             measure how many schedules a second there are, for 3 threads x 2 operations\n"
    "\n"
    "Exit status: 0 all workloads conform; 1 one does not; 2 wrong usage; 3 the implementation crashed or hung;\n"
    "4 nothing was run.\n";

static const char *const judge_names[HUNT_JUDGES] = {"schedule", "crash", "fault"};

const char *hunt_judge_name(enum hunt_judge judge)
{
    return judge_names[judge];
}

void hunt_options_refuse(const char *format, ...)
{
    va_list arguments;
    fputs("hunt: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\nTry 'hunt --help'.\n", stderr);
    exit(REPORT_USAGE);
}

/* ---- The table ---- */

enum kind {
    THREADED = 1,  /* means something on real threads, */
    SCHEDULED = 2, /* under the scheduler, */
    BOTH = 3
};

enum option_id {
    TIME,
    TRACES,
    SEED,
    THREADS,
    OPS,
    REPLAY,
    HELP,
    IMPL,
    CLUSTER_BITS,
    LAYOUT,
    DIR,
    KEEP,
    HANG,
    JUDGE,
    STRATEGY,
    SCHEDULES,
    PREEMPTIONS,
    SELF_CHECK,
    BRIEF,
    BENCH,
    OPTIONS
};

static const struct {
    const char *name;
    bool has_word;
    enum kind kind;
} table[OPTIONS] = {
    [TIME] = {"time", true, BOTH},
    [TRACES] = {"traces", true, BOTH},
    [SEED] = {"seed", true, BOTH},
    [THREADS] = {"threads", true, BOTH},
    [OPS] = {"ops", true, BOTH},
    [REPLAY] = {"replay", true, BOTH},
    [HELP] = {"help", false, BOTH},
    [IMPL] = {"impl", true, THREADED},
    [CLUSTER_BITS] = {"cluster-bits", true, THREADED},
    [LAYOUT] = {"layout", true, THREADED},
    [DIR] = {"dir", true, THREADED},
    [KEEP] = {"keep", false, THREADED},
    [HANG] = {"hang", true, THREADED},
    [JUDGE] = {"judge", true, SCHEDULED},
    [STRATEGY] = {"strategy", true, SCHEDULED},
    [SCHEDULES] = {"schedules", true, SCHEDULED},
    [PREEMPTIONS] = {"preemptions", true, SCHEDULED},
    [SELF_CHECK] = {"self-check", false, SCHEDULED},
    [BRIEF] = {"brief", false, SCHEDULED},
    [BENCH] = {"bench", false, SCHEDULED},
};

/* ---- Words ---- */

static uint64_t number(enum option_id option, const char *word, uint64_t least, uint64_t greatest)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0 || value < least || value > greatest) {
        hunt_options_refuse("--%s: '%s' is not a number in %" PRIu64 "..%" PRIu64, table[option].name, word, least,
                            greatest);
    }
    return value;
}

static uint32_t layout(const char *word)
{
    if (strcmp(word, "r20") != 0 && strcmp(word, "r9") != 0) {
        hunt_options_refuse("--layout: '%s' is neither r20 nor r9", word);
    }
    return strcmp(word, "r9") == 0 ? ADDCOW_R9 : ADDCOW_R20;
}

static uint32_t judges(const char *word)
{
    if (strcmp(word, "all") == 0) {
        return (1u << HUNT_JUDGES) - 1;
    }
    for (uint32_t i = 0; i < HUNT_JUDGES; i++) {
        if (strcmp(word, judge_names[i]) == 0) {
            return 1u << i;
        }
    }
    hunt_options_refuse("--judge: '%s' is none of: schedule, crash, fault, all", word);
}

static const char *strategy(const char *word)
{
    static const char *const names[] = {"random", "pct", "exhaustive", "all"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(word, names[i]) == 0) {
            return names[i];
        }
    }
    hunt_options_refuse("--strategy: '%s' is none of: random, pct, exhaustive, all", word);
}

static void set_threaded(enum option_id option, const char *word, struct hunt_options *options)
{
    switch (option) {
    case IMPL:
        options->implementation = word;
        break;
    case CLUSTER_BITS:
        options->cluster_bits = (uint32_t)number(option, word, 12, 21);
        break;
    case LAYOUT:
        options->layout = layout(word);
        break;
    case DIR:
        options->directory = word;
        break;
    case KEEP:
        options->keep = true;
        break;
    default:
        options->hang_seconds = number(option, word, 1, 1000000);
    }
}

static void set_scheduled(enum option_id option, const char *word, struct hunt_options *options)
{
    switch (option) {
    case JUDGE:
        options->judges = judges(word);
        break;
    case STRATEGY:
        options->strategy = strategy(word);
        break;
    case SCHEDULES:
        options->schedules = number(option, word, 1, UINT64_MAX);
        break;
    case PREEMPTIONS:
        options->preemptions = (uint32_t)number(option, word, 0, SCHED_UNBOUNDED);
        break;
    case SELF_CHECK:
        options->self_check = true;
        break;
    case BRIEF:
        options->brief = true;
        break;
    default:
        options->bench = true;
    }
}

static void set_common(enum option_id option, const char *word, struct hunt_options *options)
{
    switch (option) {
    case TIME:
        options->seconds = number(option, word, 1, 1000000000);
        break;
    case TRACES:
        options->traces = number(option, word, 1, UINT64_MAX);
        break;
    case SEED:
        options->seed = number(option, word, 0, UINT64_MAX / 2);
        break;
    case THREADS:
        options->threads = (uint32_t)number(option, word, 1, TRACE_THREADS_MAX);
        break;
    case OPS:
        options->operations = (uint32_t)number(option, word, 1, TRACE_OPERATIONS_MAX);
        break;
    case REPLAY:
        options->replay = word;
        break;
    default:
        fputs(usage, stdout);
        exit(REPORT_CONFORMS);
    }
}

/* ---- The command line ---- */

static void check(const bool *given, struct hunt_options *options)
{
    for (int i = 0; i < OPTIONS; i++) {
        options->scheduled = options->scheduled || (given[i] && table[i].kind == SCHEDULED);
    }
    for (int i = 0; i < OPTIONS; i++) {
        if (given[i] && options->scheduled && table[i].kind == THREADED) {
            hunt_options_refuse("--%s means nothing under the scheduler", table[i].name);
        }
    }
    if (options->scheduled && options->operations > 100) {
        hunt_options_refuse("--ops: under the scheduler a thread has 100 operations at most");
    }
    if (options->layout == ADDCOW_R9 && options->cluster_bits != 0 && options->cluster_bits != 16) {
        hunt_options_refuse("layout r9 has cluster bits 16 only");
    }
    if (options->replay != NULL && options->traces == 0) {
        options->traces = DEFAULT_REPEAT;
    }
    if (options->seconds == 0 && options->traces == 0) {
        options->seconds = DEFAULT_SECONDS;
    }
}

void hunt_options_parse(int count, char **words, struct hunt_options *options)
{
    struct option known[OPTIONS + 1] = {0};
    bool given[OPTIONS] = {false};
    for (int i = 0; i < OPTIONS; i++) {
        known[i] = (struct option){table[i].name, table[i].has_word ? required_argument : no_argument, NULL, 256 + i};
    }
    *options = (struct hunt_options){
        .program = words[0],
        .implementation = "fast",
        .directory = scratch_fast_parent(),
        .hang_seconds = HANG_SECONDS,
        .strategy = "all",
        .judges = judges("all"),
        .preemptions = 2,
    };
    if (getrandom(&options->seed, 4, 0) != 4) {
        options->seed = (uint64_t)time(NULL);
    }
    int option;
    while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
        if (option == '?') {
            exit(REPORT_USAGE); /* getopt has said why */
        }
        enum option_id id = (enum option_id)(option - 256);
        given[id] = true;
        (table[id].kind == BOTH       ? set_common
         : table[id].kind == THREADED ? set_threaded
                                      : set_scheduled)(id, optarg, options);
    }
    if (optind < count) {
        hunt_options_refuse("unexpected argument '%s'", words[optind]);
    }
    check(given, options);
}

/*
 * The hunt under the deterministic scheduler, on simulated storage.
 *
 * Trace number i has the seed --seed + i; the strategy's choices follow from the same seed, so a hunt can be repeated
 * exactly. What fails is made small, written into a file together with its schedule, and told as a timeline.
 */
#include "explore_hunt.h"

#include "crash.h"
#include "explore.h"
#include "fault.h"
#include "files.h"
#include "minimise.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define SCHEDULE_COMMENT "# schedule "
#define SCHEDULES 50u /* of a workload */
#define SCHEDULES_EXHAUSTIVE 400u
#define STATES 2000u       /* of a crash */
#define STATES_SECOND 100u /* with second crashes from each */

enum judge { JUDGE_SCHEDULE, JUDGE_CRASH, JUDGE_FAULT, JUDGES };

static const char *const judge_names[JUDGES] = {"schedule", "crash", "fault"};

struct hunt {
    const char *strategy; /* random, pct, exhaustive, or all */
    uint32_t judges;      /* a bit each */
    uint64_t seed;
    double seconds;
    uint64_t traces;    /* 0: as many as the time allows */
    uint64_t schedules; /* of each trace; 0: as the strategy likes */
    uint32_t threads;   /* 0: any number */
    uint32_t operations;
    uint32_t preemptions;
    bool self_check;
    bool brief; /* a failure is told, but not made small */
    const char *replay;
    const char *program;
};

struct totals {
    uint64_t traces;
    struct explore_counts explore;
    struct crash_counts crash;
    struct fault_counts fault;
    uint64_t exhausted; /* traces of which every schedule was run */
    struct timespec start;
};

static const char usage[] =
    "Usage: hunt --strategy S | --judge J [OPTION]...\n"
    "Runs small random workloads on the production engine under a deterministic scheduler, on simulated storage.\n"
    "\n"
    "  --strategy S      who runs next: random, pct, exhaustive, or all in turns (default)\n"
    "  --judge J         schedule: answers, contents, deadlocks; crash: crashes too; fault: failing calls of the\n"
    "                    storage, one thread; or all (default)\n"
    "  --seed N          of the first workload; the next has N + 1 (default: a random one)\n"
    "  --time SECONDS    how long (default 60, or no limit with --traces)\n"
    "  --traces N        how many workloads\n"
    "  --schedules N     of each workload (default 50; exhaustive: without limit, or 400 of all)\n"
    "  --threads N       1..16 (default: 2 to 4)\n"
    "  --ops N           operations of each thread (default: 1 to 3)\n"
    "  --preemptions N   bound of the exhaustive strategy (default 2)\n"
    "  --brief           do not make a failing workload small\n"
    "  --self-check      run every schedule twice, and demand the same\n"
    "  --replay FILE     run the workload in FILE with the schedule in its line '" SCHEDULE_COMMENT
    "...'\n"
    "\n"
    "Exit status: as without --strategy and --judge; see 'hunt --help'.\n";

bool explore_hunt_is_asked(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "--strategy", 10) == 0 || strncmp(words[i], "--judge", 7) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- Options ---- */

_Noreturn static void wrong_usage(const char *option, const char *word)
{
    fprintf(stderr, "hunt: --%s: '%s' makes no sense\n%s", option, word, usage);
    exit(REPORT_USAGE);
}

static uint64_t number(const char *option, const char *word, uint64_t least, uint64_t greatest)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0 || value < least || value > greatest) {
        wrong_usage(option, word);
    }
    return value;
}

static uint32_t judges(const char *word)
{
    if (strcmp(word, "all") == 0) {
        return (1u << JUDGES) - 1;
    }
    for (uint32_t i = 0; i < JUDGES; i++) {
        if (strcmp(word, judge_names[i]) == 0) {
            return 1u << i;
        }
    }
    wrong_usage("judge", word);
}

static const char *strategy_name(const char *word)
{
    static const char *const names[] = {"random", "pct", "exhaustive", "all"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(word, names[i]) == 0) {
            return names[i];
        }
    }
    wrong_usage("strategy", word);
}

static void set_option(struct hunt *hunt, int option, const char *word)
{
    switch (option) {
    case 's':
        hunt->strategy = strategy_name(word);
        break;
    case 'j':
        hunt->judges = judges(word);
        break;
    case 'e':
        hunt->seed = number("seed", word, 0, UINT64_MAX / 2);
        break;
    case 't':
        hunt->seconds = (double)number("time", word, 1, 1000000000);
        break;
    case 'n':
        hunt->traces = number("traces", word, 1, UINT64_MAX);
        break;
    case 'c':
        hunt->schedules = number("schedules", word, 1, UINT64_MAX);
        break;
    case 'r':
        hunt->threads = (uint32_t)number("threads", word, 1, TRACE_THREADS_MAX);
        break;
    case 'o':
        hunt->operations = (uint32_t)number("ops", word, 1, 100);
        break;
    case 'p':
        hunt->preemptions = (uint32_t)number("preemptions", word, 0, SCHED_UNBOUNDED);
        break;
    case 'k':
        hunt->self_check = true;
        break;
    case 'b':
        hunt->brief = true;
        break;
    case 'f':
        hunt->replay = word;
        break;
    default:
        fputs(usage, option == 'h' ? stdout : stderr);
        exit(option == 'h' ? REPORT_CONFORMS : REPORT_USAGE);
    }
}

static void parse_options(int count, char **words, struct hunt *hunt)
{
    static const struct option known[] = {
        {"strategy", required_argument, NULL, 's'}, {"judge", required_argument, NULL, 'j'},
        {"seed", required_argument, NULL, 'e'},     {"time", required_argument, NULL, 't'},
        {"traces", required_argument, NULL, 'n'},   {"schedules", required_argument, NULL, 'c'},
        {"threads", required_argument, NULL, 'r'},  {"ops", required_argument, NULL, 'o'},
        {"self-check", no_argument, NULL, 'k'},     {"preemptions", required_argument, NULL, 'p'},
        {"replay", required_argument, NULL, 'f'},   {"help", no_argument, NULL, 'h'},
        {"brief", no_argument, NULL, 'b'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
        set_option(hunt, option, optarg);
    }
    if (optind < count) {
        wrong_usage("strategy", words[optind]);
    }
    if (hunt->seconds == 0 && hunt->traces == 0) {
        hunt->seconds = 60;
    }
}

/* ---- Workloads ---- */

static enum judge judge_of(const struct hunt *hunt, uint64_t seed)
{
    uint32_t n = (uint32_t)(seed % (uint32_t)__builtin_popcount(hunt->judges));
    uint32_t rest = hunt->judges;
    while (n-- > 0) {
        rest &= rest - 1;
    }
    return (enum judge)__builtin_ctz(rest);
}

/* Whether all crashes of a workload of one thread are judged, instead of some of many schedules. */
static bool is_crash_sequence(const struct hunt *hunt, uint64_t seed)
{
    return judge_of(hunt, seed) == JUDGE_CRASH && random_hash(seed) % 2 == 0;
}

/* Whether every call that a workload of one thread makes fails, instead of one, during many schedules. */
static bool is_fault_sequence(const struct hunt *hunt, uint64_t seed)
{
    return judge_of(hunt, seed) == JUDGE_FAULT && random_hash(seed) % 2 == 0;
}

static void make_trace(const struct hunt *hunt, uint64_t seed, struct trace *trace)
{
    struct random random = {random_hash(seed)};
    bool alone = is_fault_sequence(hunt, seed) || is_crash_sequence(hunt, seed);
    uint32_t threads = hunt->threads != 0 ? hunt->threads : (uint32_t)random_between(&random, 2, 4);
    uint32_t operations = hunt->operations != 0 ? hunt->operations : (uint32_t)random_between(&random, 1, 3);
    struct explore_generate_options options = {
        .threads = alone ? 1 : threads,
        .operations = is_crash_sequence(hunt, seed) ? 4
                      : alone                       ? threads * operations
                                                    : operations,
        .whole_disk = alone || random_once_in(&random, 3),
        .flushes = !alone && judge_of(hunt, seed) != JUDGE_SCHEDULE && random_once_in(&random, 3),
    };
    explore_generate(seed, &options, trace);
}

/* A call that may well be made during a small workload, mostly one that matters for durability. */
static struct inject fault_of(uint64_t seed)
{
    static const struct {
        enum sim_call call;
        const char *name;
        uint64_t most;
    } calls[] = {
        {SIM_SYNC, FILES_IMAGE, 3},      {SIM_SYNC, FILES_METADATA, 3},   {SIM_SYNC, FILES_METADATA, 2},
        {SIM_PWRITE, FILES_METADATA, 2}, {SIM_PWRITE, FILES_METADATA, 4}, {SIM_PWRITE, FILES_IMAGE, 10},
        {SIM_PREAD, FILES_BASE, 3},      {SIM_PREAD, FILES_IMAGE, 4},     {SIM_PUNCH, FILES_IMAGE, 2},
        {SIM_TRUNCATE, FILES_IMAGE, 1},  {SIM_PWRITE, FILES_BASE, 3},     {SIM_SYNC, FILES_BASE, 1},
    };
    struct random random = {random_hash(seed ^ 5)};
    size_t n = random_below(&random, sizeof calls / sizeof calls[0]);
    struct inject fault = {
        .one_kind = true,
        .kind = (enum inject_kind)random_below(&random, INJECT_KINDS),
        .persistent = random_once_in(&random, 3),
        .call = calls[n].call,
        .at = random_between(&random, 1, calls[n].most),
    };
    fault.persistent = fault.persistent && fault.kind != INJECT_EINTR; /* to be interrupted for ever is to hang */
    snprintf(fault.name, sizeof fault.name, "%s", calls[n].name);
    return fault;
}

static struct explore_options options_of(const struct hunt *hunt, uint64_t seed)
{
    return (struct explore_options){
        .self_check = hunt->self_check,
        .crash = judge_of(hunt, seed) == JUDGE_CRASH,
        .refuse_punch = random_hash(seed) % 3 == 0,
        .seed = seed,
        .fault = judge_of(hunt, seed) == JUDGE_FAULT ? fault_of(seed) : (struct inject){0},
    };
}

/* The strategy for a seed: the one that was asked for, or one of all. */
static const char *strategy_of(const struct hunt *hunt, uint64_t seed)
{
    static const char *const turns[] = {"random", "pct", "exhaustive", "random"};
    return strcmp(hunt->strategy, "all") == 0 ? turns[random_hash(~seed) % 4] : hunt->strategy;
}

static bool is_exhaustive(const struct hunt *hunt, uint64_t seed)
{
    return strcmp(strategy_of(hunt, seed), "exhaustive") == 0;
}

static uint64_t schedules_of(const struct hunt *hunt, uint64_t seed)
{
    if (hunt->schedules != 0) {
        return hunt->schedules;
    }
    bool all = strcmp(hunt->strategy, "all") == 0;
    return !is_exhaustive(hunt, seed) ? SCHEDULES : all ? SCHEDULES_EXHAUSTIVE : UINT64_MAX;
}

static struct sched_strategy *make_strategy(const struct hunt *hunt, uint64_t seed)
{
    if (is_exhaustive(hunt, seed)) {
        return sched_make_exhaustive(hunt->preemptions, true);
    }
    if (strcmp(strategy_of(hunt, seed), "pct") == 0) {
        return sched_make_pct(seed, 1 + (uint32_t)(random_hash(seed ^ 2) % 5));
    }
    return sched_make_random(seed);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static bool is_late(const struct hunt *hunt, const struct totals *totals)
{
    return hunt->seconds > 0 && seconds_since(&totals->start) >= hunt->seconds;
}

/* ---- Telling ---- */

static uint64_t current_seed; /* for the signal handler */

/* An engine that dies says at least where. */
static void die(int signal_number)
{
    printf("\nthe engine ends with signal %d (%s), in the workload of --seed %" PRIu64 ", schedule ", signal_number,
           strsignal(signal_number), current_seed);
    sched_print_current(stdout);
    puts("");
    fflush(stdout);
    _exit(REPORT_CRASHED);
}

static void print_totals(const struct totals *totals, unsigned failures)
{
    double seconds = seconds_since(&totals->start);
    printf("hunt: %" PRIu64 " workloads, %" PRIu64 " schedules (%.0f a second), %" PRIu64 " steps, %" PRIu64
           " crashes, %" PRIu64 " faults, %u failures\n",
           totals->traces, totals->explore.schedules, (double)totals->explore.schedules / seconds,
           totals->explore.steps, totals->explore.crash_states + totals->crash.states + totals->crash.second_states,
           totals->fault.runs + totals->explore.faults, failures);
    printf("%" PRIu64 " different behaviours\n", totals->explore.behaviours);
    if (totals->exhausted > 0) {
        printf("of %" PRIu64 " workloads all schedules within the bound were run\n", totals->exhausted);
    }
}

/* Writes a failing workload, with its schedule if it has one, into a file. */
static void write_failure(const struct hunt *hunt, uint64_t seed, const struct trace *trace,
                          const struct sched_schedule *schedule)
{
    char name[64];
    snprintf(name, sizeof name, "hunt-%" PRIu64 ".trace", seed);
    FILE *out = fopen(name, "w");
    if (out == NULL) {
        return;
    }
    if (schedule != NULL) {
        fputs(SCHEDULE_COMMENT, out);
        sched_schedule_print(out, schedule);
        fputs("\n", out);
    }
    trace_print(out, trace);
    fclose(out);
    const char *judge = judge_names[judge_of(hunt, seed)];
    printf("Run it again with: %s --judge %s --seed %" PRIu64 " --replay %s\n", hunt->program, judge, seed, name);
    printf("Keep it with: cp %s corpus/regressions/\n", name);
}

static void tell_failure(const struct hunt *hunt, uint64_t seed, struct trace *trace,
                         const struct sched_schedule *failing, const char *story)
{
    struct explore_options options = options_of(hunt, seed);
    struct sched_schedule schedule;
    printf("%s\n", story);
    if (hunt->brief) {
        return;
    }
    bool smaller = minimise(trace, &options, &schedule);
    if (!smaller) {
        for (uint32_t i = 0; i < failing->count; i++) {
            sched_schedule_append(&schedule, failing->segments[i].thread, failing->segments[i].steps);
        }
    }
    puts("made small:\n");
    trace_print(stdout, trace);
    fputs("\nschedule ", stdout);
    sched_schedule_print(stdout, &schedule);
    puts("\n");
    minimise_print_timeline(trace, &options, &schedule, stdout);
    write_failure(hunt, seed, trace, &schedule);
    sched_schedule_free(&schedule);
}

/* ---- Hunting ---- */

/* Explores one workload. */
static bool explore_trace(const struct hunt *hunt, uint64_t seed, struct trace *trace, struct totals *totals)
{
    char *story = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&story, &length);
    struct explore_options options = options_of(hunt, seed);
    struct explore *explore = explore_make(trace, &options);
    struct sched_strategy *strategy = make_strategy(hunt, seed);
    enum explore_answer answer = EXPLORE_OK;
    if (out == NULL) {
        report_fatal("no memory for a report");
    }
    uint64_t schedules = schedules_of(hunt, seed);
    for (uint64_t i = 0; i < schedules && answer == EXPLORE_OK && !is_late(hunt, totals); i++) {
        answer = explore_run(explore, strategy, &totals->explore, out);
    }
    totals->exhausted += answer == EXPLORE_OVER;
    fclose(out);
    if (answer == EXPLORE_FAILED) {
        report_progress(NULL);
        tell_failure(hunt, seed, trace, explore_schedule(explore), story);
    }
    free(story);
    if (is_exhaustive(hunt, seed)) {
        sched_destroy_exhaustive(strategy);
    } else {
        free(strategy);
    }
    explore_free(explore);
    return answer != EXPLORE_FAILED;
}

/* Every crash of every way to create a disk. */
static bool judge_creation(struct totals *totals)
{
    bool conforms = true;
    for (int i = 0; i < 6 && conforms; i++) {
        conforms = crash_create((i & 1) != 0, (i & 2) != 0, (i & 4) != 0, &totals->crash, stdout);
    }
    if (!conforms) {
        puts("creating a disk fails (judge: crash)");
    }
    return conforms;
}

static FILE *open_nowhere(void)
{
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere == NULL) {
        report_fatal("cannot open /dev/null");
    }
    return nowhere;
}

static bool fails_by_fault(const struct trace *trace)
{
    struct fault_counts counts = {0};
    FILE *nowhere = open_nowhere();
    bool conforms = fault_problem(trace) != NULL || fault_trace(trace, &counts, nowhere);
    fclose(nowhere);
    return !conforms;
}

/* Of the workload in progress. */
static struct crash_options crash_options;

static bool fails_by_crash(const struct trace *trace)
{
    struct crash_counts counts = {0};
    FILE *nowhere = open_nowhere();
    bool conforms = crash_problem(trace) != NULL || crash_sequence(trace, &crash_options, &counts, nowhere);
    fclose(nowhere);
    return !conforms;
}

/* Judges a workload of one thread, by every fault or every crash; one that fails is made small and told again. */
static bool judge_alone(const struct hunt *hunt, uint64_t seed, struct trace *trace, struct totals *totals)
{
    bool fault = judge_of(hunt, seed) == JUDGE_FAULT;
    crash_options.second = random_hash(seed ^ 3) % 16 == 0;
    crash_options.states = crash_options.second ? STATES_SECOND : STATES;
    bool conforms = fault ? fault_trace(trace, &totals->fault, stdout)
                          : crash_sequence(trace, &crash_options, &totals->crash, stdout);
    if (!conforms && !hunt->brief && minimise_alone(trace, fault ? fails_by_fault : fails_by_crash)) {
        puts("\nmade small:\n");
        if (fault) {
            fault_trace(trace, &totals->fault, stdout);
        } else {
            crash_sequence(trace, &crash_options, &totals->crash, stdout);
            trace_print(stdout, trace);
        }
        write_failure(hunt, seed, trace, NULL);
    }
    return conforms;
}

static bool judge_workload(const struct hunt *hunt, uint64_t seed, struct trace *trace, struct totals *totals)
{
    current_seed = seed;
    make_trace(hunt, seed, trace);
    totals->traces++;
    bool alone = is_fault_sequence(hunt, seed) || is_crash_sequence(hunt, seed);
    bool conforms = alone ? judge_alone(hunt, seed, trace, totals) : explore_trace(hunt, seed, trace, totals);
    if (!conforms) {
        printf("the workload of --seed %" PRIu64 " fails (judge: %s)\n", seed, judge_names[judge_of(hunt, seed)]);
    }
    return conforms;
}

/* Loads a workload and its schedule. */
static void load_replay(const struct hunt *hunt, struct trace *trace, struct sched_schedule *schedule)
{
    char line[65536];
    char error[256];
    bool found = false;
    FILE *in = fopen(hunt->replay, "r");
    if (in == NULL) {
        wrong_usage("replay", hunt->replay);
    }
    while (!found && fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, SCHEDULE_COMMENT, strlen(SCHEDULE_COMMENT)) == 0 &&
                sched_schedule_parse(line + strlen(SCHEDULE_COMMENT), schedule);
    }
    rewind(in);
    if (!trace_parse(in, trace, error, sizeof error) || explore_problem(trace) != NULL) {
        wrong_usage("replay", hunt->replay);
    }
    fclose(in);
}

/* A workload with a schedule is explored; one of one thread goes through every crash and every fault. */
static int replay(const struct hunt *hunt, struct trace *trace)
{
    struct sched_schedule schedule = {0};
    struct explore_options options = options_of(hunt, hunt->seed);
    struct crash_counts crashes = {0};
    struct crash_options crash = {.states = STATES};
    struct fault_counts faults = {0};
    load_replay(hunt, trace, &schedule);
    bool conforms = minimise_print_timeline(trace, &options, &schedule, stdout) == EXPLORE_OK;
    if (trace->threads == 1 && fault_problem(trace) == NULL) {
        conforms = fault_trace(trace, &faults, stdout) && conforms;
        conforms = crash_sequence(trace, &crash, &crashes, stdout) && conforms;
    }
    sched_schedule_free(&schedule);
    printf("hunt: the replay %s\n", conforms ? "conforms" : "fails");
    return conforms ? REPORT_CONFORMS : REPORT_DIFFERS;
}

int explore_hunt(int count, char **words)
{
    static struct trace trace;
    struct hunt hunt = {.strategy = "all", .judges = judges("all"), .preemptions = 2, .program = words[0]};
    struct totals totals = {0};
    if (getrandom(&hunt.seed, 4, 0) != 4) {
        hunt.seed = (uint64_t)time(NULL);
    }
    parse_options(count, words, &hunt);
    signal(SIGABRT, die);
    signal(SIGSEGV, die);
    if (hunt.replay != NULL) {
        return replay(&hunt, &trace);
    }
    clock_gettime(CLOCK_MONOTONIC, &totals.start);
    totals.explore.seen = report_allocate(EXPLORE_BEHAVIOURS / 8, 1);
    bool conforms = (hunt.judges >> JUDGE_CRASH & 1) == 0 || judge_creation(&totals);
    for (uint64_t i = 0; conforms && (hunt.traces == 0 || i < hunt.traces) && !is_late(&hunt, &totals); i++) {
        conforms = judge_workload(&hunt, hunt.seed + i, &trace, &totals);
        report_progress("hunt: %.0f s, %" PRIu64 " workloads, %" PRIu64 " schedules, %" PRIu64 " behaviours, %" PRIu64
                        " crashes, %" PRIu64 " faults",
                        seconds_since(&totals.start), totals.traces, totals.explore.schedules,
                        totals.explore.behaviours,
                        totals.explore.crash_states + totals.crash.states + totals.crash.second_states,
                        totals.fault.runs + totals.explore.faults);
    }
    report_progress(NULL);
    print_totals(&totals, !conforms);
    free(totals.explore.seen);
    return conforms ? totals.traces > 0 ? REPORT_CONFORMS : REPORT_INCOMPLETE : REPORT_DIFFERS;
}

/*
 * The hunt under the deterministic scheduler, on simulated storage.
 *
 * Trace number i has the seed --seed + i; the strategy's choices follow from the same seed, so a hunt can be repeated
 * exactly. What fails is made small, written into a file together with its schedule, and told as a timeline.
 *
 * All this happens in a child process. An engine that dies takes the child with it; then the parent makes the workload
 * small, with a child for every sandbox.
 */
#include "programs/hunt_explore.h"

#include "judges/crash_create.h"
#include "judges/crash_repair.h"
#include "explore/explore.h"
#include "workload/generate.h"
#include "judges/fault.h"
#include "workload/disk_files.h"
#include "explore/minimise.h"
#include "explore/timeline.h"
#include "base/report.h"
#include "base/sandbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCHEDULE_COMMENT "# schedule "
#define SEED_COMMENT "# seed "
#define FAULT_COMMENT "# fault "
#define SCHEDULES 50u /* of a workload */
#define SCHEDULES_EXHAUSTIVE 400u
#define STATES 2000u       /* of a crash */
#define STATES_SECOND 100u /* with second crashes from each */

struct totals {
    uint64_t traces;
    struct explore_counts explore;
    struct crash_counts crash;
    struct fault_counts fault;
    uint64_t exhausted; /* traces of which every schedule was run */
    struct sched_coverage *coverage;
    struct timespec start;
};

/* What is handed to the child. */
struct hunting {
    const struct hunt_options *options;
    struct sandbox *sandbox;
    uint64_t seed;             /* of one workload, */
    const struct trace *trace; /* which may have been made smaller */
    const struct sched_schedule *schedule;
};

/* ---- Workloads ---- */

static enum hunt_judge judge_of(const struct hunt_options *hunt, uint64_t seed)
{
    uint32_t n = (uint32_t)(seed % (uint32_t)__builtin_popcount(hunt->judges));
    uint32_t rest = hunt->judges;
    while (n-- > 0) {
        rest &= rest - 1;
    }
    return (enum hunt_judge)__builtin_ctz(rest);
}

/* Whether all crashes of a workload of one thread are judged, instead of some of many schedules. */
static bool is_crash_sequence(const struct hunt_options *hunt, uint64_t seed)
{
    return judge_of(hunt, seed) == HUNT_CRASH && random_hash(seed) % 2 == 0;
}

/* Whether every call that a workload of one thread makes fails, instead of one, during many schedules. */
static bool is_fault_sequence(const struct hunt_options *hunt, uint64_t seed)
{
    return judge_of(hunt, seed) == HUNT_FAULT && random_hash(seed) % 2 == 0;
}

static void make_trace(const struct hunt_options *hunt, uint64_t seed, struct trace *trace)
{
    struct random random = {random_hash(seed)};
    bool alone = is_fault_sequence(hunt, seed) || is_crash_sequence(hunt, seed);
    uint32_t threads = hunt->threads != 0 ? hunt->threads : (uint32_t)random_between(&random, 2, 4);
    uint32_t operations = hunt->operations != 0 ? hunt->operations : (uint32_t)random_between(&random, 1, 3);
    struct generate_small_options options = {
        .threads = alone ? 1 : threads,
        .operations = is_crash_sequence(hunt, seed) ? 4
                      : alone                       ? threads * operations
                                                    : operations,
        .whole_disk = alone || random_once_in(&random, 3),
        .flushes = !alone && judge_of(hunt, seed) != HUNT_SCHEDULE && random_once_in(&random, 3),
    };
    options.reopens = (alone || judge_of(hunt, seed) != HUNT_FAULT) && random_once_in(&random, 4);
    generate_small_trace(seed, &options, trace);
}

/* A call that may well be made during a small workload, mostly one that matters for durability. */
static struct fault_injection fault_of(uint64_t seed)
{
    static const struct {
        enum sim_call call;
        const char *name;
        uint64_t most;
    } calls[] = {
        {SIM_SYNC, DISK_IMAGE, 3},      {SIM_SYNC, DISK_METADATA, 3},   {SIM_SYNC, DISK_METADATA, 2},
        {SIM_PWRITE, DISK_METADATA, 2}, {SIM_PWRITE, DISK_METADATA, 4}, {SIM_PWRITE, DISK_IMAGE, 10},
        {SIM_PREAD, DISK_BASE, 3},      {SIM_PREAD, DISK_IMAGE, 4},     {SIM_PUNCH, DISK_IMAGE, 2},
        {SIM_TRUNCATE, DISK_IMAGE, 1},  {SIM_PWRITE, DISK_BASE, 3},     {SIM_SYNC, DISK_BASE, 1},
    };
    struct random random = {random_hash(seed ^ 5)};
    size_t n = random_below(&random, sizeof calls / sizeof calls[0]);
    struct fault_injection fault = {
        .one_kind = true,
        .kind = (enum fault_kind)random_below(&random, FAULT_KINDS),
        .persistent = random_once_in(&random, 3),
        .call = calls[n].call,
        .at = random_between(&random, 1, calls[n].most),
    };
    fault.persistent = fault.persistent && fault.kind != FAULT_EINTR; /* to be interrupted for ever is to hang */
    snprintf(fault.name, sizeof fault.name, "%s", calls[n].name);
    return fault;
}

static bool refuses_punch(uint64_t seed)
{
    return random_hash(seed) % 3 == 0;
}

/* What a seed decides, beside the judge, for a workload that is explored. */
static struct explore_options options_of(const struct hunt_options *hunt, uint64_t seed)
{
    return (struct explore_options){
        .self_check = hunt->self_check,
        .crash = judge_of(hunt, seed) == HUNT_CRASH,
        .refuse_punch = refuses_punch(seed),
        .seed = seed,
        .fault = judge_of(hunt, seed) == HUNT_FAULT ? fault_of(seed) : (struct fault_injection){0},
    };
}

/* The strategy for a seed: the one that was asked for, or one of all. */
static const char *strategy_of(const struct hunt_options *hunt, uint64_t seed)
{
    static const char *const turns[] = {"random", "pct", "exhaustive", "random"};
    return strcmp(hunt->strategy, "all") == 0 ? turns[random_hash(~seed) % 4] : hunt->strategy;
}

static bool is_exhaustive(const struct hunt_options *hunt, uint64_t seed)
{
    return strcmp(strategy_of(hunt, seed), "exhaustive") == 0;
}

static uint64_t schedules_of(const struct hunt_options *hunt, uint64_t seed)
{
    if (hunt->schedules != 0) {
        return hunt->schedules;
    }
    bool all = strcmp(hunt->strategy, "all") == 0;
    return !is_exhaustive(hunt, seed) ? SCHEDULES : all ? SCHEDULES_EXHAUSTIVE : UINT64_MAX;
}

static struct sched_strategy *make_strategy(const struct hunt_options *hunt, uint64_t seed)
{
    if (is_exhaustive(hunt, seed)) {
        return sched_make_exhaustive(hunt->preemptions, true);
    }
    if (strcmp(strategy_of(hunt, seed), "pct") == 0) {
        return sched_make_pct(seed, 1 + (uint32_t)(random_hash(seed ^ 2) % 5));
    }
    return sched_make_random(seed);
}

static bool is_alone(const struct hunt_options *hunt, uint64_t seed)
{
    return is_fault_sequence(hunt, seed) || is_crash_sequence(hunt, seed);
}

/* How the crashes of a sequence are judged. */
static struct crash_options crash_options_of(uint64_t seed)
{
    bool second = random_hash(seed ^ 3) % 16 == 0;
    bool deaths = random_hash(seed ^ 4) % 16 == 0;
    return (struct crash_options){.deaths = deaths, .second = second, .states = second ? STATES_SECOND : STATES};
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static bool is_late(const struct hunt_options *hunt, const struct totals *totals)
{
    return hunt->seconds > 0 && seconds_since(&totals->start) >= (double)hunt->seconds;
}

/* ---- Telling ---- */

static uint64_t crashes_in(const struct totals *totals)
{
    return totals->explore.crash_states + totals->crash.states + totals->crash.second_states;
}

static uint64_t faults_in(const struct totals *totals)
{
    return totals->fault.runs + totals->explore.faults;
}

static void print_totals(const struct totals *totals, unsigned failures)
{
    double seconds = seconds_since(&totals->start);
    printf("hunt: %" PRIu64 " workloads, %" PRIu64 " schedules (%.0f a second), %" PRIu64 " steps, %" PRIu64
           " crashes, %" PRIu64 " faults, %u failures\n",
           totals->traces, totals->explore.schedules, (double)totals->explore.schedules / seconds,
           totals->explore.steps, crashes_in(totals), faults_in(totals), failures);
    printf("%" PRIu64 " different behaviours; switches at %" PRIu64 " points of the code, between %" PRIu64
           " pairs of them\n",
           totals->explore.behaviours, totals->coverage->points, totals->coverage->pairs);
    if (totals->exhausted > 0) {
        printf("of %" PRIu64 " workloads all schedules within the bound were run\n", totals->exhausted);
    }
}

static void show_progress(const struct totals *totals, uint64_t *last_new)
{
    uint64_t behaviours = totals->explore.behaviours;
    report_progress("hunt: %.0f s, %" PRIu64 " workloads, %" PRIu64 " schedules, %" PRIu64 " crashes, %" PRIu64
                    " faults; %" PRIu64 " points, %" PRIu64 " pairs, %" PRIu64 " behaviours (+%" PRIu64 ")",
                    seconds_since(&totals->start), totals->traces, totals->explore.schedules, crashes_in(totals),
                    faults_in(totals), totals->coverage->points, totals->coverage->pairs, behaviours,
                    behaviours - *last_new);
    *last_new = behaviours;
}

/* Writes a failing workload, with its schedule if it has one, into a file. */
static void write_failure(const struct hunt_options *hunt, uint64_t seed, const struct trace *trace,
                          const struct sched_schedule *schedule)
{
    char name[64];
    snprintf(name, sizeof name, "hunt-%" PRIu64 ".trace", seed);
    FILE *out = fopen(name, "w");
    if (out == NULL) {
        return;
    }
    fprintf(out, SEED_COMMENT "%" PRIu64 "\n", seed);
    if (schedule != NULL) {
        struct fault_injection fault = options_of(hunt, seed).fault;
        if (fault.at != 0) {
            fputs(FAULT_COMMENT, out);
            fault_injection_print_text(&fault, out);
            fputs("\n", out);
        }
        fputs(SCHEDULE_COMMENT, out);
        sched_schedule_print(out, schedule);
        fputs("\n", out);
    }
    trace_print(out, trace);
    fclose(out);
    printf("Run it again with: %s --judge %s --replay %s\n", hunt->program, hunt_judge_name(judge_of(hunt, seed)),
           name);
    printf("Keep it with: cp %s corpus/regressions/\n", name);
}

/* A workload that was made small, with a schedule. The timeline may end with the engine. */
static void tell_small(const struct hunt_options *hunt, uint64_t seed, const struct trace *trace,
                       const struct minimise_result *result)
{
    struct explore_options options = options_of(hunt, seed);
    puts("made small:\n");
    trace_print(stdout, trace);
    fputs("\nschedule ", stdout);
    sched_schedule_print(stdout, &result->schedule);
    puts("\n");
    write_failure(hunt, seed, trace, &result->schedule);
    puts("");
    timeline_print(trace, &options, &result->schedule, result->wrong_byte, stdout);
}

static void tell_failure(const struct hunt_options *hunt, uint64_t seed, struct trace *trace,
                         const struct explore *explore, const char *story)
{
    struct explore_options options = options_of(hunt, seed);
    struct minimise_result result;
    printf("%s\n", story);
    if (hunt->brief) {
        return;
    }
    if (!minimise(trace, &options, &result)) {
        const struct sched_schedule *failing = explore_schedule(explore);
        for (uint32_t i = 0; i < failing->count; i++) {
            sched_schedule_append(&result.schedule, failing->segments[i].thread, failing->segments[i].steps);
        }
        result.wrong_byte = explore_wrong_byte(explore);
    }
    tell_small(hunt, seed, trace, &result);
    sched_schedule_free(&result.schedule);
}

/* ---- Hunting: in the child ---- */

/* Explores one workload. */
static bool explore_trace(const struct hunt_options *hunt, uint64_t seed, struct trace *trace, struct totals *totals)
{
    char *story = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&story, &length);
    struct explore_options options = options_of(hunt, seed);
    options.coverage = totals->coverage;
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
        tell_failure(hunt, seed, trace, explore, story);
    }
    free(story);
    sched_strategy_free(strategy);
    explore_free(explore);
    return answer != EXPLORE_FAILED;
}

/* Every crash of every way to create a disk, and of repairs. */
static bool judge_files_written(struct totals *totals)
{
    bool created = crash_every_creation(&totals->crash, stdout);
    bool repaired = created && crash_every_repair(&totals->crash, stdout);
    if (!repaired) {
        printf("%s a disk fails (judge: crash)\n", created ? "repairing" : "creating");
    }
    return repaired;
}

/* Judges a workload of one thread, by every fault or every crash. */
static bool judge_sequence(const struct hunt_options *hunt, uint64_t seed, const struct trace *trace,
                           struct totals *totals, FILE *out)
{
    struct crash_options options = crash_options_of(seed);
    return is_fault_sequence(hunt, seed) ? fault_problem(trace) != NULL || fault_trace(trace, &totals->fault, out)
                                         : crash_sequence(trace, &options, &totals->crash, out);
}

static bool fails_alone(const struct trace *trace, void *context)
{
    const struct hunting *hunting = context;
    struct totals totals = {0};
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere == NULL) {
        report_fatal("cannot open /dev/null");
    }
    bool conforms = judge_sequence(hunting->options, hunting->seed, trace, &totals, nowhere);
    fclose(nowhere);
    return !conforms;
}

/* One that fails is made small and told again. */
static bool judge_alone(const struct hunt_options *hunt, uint64_t seed, struct trace *trace, struct totals *totals)
{
    struct hunting hunting = {.options = hunt, .seed = seed};
    bool conforms = judge_sequence(hunt, seed, trace, totals, stdout);
    if (!conforms && !hunt->brief && minimise_while(trace, fails_alone, &hunting)) {
        puts("\nmade small:\n");
        judge_sequence(hunt, seed, trace, totals, stdout);
        if (!is_fault_sequence(hunt, seed)) {
            trace_print(stdout, trace); /* the judge of faults has done so */
        }
        write_failure(hunt, seed, trace, NULL);
    }
    return conforms;
}

static bool judge_workload(const struct hunt_options *hunt, uint64_t seed, struct trace *trace, struct totals *totals)
{
    make_trace(hunt, seed, trace);
    totals->traces++;
    bool conforms =
        is_alone(hunt, seed) ? judge_alone(hunt, seed, trace, totals) : explore_trace(hunt, seed, trace, totals);
    if (!conforms) {
        printf("the workload of --seed %" PRIu64 " fails (judge: %s)\n", seed, hunt_judge_name(judge_of(hunt, seed)));
    }
    return conforms;
}

static int hunt(void *context)
{
    static struct trace trace;
    static struct sched_coverage coverage;
    const struct hunting *hunting = context;
    const struct hunt_options *options = hunting->options;
    struct totals totals = {.coverage = &coverage};
    uint64_t last_new = 0;
    clock_gettime(CLOCK_MONOTONIC, &totals.start);
    totals.explore.seen = report_allocate(EXPLORE_BEHAVIOURS / 8, 1);
    bool conforms = (options->judges >> HUNT_CRASH & 1) == 0 || judge_files_written(&totals);
    for (uint64_t i = 0; conforms && (options->traces == 0 || i < options->traces) && !is_late(options, &totals); i++) {
        hunting->sandbox->seed = options->seed + i;
        conforms = judge_workload(options, options->seed + i, &trace, &totals);
        show_progress(&totals, &last_new);
    }
    report_progress(NULL);
    print_totals(&totals, !conforms);
    free(totals.explore.seen);
    return conforms ? totals.traces > 0 ? REPORT_CONFORMS : REPORT_INCOMPLETE : REPORT_DIFFERS;
}

/* ---- An engine that dies: in the parent ---- */

/* In a child: looks for a schedule with which the engine dies, or goes through a sequence. */
static int try_to_die(void *context)
{
    const struct hunting *hunting = context;
    struct explore_options options = options_of(hunting->options, hunting->seed);
    struct minimise_result result = {.wrong_byte = UINT64_MAX};
    struct totals totals = {0};
    if (is_alone(hunting->options, hunting->seed)) {
        judge_sequence(hunting->options, hunting->seed, hunting->trace, &totals, stdout);
    } else {
        minimise_fails(hunting->trace, &options, &result);
    }
    return REPORT_CONFORMS;
}

static bool dies(const struct trace *trace, void *context)
{
    struct hunting hunting = *(struct hunting *)context;
    hunting.trace = trace;
    return sandbox_run(hunting.sandbox, try_to_die, &hunting) == REPORT_CRASHED;
}

/* In a child: the last thing that the engine does. */
static int show_death(void *context)
{
    const struct hunting *hunting = context;
    struct minimise_result result = {.schedule = *hunting->schedule, .wrong_byte = UINT64_MAX};
    if (is_alone(hunting->options, hunting->seed)) {
        trace_print(stdout, hunting->trace);
        write_failure(hunting->options, hunting->seed, hunting->trace, NULL);
        return try_to_die(context);
    }
    tell_small(hunting->options, hunting->seed, hunting->trace, &result);
    return REPORT_CONFORMS;
}

static void tell_death(const struct hunt_options *options, uint64_t seed)
{
    static struct trace trace;
    struct sched_schedule schedule = {0};
    struct hunting hunting = {
        .options = options, .sandbox = sandbox_make(true, sched_print_current), .seed = seed, .schedule = &schedule};
    make_trace(options, seed, &trace);
    printf("the engine dies in the workload of --seed %" PRIu64 " (judge: %s)\n", seed,
           hunt_judge_name(judge_of(options, seed)));
    if (!options->brief && minimise_while(&trace, dies, &hunting) && dies(&trace, &hunting)) {
        sched_schedule_parse(hunting.sandbox->state, &schedule);
        hunting.trace = &trace;
        hunting.sandbox->silent = false;
        sandbox_run(hunting.sandbox, show_death, &hunting);
    }
    sandbox_free(hunting.sandbox);
    sched_schedule_free(&schedule);
}

/* ---- Replay ---- */

/* What the comments of a workload's file say. */
static void parse_comment(const char *line, struct explore_options *options, struct sched_schedule *schedule)
{
    if (strncmp(line, SCHEDULE_COMMENT, strlen(SCHEDULE_COMMENT)) == 0) {
        sched_schedule_free(schedule);
        sched_schedule_parse(line + strlen(SCHEDULE_COMMENT), schedule);
    } else if (strncmp(line, SEED_COMMENT, strlen(SEED_COMMENT)) == 0) {
        options->seed = strtoull(line + strlen(SEED_COMMENT), NULL, 10);
    } else if (strncmp(line, FAULT_COMMENT, strlen(FAULT_COMMENT)) == 0 &&
               !fault_injection_parse(line + strlen(FAULT_COMMENT), &options->fault)) {
        hunt_options_refuse("--replay: '%s' is no fault", line);
    }
}

/* Loads a workload with its schedule, and what else was the case when it failed. */
static void load_replay(const char *path, struct trace *trace, struct explore_options *options,
                        struct sched_schedule *schedule)
{
    char line[SANDBOX_STATE_BYTES + 64];
    char error[256];
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        hunt_options_refuse("--replay: %s cannot be read", path);
    }
    while (fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        parse_comment(line, options, schedule);
    }
    rewind(in);
    if (!trace_parse(in, trace, error, sizeof error)) {
        hunt_options_refuse("--replay: %s: %s", path, error);
    }
    fclose(in);
    if (explore_problem(trace, options) != NULL) {
        hunt_options_refuse("--replay: %s: %s cannot be explored", path, explore_problem(trace, options));
    }
}

/* A workload with a schedule is explored; one of one thread goes through every crash and every fault. */
static int replay(void *context)
{
    static struct trace trace;
    const struct hunt_options *hunt = ((const struct hunting *)context)->options;
    struct sched_schedule schedule = {0};
    struct explore_options options = {.self_check = hunt->self_check, .crash = true, .seed = hunt->seed};
    struct crash_counts crashes = {0};
    struct crash_options crash = {.deaths = true, .states = STATES};
    struct fault_counts faults = {0};
    load_replay(hunt->replay, &trace, &options, &schedule);
    options.refuse_punch = refuses_punch(options.seed);
    bool conforms = timeline_print(&trace, &options, &schedule, UINT64_MAX, stdout) == EXPLORE_OK;
    if (fault_problem(&trace) == NULL) {
        conforms = fault_trace(&trace, &faults, stdout) && conforms;
    }
    if (trace.threads == 1) {
        conforms = crash_sequence(&trace, &crash, &crashes, stdout) && conforms;
    }
    sched_schedule_free(&schedule);
    printf("hunt: the replay %s\n", conforms ? "conforms" : "fails");
    return conforms ? REPORT_CONFORMS : REPORT_DIFFERS;
}

int explore_hunt(const struct hunt_options *options)
{
    if (options->bench) {
        return explore_bench(options);
    }
    struct hunting hunting = {.options = options, .sandbox = sandbox_make(false, sched_print_current)};
    int answer = sandbox_run(hunting.sandbox, options->replay != NULL ? replay : hunt, &hunting);
    if (answer == REPORT_CRASHED && options->replay == NULL) {
        tell_death(options, hunting.sandbox->seed);
        puts("hunt: 1 failures");
    }
    sandbox_free(hunting.sandbox);
    return answer;
}

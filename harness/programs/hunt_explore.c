/*
 * hunt explore: the production engine under the deterministic scheduler, on simulated storage.
 *
 * Workload number i has the seed --seed + i, from which its plan follows, so a hunt can be repeated exactly. What fails
 * is minimised, written into a trace file together with its schedule, and printed as a timeline.
 *
 * All this happens in a child process. An engine that dies takes the child with it; then the parent minimises the
 * workload, with a child for every attempt.
 */
#include "programs/hunt.h"

#include "base/clock.h"
#include "base/report.h"
#include "base/sandbox.h"
#include "explore/minimise.h"
#include "explore/timeline.h"
#include "judges/crash_create.h"
#include "judges/crash_repair.h"
#include "judges/fault.h"
#include "weak/graph.h"
#include "weak/programs/programs.h"
#include "workload/census.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    struct plan_limits limits;
    uint64_t seed;
    uint64_t traces;  /* 0: no limit */
    uint64_t seconds; /* 0: no limit */
    bool brief;
    bool census;
};

struct totals {
    uint64_t traces;
    struct census census;
    struct explore_counts explore;
    struct crash_counts crash;
    struct fault_counts fault;
    uint64_t exhausted; /* traces of which every schedule was run */
    struct sched_coverage *coverage;
    uint64_t start;
};

/* How a hunt that failed ends. */
struct failure {
    char reason[HUNT_REASON_BYTES];
    char command[HUNT_COMMAND_BYTES]; /* that runs the workload again */
};

/* What is handed to the child. */
struct hunting {
    const struct options *options;
    struct sandbox *sandbox;
    const struct plan *plan;   /* of one workload, */
    const struct trace *trace; /* which may have been made smaller */
    const struct sched_schedule *schedule;
};

static bool is_late(const struct options *options, const struct totals *totals)
{
    return options->seconds > 0 && clock_seconds_since(totals->start) >= (double)options->seconds;
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
    double seconds = clock_seconds_since(totals->start);
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
                    clock_seconds_since(totals->start), totals->traces, totals->explore.schedules, crashes_in(totals),
                    faults_in(totals), totals->coverage->points, totals->coverage->pairs, behaviours,
                    behaviours - *last_new);
    *last_new = behaviours;
}

static void name_file(uint64_t seed, char name[64])
{
    snprintf(name, 64, "hunt-%" PRIu64 ".trace", seed);
}

/*
 * Writes a failing workload, with its schedule if it has one, into a file. `goes_on`: the run did not come to its end.
 * Stores the command that replays the file.
 */
static void write_failure(const struct plan *plan, const struct trace *trace, const struct sched_schedule *schedule,
                          bool goes_on, struct failure *failure)
{
    static struct trace_file file;
    char name[64];
    name_file(plan->seed, name);
    FILE *out = fopen(name, "w");
    if (out == NULL) {
        printf("%s cannot be written: %s\n", name, strerror(errno));
        return;
    }
    trace_file_make(plan, trace, schedule, goes_on, &file);
    fprintf(out, "# hunt explore --seed %" PRIu64 "\n", plan->seed);
    trace_file_print(out, &file);
    trace_file_free(&file);
    fclose(out);
    snprintf(failure->command, sizeof failure->command, PROGRAM_PREFIX "hunt replay %s", name);
    printf("Run it again with: %s\n", failure->command);
    printf("Keep it with: cp %s corpus/regressions/\n", name);
}

/* A workload that was minimised, with a schedule. The timeline may end with the engine. */
static void print_small(const struct plan *plan, const struct trace *trace, const struct minimise_result *result,
                        struct failure *failure)
{
    puts("minimised:\n");
    trace_print(stdout, trace);
    fputs("\nschedule ", stdout);
    sched_schedule_print(stdout, &result->schedule);
    puts("\n");
    write_failure(plan, trace, &result->schedule, !result->ended, failure);
    puts("");
    struct timeline_result printed = timeline_print(trace, &plan->run, &result->schedule, result->wrong_byte, stdout);
    sched_schedule_free(&printed.done);
}

static void print_failure(const struct options *hunt, const struct plan *plan, struct trace *trace,
                          const struct explore *explore, const char *message, struct failure *failure)
{
    struct minimise_result result;
    printf("%s\n", message);
    hunt_take_reason(message, failure->reason);
    if (hunt->brief) {
        return;
    }
    if (!minimise(trace, &plan->run, &result)) {
        const struct sched_schedule *failing = explore_schedule(explore);
        for (uint32_t i = 0; i < failing->count; i++) {
            sched_schedule_append(&result.schedule, failing->segments[i].thread, failing->segments[i].steps);
        }
        result.ended = explore_ended(explore);
        result.wrong_byte = explore_wrong_byte(explore);
    }
    print_small(plan, trace, &result, failure);
    sched_schedule_free(&result.schedule);
}

/* ---- Hunting: in the child ---- */

/* The command for a workload that is in no file. */
static void name_seed(uint64_t seed, char command[HUNT_COMMAND_BYTES])
{
    snprintf(command, HUNT_COMMAND_BYTES, "the same options with --seed %" PRIu64 " --traces 1", seed);
}

/* Explores one workload. */
static bool explore_trace(const struct options *hunt, const struct plan *plan, struct trace *trace,
                          struct totals *totals, struct failure *failure)
{
    char *message = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&message, &length);
    struct explore_options options = plan->run;
    options.coverage = totals->coverage;
    struct explore *explore = explore_make(trace, &options);
    struct sched_strategy *strategy = plan->strategy->make(&plan->strategy_options);
    enum explore_answer answer = EXPLORE_OK;
    if (out == NULL) {
        report_fatal("no memory for a report");
    }
    for (uint64_t i = 0; i < plan->schedules && answer == EXPLORE_OK && !is_late(hunt, totals); i++) {
        answer = explore_run(explore, strategy, &totals->explore, out);
    }
    totals->exhausted += answer == EXPLORE_OVER;
    fclose(out);
    if (answer == EXPLORE_FAILED) {
        report_progress(NULL);
        print_failure(hunt, plan, trace, explore, message, failure);
    }
    free(message);
    sched_strategy_free(strategy);
    explore_free(explore);
    return answer != EXPLORE_FAILED;
}

/* Every crash of every way to create a disk, and of repairs. */
static bool judge_files_written(struct totals *totals, struct failure *failure)
{
    bool created = crash_every_creation(&totals->crash, stdout);
    bool repaired = created && crash_every_repair(&totals->crash, stdout);
    if (!repaired) {
        snprintf(failure->reason, sizeof failure->reason, "%s a disk fails (judge: crash)",
                 created ? "repairing" : "creating");
        snprintf(failure->command, sizeof failure->command, PROGRAM_PREFIX "hunt explore --judge crash --traces 1");
        puts(failure->reason);
    }
    return repaired;
}

/* Judges a workload of one thread, by every fault or every crash. */
static bool judge_every(const struct plan *plan, const struct trace *trace, struct totals *totals, FILE *out)
{
    return plan->judge == PLAN_FAULT ? fault_problem(trace) != NULL || fault_trace(trace, &totals->fault, out)
                                     : crash_sequence(trace, &plan->crashes, &totals->crash, out);
}

/* The same, with a message in memory that the caller frees. */
static bool judge_into_memory(const struct plan *plan, const struct trace *trace, struct totals *totals, char **message)
{
    size_t length = 0;
    FILE *out = open_memstream(message, &length);
    if (out == NULL) {
        report_fatal("no memory for a report");
    }
    bool conforms = judge_every(plan, trace, totals, out);
    fclose(out);
    return conforms;
}

static bool fails_alone(const struct trace *trace, void *context)
{
    struct totals totals = {0};
    char *message = NULL;
    bool conforms = judge_into_memory(context, trace, &totals, &message);
    free(message);
    return !conforms;
}

/* Minimises a workload that fails, and prints its failure again. */
static bool judge_alone(const struct options *hunt, const struct plan *plan, struct trace *trace, struct totals *totals,
                        struct failure *failure)
{
    struct plan copy = *plan;
    char *message = NULL;
    bool conforms = judge_into_memory(plan, trace, totals, &message);
    fputs(message, stdout);
    if (!conforms) {
        hunt_take_reason(message, failure->reason);
    }
    free(message);
    if (!conforms && !hunt->brief && minimise_while(trace, fails_alone, &copy)) {
        puts("\nminimised:\n");
        judge_every(plan, trace, totals, stdout);
        if (plan->judge != PLAN_FAULT) {
            trace_print(stdout, trace); /* the judge of faults has done so */
        }
        write_failure(plan, trace, NULL, false, failure);
    }
    return conforms;
}

static bool judge_workload(const struct options *hunt, uint64_t seed, struct trace *trace, struct totals *totals,
                           struct failure *failure)
{
    struct plan plan;
    plan_make(seed, &hunt->limits, &plan);
    plan_make_trace(&plan, trace);
    totals->traces++;
    census_add(&totals->census, trace, GENERATE_BLOCK_CLUSTERS);
    name_seed(seed, failure->command);
    bool conforms = plan.every ? judge_alone(hunt, &plan, trace, totals, failure)
                               : explore_trace(hunt, &plan, trace, totals, failure);
    if (!conforms) {
        printf("the workload of --seed %" PRIu64 " fails (judge: %s)\n", seed, plan_judge_names[plan.judge]);
    }
    return conforms;
}

static int run_workloads(void *context)
{
    static struct trace trace;
    static struct sched_coverage coverage;
    const struct hunting *hunting = context;
    const struct options *options = hunting->options;
    struct totals totals = {.coverage = &coverage, .start = clock_nanoseconds()};
    struct failure failure = {0};
    uint64_t last_new = 0;
    totals.explore.seen = report_allocate(EXPLORE_BEHAVIOURS / 8, 1);
    bool conforms = (options->limits.judges >> PLAN_CRASH & 1) == 0 || judge_files_written(&totals, &failure);
    for (uint64_t i = 0; conforms && (options->traces == 0 || i < options->traces) && !is_late(options, &totals); i++) {
        hunting->sandbox->seed = options->seed + i;
        conforms = judge_workload(options, options->seed + i, &trace, &totals, &failure);
        show_progress(&totals, &last_new);
    }
    report_progress(NULL);
    print_totals(&totals, !conforms);
    if (options->census) {
        census_print(&totals.census, stdout);
    }
    if (!conforms) {
        hunt_print_failure(failure.reason, failure.command);
    }
    free(totals.explore.seen);
    return conforms ? totals.traces > 0 ? REPORT_CONFORMS : REPORT_INCOMPLETE : REPORT_DIFFERS;
}

/* ---- An engine that dies: in the parent ---- */

/* In a child: looks for a schedule with which the engine dies, or goes through every crash or fault. */
static int try_to_die(void *context)
{
    const struct hunting *hunting = context;
    struct minimise_result result = {.wrong_byte = UINT64_MAX};
    struct totals totals = {0};
    if (hunting->plan->every) {
        judge_every(hunting->plan, hunting->trace, &totals, stdout);
    } else {
        minimise_fails(hunting->trace, &hunting->plan->run, &result);
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
    struct failure failure;
    struct minimise_result result = {.schedule = *hunting->schedule, .wrong_byte = UINT64_MAX};
    if (hunting->plan->every) {
        trace_print(stdout, hunting->trace);
        write_failure(hunting->plan, hunting->trace, NULL, false, &failure);
        return try_to_die(context);
    }
    print_small(hunting->plan, hunting->trace, &result, &failure);
    return REPORT_CONFORMS;
}

/* Minimises a workload in which the engine dies, and prints it and the last line of the hunt. */
static void print_death(const struct options *options, uint64_t seed)
{
    static struct trace trace;
    struct failure failure;
    char name[64];
    struct plan plan;
    struct sched_schedule schedule = {0};
    struct hunting hunting = {
        .options = options, .sandbox = sandbox_make(true, sched_print_current), .plan = &plan, .schedule = &schedule};
    plan_make(seed, &options->limits, &plan);
    plan_make_trace(&plan, &trace);
    snprintf(failure.reason, sizeof failure.reason, "the engine dies in the workload of --seed %" PRIu64 " (judge: %s)",
             seed, plan_judge_names[plan.judge]);
    puts(failure.reason);
    name_seed(seed, failure.command);
    if (!options->brief && minimise_while(&trace, dies, &hunting) && dies(&trace, &hunting)) {
        sched_schedule_parse(hunting.sandbox->state, &schedule);
        hunting.trace = &trace;
        hunting.sandbox->silent = false;
        sandbox_run(hunting.sandbox, show_death, &hunting);
        name_file(seed, name);
        if (access(name, R_OK) == 0) {
            snprintf(failure.command, sizeof failure.command, PROGRAM_PREFIX "hunt replay %s", name);
        }
    }
    puts("hunt: 1 failures");
    hunt_print_failure(failure.reason, failure.command);
    sandbox_free(hunting.sandbox);
    sched_schedule_free(&schedule);
}

static int explore(const struct options *options)
{
    struct hunting hunting = {.options = options, .sandbox = sandbox_make(false, sched_print_current)};
    int answer = sandbox_run(hunting.sandbox, run_workloads, &hunting);
    if (answer == REPORT_CRASHED) {
        print_death(options, hunting.sandbox->seed);
    }
    sandbox_free(hunting.sandbox);
    return answer;
}

/* ---- The command line ---- */

#define NAMES_MAX 16u
#define OPERATIONS_MAX 100u /* of a thread */

/* The names of the judges and of the strategies, each ended by "all". Return the number before it. */
static unsigned name_judges(const char *names[NAMES_MAX])
{
    unsigned count = 0;
    for (; plan_judge_names[count] != NULL; count++) {
        names[count] = plan_judge_names[count];
    }
    names[count] = "all";
    return count;
}

static unsigned name_strategies(const char *names[NAMES_MAX])
{
    unsigned count = 0;
    for (; sched_strategy_at(count) != NULL; count++) {
        names[count] = sched_strategy_at(count)->name;
    }
    names[count] = "all";
    return count;
}

/* The options of weak memory. Those that it does not know are refused: `given` says which of the rows are. */
static int explore_weak(const struct options_command *command, const struct options *options, const bool *given,
                        uint64_t threads, uint64_t operations, uint64_t preemptions)
{
    for (size_t i = 0; i < command->row_count; i++) {
        const char *name = command->rows[i].name;
        if (given[i] && (strcmp(name, "judge") == 0 || strcmp(name, "strategy") == 0 ||
                         strcmp(name, "self-check") == 0 || strcmp(name, "census") == 0)) {
            options_refuse(command, "--%s: not with --memory weak", name);
        }
    }
    if (threads > WEAK_THREADS || operations > WEAK_RANDOM_REQUESTS) {
        options_refuse(command, "--memory weak has at most %u threads and %u operations of each", WEAK_THREADS,
                       WEAK_RANDOM_REQUESTS);
    }
    struct hunt_weak weak = {.seed = options->seed,
                             .traces = options->traces,
                             .seconds = options->seconds,
                             .threads = (unsigned)threads,
                             .operations = (unsigned)operations,
                             .executions = options->limits.schedules,
                             .preemptions = preemptions,
                             .brief = options->brief};
    return hunt_weak(&weak);
}

int hunt_explore(int count, char **words)
{
    static const char *const memories[] = {"interleaved", "weak", NULL};
    unsigned memory = 0;
    struct options options = {.seed = HUNT_NO_SEED};
    const char *judges[NAMES_MAX] = {NULL};
    const char *strategies[NAMES_MAX] = {NULL};
    unsigned all_judges = name_judges(judges);
    unsigned all_strategies = name_strategies(strategies);
    unsigned judge = all_judges;
    unsigned strategy = all_strategies;
    uint64_t threads = 0;
    uint64_t operations = 0;
    uint64_t preemptions = 2;
    const struct option_row rows[] = {
        {"memory", "M", "what threads see of each other's writes: the last one, or what C11 allows", .choice = &memory,
         .names = memories},
        {"judge", "J", "who judges", .choice = &judge, .names = judges},
        {"strategy", "S", "who chooses which thread runs next", .choice = &strategy, .names = strategies},
        HUNT_ROW_TIME(&options.seconds),
        HUNT_ROW_TRACES(&options.traces),
        HUNT_ROW_SEED(&options.seed),
        {"threads", "N", "of each workload; 2 to 4 unless given", .number = &threads, .least = 1,
         .greatest = SCHED_THREADS_MAX},
        {"ops", "N", "operations of each thread; 1 to 3 unless given", .number = &operations, .least = 1,
         .greatest = OPERATIONS_MAX},
        {"schedules", "N", "of each workload; 50 unless given, for finite strategies 400 or all",
         .number = &options.limits.schedules, .least = 1, .greatest = UINT64_MAX},
        {"preemptions", "N", "bound of the exhaustive strategy", .number = &preemptions, .greatest = SCHED_UNBOUNDED},
        {"self-check", NULL, "run every schedule twice and demand the same", .flag = &options.limits.self_check},
        {"brief", NULL, "do not minimise a failing workload", .flag = &options.brief},
        {"census", NULL, "print which values each dimension of disks and requests had", .flag = &options.census},
    };
    const struct options_command command = {
        .program = "hunt",
        .call = PROGRAM_PREFIX "hunt explore",
        .synopsis = "[OPTION]...",
        .purpose =
            "Runs small random workloads on the production engine under a deterministic scheduler, on simulated "
            "storage. --memory weak: every order of memory that C11 allows, also of old writes, and what is in files. "
            "Judge schedule: answers, contents, deadlocks; crash: crashes too; fault: failing calls of "
            "the storage too.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .notes = HUNT_EXIT_STATUS,
    };
    bool given[sizeof rows / sizeof rows[0]];
    int first = options_parse(&command, count, words, given);
    options_refuse_operands(&command, count, words, first);
    options.limits.judges = judge == all_judges ? PLAN_ALL_JUDGES : 1u << judge;
    options.limits.strategy = strategy == all_strategies ? NULL : sched_strategy_at(strategy);
    options.limits.threads = (uint32_t)threads;
    options.limits.operations = (uint32_t)operations;
    options.limits.preemptions = (uint32_t)preemptions;
    hunt_set_defaults(&options.seed, options.traces, &options.seconds);
    if (memory != 0) {
        return explore_weak(&command, &options, given, threads, operations, preemptions);
    }
    return explore(&options);
}

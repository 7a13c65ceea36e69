/*
 * Trace files: printing and parsing. What a line may say is checked when it is read; what belongs together, at the end.
 */
#include "explore/trace_file.h"

#include "base/number.h"
#include "judges/fault.h"
#include "workload/phase.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MAX 1000u

enum keyword { JUDGE, STORAGE, CRASH_SEED, FAULT, SCHEDULE, KEYWORDS };

static const char *const keyword_names[KEYWORDS] = {"judge", "storage", "crash-seed", "fault", "schedule"};

struct parser {
    struct trace_file *file;
    unsigned lines[KEYWORDS]; /* where each stands last; 0: nowhere */
    char reason[160];
};

/* ---- Printing ---- */

static void print_judges(FILE *out, const struct trace_file *file)
{
    if (file->stress) {
        fputs("judge stress\n", out);
    }
    if (file->run) {
        fprintf(out, "judge %s\n", plan_judge_names[file->judge]);
    }
    if (file->every_crash) {
        fprintf(out, "judge %s every %" PRIu64 "%s%s\n", plan_judge_names[PLAN_CRASH], file->crashes.states,
                file->crashes.deaths ? " deaths" : "", file->crashes.second ? " second" : "");
    }
    if (file->every_fault) {
        fprintf(out, "judge %s every\n", plan_judge_names[PLAN_FAULT]);
    }
}

static void print_storage(FILE *out, const struct trace_file_storage *storage)
{
    if (!storage->punch_refused && !storage->shares && !storage->short_transfers && storage->pause == 0) {
        return;
    }
    fprintf(out, "storage%s%s%s", storage->punch_refused ? " punch-refused" : "", storage->shares ? " shares" : "",
            storage->short_transfers ? " short-transfers" : "");
    if (storage->pause != 0) {
        fprintf(out, " pause %" PRIu32, storage->pause);
    }
    fputc('\n', out);
}

static bool judges_crashes(const struct trace_file *file)
{
    return file->run && file->judge != PLAN_SCHEDULE; /* after a fault too */
}

void trace_file_print(FILE *out, const struct trace_file *file)
{
    fputs(TRACE_FIRST_LINE "\n", out);
    print_judges(out, file);
    print_storage(out, &file->storage);
    if (judges_crashes(file)) {
        fprintf(out, "crash-seed %" PRIu64 "\n", file->crash_seed);
    }
    if (file->fault.at != 0) {
        fputs("fault ", out);
        fault_injection_print_text(&file->fault, out);
        fputc('\n', out);
    }
    if (file->schedule.count > 0) {
        fputs("schedule ", out);
        sched_schedule_print(out, &file->schedule);
        fputs(file->goes_on ? " continue\n" : "\n", out);
    }
    trace_print_body(out, &file->trace);
}

/* ---- Lines ---- */

static const char *const judge_form =
    "expected 'judge schedule', 'judge crash', 'judge fault', 'judge crash every "
    "STATES [deaths] [second]', 'judge fault every' or 'judge stress'";

static const char *parse_every_crash(struct trace_file *file, char *const *words, unsigned count)
{
    if (file->every_crash) {
        return "a second 'judge crash every'";
    }
    if (count < 4 || number_parse_decimal(words[3], &file->crashes.states) != NUMBER_OK) {
        return judge_form;
    }
    for (unsigned i = 4; i < count; i++) {
        bool *flag = strcmp(words[i], "deaths") == 0   ? &file->crashes.deaths
                     : strcmp(words[i], "second") == 0 ? &file->crashes.second
                                                       : NULL;
        if (flag == NULL || *flag) {
            return judge_form;
        }
        *flag = true;
    }
    file->every_crash = true;
    return NULL;
}

static const char *parse_judge(struct trace_file *file, char *const *words, unsigned count)
{
    if (count == 2 && strcmp(words[1], "stress") == 0) {
        file->stress = true;
        return NULL;
    }
    unsigned judge = 0;
    while (judge < PLAN_JUDGES && (count < 2 || strcmp(words[1], plan_judge_names[judge]) != 0)) {
        judge++;
    }
    bool every = count > 2 && strcmp(words[2], "every") == 0;
    if (every && judge == PLAN_CRASH) {
        return parse_every_crash(file, words, count);
    }
    if (every && judge == PLAN_FAULT && count == 3) {
        file->every_fault = true;
        return NULL;
    }
    if (judge == PLAN_JUDGES || count != 2) {
        return judge_form;
    }
    if (file->run) {
        return "a second judge of one run";
    }
    file->run = true;
    file->judge = (enum plan_judge)judge;
    return NULL;
}

static const char *parse_storage(struct trace_file *file, char *const *words, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        uint64_t pause;
        if (strcmp(words[i], "punch-refused") == 0) {
            file->storage.punch_refused = true;
        } else if (strcmp(words[i], "shares") == 0) {
            file->storage.shares = true;
        } else if (strcmp(words[i], "short-transfers") == 0) {
            file->storage.short_transfers = true;
        } else if (strcmp(words[i], "pause") == 0 && i + 1 < count &&
                   number_parse_decimal(words[i + 1], &pause) == NUMBER_OK && pause > 0 && pause <= PAUSE_MAX) {
            file->storage.pause = (uint32_t)pause;
            i++;
        } else {
            return "expected 'storage [punch-refused] [shares] [short-transfers] [pause 1..1000]'";
        }
    }
    return count > 1 ? NULL : "'storage' without a word";
}

static const char *parse_schedule(struct trace_file *file, char *const *words, unsigned count)
{
    file->goes_on = count == 3 && strcmp(words[2], "continue") == 0;
    bool is_form = count == 2 || file->goes_on;
    if (!is_form || !sched_schedule_parse(words[1], &file->schedule)) {
        return "expected 'schedule THREADxSTEPS,THREADxSTEPS... [continue]'";
    }
    return NULL;
}

static const char *parse_value(enum keyword keyword, struct trace_file *file, char *const *words, unsigned count)
{
    switch (keyword) {
    case JUDGE:
        return parse_judge(file, words, count);
    case STORAGE:
        return parse_storage(file, words, count);
    case CRASH_SEED:
        return count == 2 && number_parse(words[1], &file->crash_seed) == NUMBER_OK ? NULL
                                                                                    : "expected 'crash-seed NUMBER'";
    case FAULT:
        return fault_injection_parse(words + 1, count - 1, &file->fault);
    default:
        return parse_schedule(file, words, count);
    }
}

static const char *parse_keyword(void *context, unsigned line, char *const *words, unsigned count)
{
    struct parser *parser = context;
    enum keyword keyword = JUDGE;
    while (keyword < KEYWORDS && strcmp(words[0], keyword_names[keyword]) != 0) {
        keyword++;
    }
    if (keyword == KEYWORDS) {
        snprintf(parser->reason, sizeof parser->reason, "unknown keyword '%s'", words[0]);
        return parser->reason;
    }
    if (keyword != JUDGE && parser->lines[keyword] != 0) {
        snprintf(parser->reason, sizeof parser->reason, "a second '%s'", words[0]);
        return parser->reason;
    }
    parser->lines[keyword] = line;
    return parse_value(keyword, parser->file, words, count);
}

/* ---- What belongs together ---- */

static bool is_concurrent(const struct trace *trace)
{
    bool concurrent = false;
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        concurrent = concurrent || trace_phase_is_concurrent(trace, begin, trace_phase_end(trace, begin));
    }
    return concurrent;
}

/* Why the phases of a trace cannot be judged on real threads; null if they can. */
static const char *stress_problem(const struct trace *trace)
{
    const char *problem = NULL;
    for (uint32_t begin = 0; problem == NULL && begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        problem = trace_phase_is_concurrent(trace, begin, end) ? phase_problem(trace, begin, end) : NULL;
    }
    return problem;
}

/* What is wrong with the judges, with the trace in mind; null if nothing is. */
static const char *judge_problem(const struct trace_file *file)
{
    bool scheduled = file->run || file->every_crash || file->every_fault;
    if (!file->stress && !scheduled) {
        return "no 'judge'";
    }
    if (file->stress && scheduled) {
        return "'judge stress' beside another judge";
    }
    if ((file->every_crash || file->every_fault) && file->trace.threads != 1) {
        return "every crash or fault of several threads cannot be judged";
    }
    if (file->every_fault && fault_problem(&file->trace) != NULL) {
        return "every fault of so long a trace cannot be judged";
    }
    if (file->stress) {
        return stress_problem(&file->trace);
    }
    struct explore_options options = trace_file_explore_options(file);
    return file->run ? explore_problem(&file->trace, &options) : NULL;
}

/* Whether a keyword must be there, and whether it may. */
struct place {
    bool needed;
    bool allowed;
    const char *condition; /* of both, for messages */
};

static bool check_places(struct parser *parser, char *error, size_t error_size)
{
    const struct trace_file *file = parser->file;
    bool fault = file->run && file->judge == PLAN_FAULT;
    bool schedule = file->run && is_concurrent(&file->trace);
    const struct place places[KEYWORDS] = {
        [JUDGE] = {true, true, ""},
        [STORAGE] = {false, file->run || file->stress, "one run, or stress"},
        [CRASH_SEED] = {judges_crashes(file), judges_crashes(file), "'judge crash' and 'judge fault'"},
        [FAULT] = {fault, fault, "'judge fault'"},
        [SCHEDULE] = {schedule, schedule, "one run with threads beside each other"},
    };
    for (unsigned i = 0; i < KEYWORDS; i++) {
        if (parser->lines[i] != 0 && !places[i].allowed) {
            snprintf(error, error_size, "%u: '%s' is only for %s", parser->lines[i], keyword_names[i],
                     places[i].condition);
            return false;
        }
        if (parser->lines[i] == 0 && places[i].needed) {
            snprintf(error, error_size, "%u: no '%s', which is needed for %s", parser->lines[JUDGE], keyword_names[i],
                     places[i].condition);
            return false;
        }
    }
    return true;
}

static bool check(struct parser *parser, char *error, size_t error_size)
{
    const struct trace_file *file = parser->file;
    const char *problem = judge_problem(file);
    if (problem != NULL) {
        snprintf(error, error_size, "%u: %s", parser->lines[JUDGE] != 0 ? parser->lines[JUDGE] : 1, problem);
        return false;
    }
    if (!check_places(parser, error, error_size)) {
        return false;
    }
    if (!file->stress && (file->storage.short_transfers || file->storage.pause != 0)) {
        snprintf(error, error_size, "%u: simulated storage has no short transfers and no pauses",
                 parser->lines[STORAGE]);
        return false;
    }
    for (uint32_t i = 0; i < file->schedule.count; i++) {
        if (file->schedule.segments[i].thread >= file->trace.threads) {
            snprintf(error, error_size, "%u: the schedule has a thread %" PRIu32 ", the trace has %" PRIu32,
                     parser->lines[SCHEDULE], file->schedule.segments[i].thread, file->trace.threads);
            return false;
        }
    }
    return true;
}

/* ---- Files ---- */

bool trace_file_parse(FILE *in, struct trace_file *file, char *error, size_t error_size)
{
    struct parser parser = {.file = file};
    const struct trace_keywords keywords = {parse_keyword, &parser};
    memset(file, 0, sizeof *file);
    bool good = trace_parse(in, &file->trace, &keywords, error, error_size) && check(&parser, error, error_size);
    file->fault_line = parser.lines[FAULT];
    file->schedule_line = parser.lines[SCHEDULE];
    return good;
}

bool trace_file_load(const char *path, struct trace_file *file, char *error, size_t error_size)
{
    char reason[256];
    memset(file, 0, sizeof *file);
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    bool good = trace_file_parse(in, file, reason, sizeof reason);
    fclose(in);
    if (!good) {
        snprintf(error, error_size, "%s:%s", path, reason);
    }
    return good;
}

void trace_file_free(struct trace_file *file)
{
    sched_schedule_free(&file->schedule);
}

struct explore_options trace_file_explore_options(const struct trace_file *file)
{
    return (struct explore_options){
        .crash = file->judge == PLAN_CRASH,
        .refuse_punch = file->storage.punch_refused,
        .shares = file->storage.shares,
        .seed = file->crash_seed,
        .fault = file->fault,
    };
}

void trace_file_make(const struct plan *plan, const struct trace *trace, const struct sched_schedule *schedule,
                     bool goes_on, struct trace_file *file)
{
    *file = (struct trace_file){
        .trace = *trace,
        .every_crash = plan->every && plan->judge == PLAN_CRASH,
        .every_fault = plan->every && plan->judge == PLAN_FAULT,
        .crashes = plan->crashes,
    };
    if (plan->every) {
        return;
    }
    file->run = true;
    file->judge = plan->judge;
    file->storage.punch_refused = plan->run.refuse_punch;
    file->storage.shares = plan->run.shares;
    file->crash_seed = plan->run.seed;
    file->fault = plan->run.fault;
    for (uint32_t i = 0; is_concurrent(trace) && i < schedule->count; i++) {
        sched_schedule_append(&file->schedule, schedule->segments[i].thread, schedule->segments[i].steps);
    }
    file->goes_on = goes_on && file->schedule.count > 0;
    if (is_concurrent(trace) && file->schedule.count == 0) { /* it ended before threads ran beside each other */
        sched_schedule_append(&file->schedule, 0, 1);
        file->goes_on = true;
    }
}

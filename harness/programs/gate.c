/*
 * gate: does an implementation conform to the specification? Runs the conformance corpus against it and says which
 * clauses it breaks.
 *
 * Exit codes: 0 it conforms in all that was judged; 1 it does not; 2 wrong usage, a corpus or a specification that
 * cannot be used, or output that cannot be written; 3 it crashed, hung or broke the protocol; 4 not every selected case
 * was run, or none was selected.
 *
 * Whatever ends the gate, it leaves no process behind, and unless it is killed by SIGKILL no file: signals that ask it
 * to end are blocked while there is something to clean up, and arrive through a descriptor.
 */
#include "corpus/corpus_explain.h"
#include "corpus/corpus_html.h"
#include "corpus/corpus_report.h"

#include "adapters/adapter_exec.h"
#include "adapters/serve.h"
#include "addcow_version.h"
#include "base/options.h"
#include "base/report.h"
#include "base/scratch.h"
#include "base/shell_word.h"
#include "observe/tracer.h"
#include "programs/gate_observe.h"
#include "programs/gate_subject.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT 30u /* seconds */
#define WHOLE_MAX 10u       /* failing cases that are printed in full without --all */
#define JOBS_MAX 256u
#define TIMEOUT_MAX 86400u /* seconds */
#define SERVED_AT_ONCE 16u /* requests of an engine for threads */

#define GATE PROGRAM_PREFIX "gate" /* what to type */

/* Where the corpus is, relative to the directory of the program (mk/package.mk); "": ./corpus. */
#ifndef GATE_CORPUS
#define GATE_CORPUS ""
#endif

struct options {
    const char *command;  /* "list", "explain", "serve", "observe"; null: run */
    const char *operand;  /* of explain, serve and observe */
    const char *observed; /* the second one of observe */
    const char *scenario; /* only this one, and no case */
    bool observe;
    bool no_observe;
    const char *implementation;
    const char *corpus;
    const char *filter;
    const char *clause;
    const char *id;
    const char *json;
    const char *junit;
    const char *html;
    struct gate_commands tools; /* of a server of NBD */
    unsigned level;             /* enum protocol_level; PROTOCOL_LEVELS: all */
    uint64_t timeout;           /* seconds */
    uint64_t jobs;
    bool applicable;
    bool complete;
    bool all;
    bool tap;
    bool version;
};

/* ---- Selecting ---- */

static bool is_selected(const struct corpus_case *c, const struct options *options)
{
    if (options->scenario) {
        return false;
    }
    bool witness = !options->clause;
    for (size_t i = 0; !witness && i < c->clause_count; i++) {
        witness = !strcmp(c->clauses[i], options->clause);
    }
    return witness && corpus_level(c) <= options->level && (!options->filter || strstr(c->id, options->filter)) &&
           (!options->id || !strcmp(c->id, options->id));
}

/* Takes the selected cases into the results. --applicable leaves some of them out. */
static void select_cases(const struct corpus *corpus, const struct options *options,
                         const struct corpus_subject *subject, struct corpus_results *results)
{
    for (size_t i = 0; i < corpus->count; i++) {
        const struct corpus_result result = {.c = &corpus->cases[i], .verdict = CORPUS_NOT_RUN};
        if (!is_selected(result.c, options)) {
            continue;
        }
        char *missing = options->applicable ? corpus_applies(result.c, subject) : NULL;
        if (missing) {
            results->left_out[results->left_out_count++] = result;
        } else {
            results->items[results->count++] = result;
        }
        free(missing);
    }
    if (!results->count && !options->scenario) {
        fputs("gate: no case is selected\n", stderr);
    }
}

/* ---- Running ---- */

struct telling {
    const struct options *options;
    const struct corpus_results *results;
    size_t whole; /* failing cases that were printed in full */
};

/* Prints one result. False if the output cannot be written. */
static bool tell(void *context, size_t index)
{
    struct telling *telling = context;
    const struct corpus_results *results = telling->results;
    const struct corpus_result *result = &results->items[index];
    report_progress(NULL);
    if (telling->options->tap) {
        corpus_print_tap(stdout, results, index);
    } else if (result->verdict == CORPUS_NOT_APPLICABLE) {
        printf("%s: %s", result->c->id, result->text);
    } else if (result->verdict == CORPUS_NOT_JUDGED) {
        /* The summary tells it, as only then it is known which case is about what failed. */
    } else if (result->verdict != CORPUS_PASSED && (telling->options->all || telling->whole < WHOLE_MAX)) {
        corpus_print_failure(stdout, results, index);
        telling->whole++;
    } else if (result->verdict != CORPUS_PASSED) {
        corpus_print_failure_line(stdout, results, index);
    }
    report_progress("%zu of %zu: %s", index + 1, results->count, result->c->id);
    return !ferror(stdout);
}

/* Blocks the signals that ask for an end. The result becomes readable when there is one. */
static int await_interruption(sigset_t *before)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, before);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Forgets the signals that have done their work, and lets the next ones end the process. */
static void stop_awaiting(int interruption, const sigset_t *before)
{
    struct signalfd_siginfo signal;
    while (read(interruption, &signal, sizeof signal) == (ssize_t)sizeof signal) {
    }
    close(interruption);
    sigprocmask(SIG_SETMASK, before, NULL);
}

/*
 * Removes the directory of the directories of the cases. Returns whether there was still something in it, which the
 * implementation must have put there, and says what.
 */
static bool remove_directory(const char *directory)
{
    bool any = false;
    DIR *list = opendir(directory);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        /* Scratch directories of the observer may be left if one of its judges died. */
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strncmp(entry->d_name, "observed.", 9)) {
            fprintf(stderr, "gate: the implementation wrote outside of the directory of its case: ../%s\n",
                    entry->d_name);
            any = true;
        }
    }
    if (list) {
        closedir(list);
    }
    scratch_remove(directory);
    if (!access(directory, F_OK)) {
        fprintf(stderr, "gate: cannot remove %s\n", directory);
    }
    return any;
}

/* Whether only some cases were asked for. Then nothing else is observed unless that was asked for. */
static bool is_selection(const struct options *options)
{
    return options->filter || options->clause || options->id || options->level < PROTOCOL_DURABLE;
}

/* Observes what is to be observed. `unobservable`: why nothing can be; or "". */
static void observe(const struct corpus_subject *subject, const struct options *options, const char *directory,
                    int interruption, const char *unobservable, struct gate_observation *observation)
{
    if (options->no_observe || (!options->observe && is_selection(options))) {
        return;
    }
    observation->required = options->observe;
    if (unobservable[0]) {
        gate_observe_nothing(unobservable, observation);
    } else {
        gate_observe(subject, options->scenario, directory, (unsigned)options->jobs, interruption, observation);
    }
}

/* Runs the selected cases in a temporary directory that goes away again. False if there is none to be had. */
static bool run_cases(struct corpus_results *results, const struct corpus_subject *subject,
                      const struct options *options, struct gate_observation *observation)
{
    char wanted[SCRATCH_PATH_BYTES], directory[PATH_MAX], unobservable[256] = "";
    sigset_t before;
    struct corpus_subject delayed = *subject;
    int interruption = await_interruption(&before);
    bool made = scratch_make(scratch_large_parent(), "add-cow-gate", wanted) && realpath(wanted, directory);
    if (made) {
        struct telling telling = {.options = options, .results = results};
        if (!options->no_observe && gate_can_observe(directory, unobservable, sizeof unobservable)) {
            gate_delay(&delayed);
        }
        const struct corpus_run_options manner = {.subject = &delayed,
                                                  .directory = directory,
                                                  .timeout = (unsigned)options->timeout,
                                                  .jobs = (unsigned)options->jobs,
                                                  .interruption = interruption,
                                                  .judged = tell,
                                                  .context = &telling};
        gate_make_sockets(subject, directory);
        if (options->tap) {
            printf("TAP version 13\n1..%zu\n", results->count);
        }
        corpus_judge(results->items, results->count, &manner);
        report_progress(NULL);
        observe(subject, options, directory, interruption, unobservable, observation);
        gate_remove_sockets();
        results->crashed = remove_directory(directory);
    } else {
        fprintf(stderr, "gate: no temporary directory %s: %s\n", wanted, strerror(errno));
    }
    stop_awaiting(interruption, &before);
    return made;
}

static bool write_reports(const struct options *options, const struct corpus_results *results)
{
    bool good = true;
    if (options->json && !corpus_write_json(options->json, results)) {
        fprintf(stderr, "gate: cannot write %s: %s\n", options->json, strerror(errno));
        good = false;
    }
    if (options->junit && !corpus_write_junit(options->junit, results)) {
        fprintf(stderr, "gate: cannot write %s: %s\n", options->junit, strerror(errno));
        good = false;
    }
    if (options->html && !corpus_write_html(options->html, results)) {
        fprintf(stderr, "gate: cannot write %s: %s\n", options->html, strerror(errno));
        good = false;
    }
    if (fflush(stdout) || ferror(stdout)) {
        fputs("gate: cannot write standard output\n", stderr);
        good = false;
    }
    return good;
}

static int run(struct corpus_results *results, const struct options *options, const struct corpus_subject *subject)
{
    struct gate_observation observation = {.asked = false};
    const char *prefix = options->tap ? "# " : "";
    if (!run_cases(results, subject, options, &observation)) {
        return REPORT_INCOMPLETE;
    }
    corpus_state_clauses(results);
    gate_observe_state(&observation, options->applicable, results);
    results->only_observed = options->scenario != NULL;
    int code = corpus_exit(results);
    gate_observe_print(stdout, prefix, code, results->repeat, &observation);
    if (!options->scenario) {
        corpus_print_summary(stdout, results, prefix, options->all);
    }
    results->observed = observation.asked ? gate_observe_json(&observation) : NULL;
    bool written = write_reports(options, results);
    json_decref(results->observed);
    findings_free(&observation.findings);
    return written ? code : REPORT_USAGE;
}

/* ---- The corpus ---- */

/* Where the corpus is unless --corpus says so. The caller may use it as long as `path`. */
static const char *default_corpus(char path[PATH_MAX])
{
    char program[PATH_MAX] = "", beside[2 * PATH_MAX];
    if (!*GATE_CORPUS || readlink("/proc/self/exe", program, sizeof program - 1) < 0) {
        return "corpus";
    }
    snprintf(beside, sizeof beside, "%s/%s", dirname(program), GATE_CORPUS);
    return realpath(beside, path) ? path : GATE_CORPUS;
}

static void print_tools(FILE *out, const struct gate_commands *tools)
{
    const char *const words[][2] = {
        {"create", tools->create}, {"resize", tools->resize}, {"stream", tools->stream}, {"commit", tools->commit}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i][1]) {
            fprintf(out, " --nbd-%s ", words[i][0]);
            shell_word_print(out, words[i][1]);
        }
    }
}

/* The command that repeats one case when " --case ID" is added; the caller frees it. */
static char *make_repeat(const struct options *options, const char *program)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        abort();
    }
    shell_word_print(out, program);
    fputs(" --impl ", out);
    shell_word_print(out, options->implementation ? options->implementation : "NAME");
    fputs(" --corpus ", out);
    shell_word_print(out, options->corpus);
    print_tools(out, &options->tools);
    if (options->no_observe) {
        fputs(" --no-observe", out);
    }
    if (options->timeout != DEFAULT_TIMEOUT) {
        fprintf(out, " --timeout %" PRIu64, options->timeout);
    }
    fclose(out);
    return text;
}

/* The implementation as reports can name it; the caller frees it. Bytes that are no UTF-8 become question marks. */
static char *make_name(const char *name)
{
    char *copy = strdup(name);
    json_t *value = json_string(name);
    for (char *c = copy; !value && *c; c++) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
    json_decref(value);
    return copy;
}

/* Runs, explains or lists cases of a valid corpus, as the options say. */
static int serve_corpus(const struct corpus *corpus, struct corpus_results *results, const struct options *options,
                        const struct corpus_subject *subject)
{
    char error[256];
    if (results->clauses && !corpus_check_clauses(corpus, results->clauses, error, sizeof error)) {
        fprintf(stderr, "gate: %s\n", error);
        return REPORT_USAGE;
    }
    if (options->command && options->observe) {
        observe_list(stdout);
        return fflush(stdout) ? REPORT_USAGE : REPORT_CONFORMS;
    }
    select_cases(corpus, options, subject, results);
    if (!options->command) {
        return results->clauses ? run(results, options, subject) : REPORT_USAGE;
    }
    if (results->count && options->operand) {
        corpus_explain(stdout, results, corpus);
    } else {
        corpus_list(stdout, results);
    }
    if (fflush(stdout)) {
        return REPORT_USAGE;
    }
    return results->count ? REPORT_CONFORMS : REPORT_INCOMPLETE;
}

static int gate(const struct options *options, const char *program)
{
    struct corpus_subject subject = {.name = ""};
    struct protocol_abilities abilities;
    char directory[PATH_MAX], path[PATH_MAX], error[1024];
    struct corpus *corpus;
    if (!corpus_load(options->corpus, &corpus, error, sizeof error)) {
        fprintf(stderr, "gate: %s\n", error);
        return REPORT_USAGE;
    }
    int code = options->implementation ? gate_find_subject(options->implementation, &options->tools,
                                                           (unsigned)options->timeout, &subject, &abilities)
                                       : 0;
    subject.directory = getcwd(directory, sizeof directory);
    snprintf(path, sizeof path, "%s/../spec/add-cow.md", options->corpus);
    char *repeat = make_repeat(options, program);
    char *name = make_name(subject.name);
    struct corpus_results results = {.items = report_allocate(corpus->count, sizeof *results.items),
                                     .left_out = report_allocate(corpus->count, sizeof *results.left_out),
                                     .corpus = corpus,
                                     .subject = &subject,
                                     .complete = options->complete,
                                     .version = corpus->version,
                                     .implementation = name,
                                     .repeat = repeat,
                                     .spec = corpus_read_spec(path)};
    results.clauses = corpus_read_clauses(&results, path, error, sizeof error);
    if (!results.clauses) {
        fprintf(stderr, "gate: %s; nothing can be judged\n", error);
    }
    if (!code) {
        code = serve_corpus(corpus, &results, options, &subject);
    }
    for (size_t i = 0; i < results.count; i++) {
        free(results.items[i].text);
    }
    free(results.items);
    free(results.left_out);
    clauses_free(results.clauses);
    free(results.spec);
    free(repeat);
    free(name);
    corpus_free(corpus);
    return code;
}

static int serve_engine(const char *name)
{
    struct adapter *adapter =
        strncmp(name, ADAPTER_EXEC_PREFIX, strlen(ADAPTER_EXEC_PREFIX)) ? adapter_make(name, NULL) : NULL;
    if (!adapter) {
        fprintf(stderr, "gate: no engine \"%s\": there are ref and fast\n", name);
        return REPORT_USAGE;
    }
    struct protocol_abilities abilities = serve_all(adapter, !strcmp(name, "fast") ? SERVED_AT_ONCE : 1);
    int code = serve(adapter, &abilities);
    adapter->ops->destroy(adapter);
    return code;
}

/* ---- Options ---- */

static unsigned count_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : (unsigned)count < JOBS_MAX ? (unsigned)count : JOBS_MAX;
}

/* Takes the operands, and refuses invalid combinations. */
static void take_operands(const struct options_command *command, struct options *options, int count, char **operands)
{
    options->command = count > 0 ? operands[0] : NULL;
    options->operand = count > 1 ? operands[1] : NULL;
    if (!options->command) {
        if (!options->implementation) {
            options_refuse(command, "--impl NAME is needed, or list, or explain CASE");
        }
    } else if (!strcmp(options->command, "list")) {
        options_refuse_operands(command, count, operands, 1);
        if (!options->implementation && options->applicable) {
            options_refuse(command, "list --applicable: --impl NAME is needed");
        }
    } else if (!strcmp(options->command, "explain") || !strcmp(options->command, "serve")) {
        if (count < 2) {
            options_refuse(command, "%s: what is missing", options->command);
        }
        options_refuse_operands(command, count, operands, 2);
        options->id = !strcmp(options->command, "explain") ? options->operand : options->id;
    } else if (!strcmp(options->command, "observe")) {
        if (count < 3) {
            options_refuse(command, "observe: the watch and the command are missing");
        }
        options_refuse_operands(command, count, operands, 3);
        options->observed = operands[2];
    } else {
        options_refuse(command, "unknown command '%s'", options->command);
    }
}

static void parse_options(int count, char **words, struct options *options)
{
    const char *levels[PROTOCOL_LEVELS + 1] = {NULL};
    for (unsigned i = 0; i < PROTOCOL_LEVELS; i++) {
        levels[i] = protocol_level_name((enum protocol_level)i);
    }
    const struct option_row rows[] = {
        {"impl", "NAME",
         "the implementation: ref, fast, exec:COMMAND, an adapter, or nbd:COMMAND, a server (corpus/PROTOCOL.md)",
         .text = &options->implementation},
        {"nbd-create", "COMMAND", "how a disk is created, for nbd:", .text = &options->tools.create},
        {"nbd-resize", "COMMAND", "how a disk is resized", .text = &options->tools.resize},
        {"nbd-stream", "COMMAND", "how a disk is made independent", .text = &options->tools.stream},
        {"nbd-commit", "COMMAND", "how a disk is committed", .text = &options->tools.commit},
        {"corpus", "DIR", "the corpus", .text = &options->corpus},
        {"level", "LEVEL", "only cases of this level and those below", .choice = &options->level, .names = levels},
        {"filter", "TEXT", "only cases whose id contains TEXT", .text = &options->filter},
        {"clause", "ID", "only cases that witness this clause", .text = &options->clause},
        {"case", "ID", "only this case", .text = &options->id},
        {"applicable", NULL, "only cases that the implementation claims to be able to run",
         .flag = &options->applicable},
        {"observe", NULL,
         "observe its system calls: power cuts, deaths, failing and slow storage; done anyway where it works,\n"
         "                       unless only some cases are selected",
         .flag = &options->observe},
        {"no-observe", NULL, "do not observe it", .flag = &options->no_observe},
        {"scenario", "NAME", "only this observed scenario, or SCENARIO/power, /death, /faults; and no case",
         .text = &options->scenario},
        {"complete", NULL, "exit with 4 unless every clause that can be judged is", .flag = &options->complete},
        {"jobs", "N", "how many cases run at once; one for each processor unless given", .number = &options->jobs,
         .least = 1, .greatest = JOBS_MAX},
        {"timeout", "SECONDS", "how long one case may take", .number = &options->timeout, .least = 1,
         .greatest = TIMEOUT_MAX, .unit = "seconds"},
        {"all", NULL, "print all failing cases in full, not only the first 10", .flag = &options->all},
        {"tap", NULL, "print TAP instead of failures only", .flag = &options->tap},
        {"json", "FILE", "also write a report in JSON (corpus/README.md)", .text = &options->json},
        {"junit", "FILE", "also write a report in JUnit XML", .text = &options->junit},
        {"html", "FILE", "also write a report as a web page", .text = &options->html},
        {"version", NULL, "print the version", .flag = &options->version},
    };
    const struct options_command command = {
        .program = "gate",
        .call = GATE,
        .synopsis =
            "--impl NAME [OPTION]...   run the conformance corpus against an implementation\n"
            "       " GATE
            " list [OPTION]...          list the selected cases\n"
            "       " GATE
            " explain CASE [OPTION]...  explain a case in plain words\n"
            "       " GATE " serve ENGINE              be an adapter for ref or fast that another gate can judge",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .notes =
            "Exit status: 0 conforms in all that was judged; 1 does not; 2 usage or corpus error; 3 crashed, hung, or\n"
            "broke the protocol; 4 incomplete: some selected case was not run, or none was selected.\n",
    };
    int first = options_parse(&command, count, words, NULL);
    options->observe = options->observe || options->scenario;
    if (options->observe && options->no_observe) {
        options_refuse(&command, "--no-observe excludes --observe and --scenario");
    }
    if (!options->version) {
        take_operands(&command, options, count - first, words + first);
    }
}

int main(int argc, char **argv)
{
    char corpus[PATH_MAX];
    struct options options = {.corpus = default_corpus(corpus),
                              .level = PROTOCOL_LEVELS,
                              .timeout = DEFAULT_TIMEOUT,
                              .tools = {.door = GATE "-nbd"}};
    signal(SIGCHLD, SIG_DFL); /* whoever ignores it, as our parent may, cannot wait for children */
    signal(SIGPIPE, SIG_IGN); /* a reader who goes away is found when writing, and cleaned up after */
    parse_options(argc, argv, &options);
    if (options.version) {
        return puts(GATE " " ADDCOW_VERSION) < 0 || fflush(stdout) ? REPORT_USAGE : 0;
    }
    options.jobs = options.jobs ? options.jobs : count_processors();
    if (options.command && !strcmp(options.command, "serve")) {
        return serve_engine(options.operand);
    }
    if (options.command && !strcmp(options.command, "observe")) {
        return tracer_run(options.operand, options.observed);
    }
    return gate(&options, argv[0]);
}

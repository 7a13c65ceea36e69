/*
 * gate: does an implementation conform to the specification? Runs the conformance corpus against it and says which clauses it breaks.
 *
 * Exit codes: 0 it conforms; 1 it does not; 2 wrong usage, or a corpus that cannot be used; 3 it crashed, hung or broke the protocol; 4 not every selected case was run, or none was
 * selected.
 */
#include "corpus_report.h"

#include "adapter_exec.h"
#include "ref_disk.h"
#include "report.h"
#include "serve.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: gate --impl NAME [OPTION]...\n"
    "Runs the conformance corpus against an implementation of add-cow.\n"
    "\n"
    "  --impl NAME       what is judged: ref, fast, or exec:COMMAND, an adapter (corpus/PROTOCOL.md)\n"
    "  --corpus DIR      the corpus (default: corpus)\n"
    "  --filter TEXT     only cases whose id contains TEXT\n"
    "  --clause ID       only cases that witness this clause\n"
    "  --case ID         only this case\n"
    "  --applicable      only cases that the implementation claims to be able to run\n"
    "  --timeout SECONDS for one case (default: 30)\n"
    "  --tap             print TAP instead of failures only\n"
    "  --json FILE       also write a report in JSON\n"
    "  --junit FILE      also write a report in JUnit XML\n"
    "  --serve ENGINE    be an adapter for ref or fast that another gate can judge (corpus/PROTOCOL.md)\n"
    "  --list            list the selected cases and run none\n"
    "\n"
    "Exit codes: 0 conforms; 1 does not; 2 usage or corpus error; 3 crashed, hung, or broke the protocol;\n"
    "4 incomplete.\n";

struct options {
    const char *implementation;
    const char *corpus;
    const char *filter;
    const char *clause;
    const char *id;
    const char *json;
    const char *junit;
    const char *serve;
    unsigned timeout; /* seconds */
    bool applicable;
    bool tap;
    bool list;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static struct adapter *make_adapter(const struct corpus_subject *subject)
{
    return adapter_make(subject->name, NULL);
}

static struct adapter *make_child_adapter(const struct corpus_subject *subject)
{
    /* Less than the case may take, so that the adapter gives its child up before the case is given up. */
    return adapter_make_exec(subject->name + strlen(ADAPTER_EXEC_PREFIX), subject->directory,
                             (int)subject->timeout * 900);
}

/* An engine of this program in a process of its own, which can be killed: this program once more. */
static struct adapter *make_apart(const struct corpus_subject *subject)
{
    char program[PATH_MAX] = "";
    char command[64];
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        return NULL;
    setenv("ADDCOW_GATE", program, 1);
    snprintf(command, sizeof command, "exec \"$ADDCOW_GATE\" --serve %s", subject->name);
    return adapter_make_exec(command, NULL, ADAPTER_EXEC_TIMEOUT);
}

/* The reference engine works on files mapped into memory: it makes none, and a mapping does not survive that its file is cut. */
static const struct corpus_subject subjects[] = {
    {.name = "fast", .make = make_adapter, .make_apart = make_apart},
    {.name = "ref", .cannot = CORPUS_NEEDS_CREATE | CORPUS_NEEDS_CUT, .make = make_adapter, .make_apart = make_apart},
};

/* The needs of cases that an adapter does not claim. */
static unsigned cannot_of(const struct protocol_abilities *abilities)
{
    unsigned cannot = abilities->r9 ? 0 : CORPUS_NEEDS_R9;
    for (unsigned lack = 0; lack < PROTOCOL_LACKS; lack++)
        for (unsigned need = 1; corpus_need_name(need); need <<= 1)
            if (abilities->lacks & 1u << lack &&
                !strcmp(protocol_lack_name((enum protocol_lack)lack), corpus_need_name(need)))
                cannot |= need;
    return cannot;
}

/* Asks a child process what it can do. Says why and gives the exit code if it cannot be judged at all. */
static int meet_child(const char *name, unsigned timeout, struct corpus_subject *subject,
                      struct protocol_abilities *abilities)
{
    char why[2048];
    *subject = (struct corpus_subject){.name = name, .make = make_child_adapter, .timeout = timeout};
    struct adapter *adapter = make_child_adapter(subject);
    enum exec_state state = adapter_exec_state(adapter, why, sizeof why);
    if (state == EXEC_SOUND) {
        *abilities = *adapter_exec_abilities(adapter);
        subject->abilities = abilities;
        subject->cannot = cannot_of(abilities);
    } else {
        fprintf(stderr, "gate: the adapter %s: %s\n", exec_state_name(state), why);
    }
    adapter->ops->destroy(adapter);
    return state == EXEC_SOUND ? REPORT_CONFORMS : REPORT_CRASHED;
}

/* Finds out what is to be judged, or says why it cannot be and gives the exit code. */
static int find_subject(const struct options *options, struct corpus_subject *subject,
                        struct protocol_abilities *abilities)
{
    const char *name = options->implementation;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (!strcmp(subjects[i].name, name)) {
            *subject = subjects[i];
            if (!strcmp(name, "ref") && !ref_disk_maps_large())
                subject->cannot |= CORPUS_NEEDS_LARGE;
            return REPORT_CONFORMS;
        }
    if (!strncmp(name, ADAPTER_EXEC_PREFIX, strlen(ADAPTER_EXEC_PREFIX)))
        return meet_child(name, options->timeout, subject, abilities);
    fprintf(stderr, "gate: no implementation \"%s\": there are %s\n", name, adapter_names());
    return REPORT_USAGE;
}

static bool is_selected(const struct corpus_case *c, const struct options *options,
                        const struct corpus_subject *subject)
{
    bool witness = !options->clause;
    for (size_t i = 0; !witness && i < c->clause_count; i++)
        witness = !strcmp(c->clauses[i], options->clause);
    return witness && (!options->filter || strstr(c->id, options->filter)) &&
           (!options->id || !strcmp(c->id, options->id)) && !(options->applicable && !corpus_applies(c, subject, NULL));
}

static void list_cases(const struct corpus_results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct corpus_case *c = results->items[i].c;
        printf("%s\t", c->id);
        for (size_t j = 0; j < c->clause_count; j++)
            printf("%s%s", j ? "," : "", c->clauses[j]);
        printf("\t%s\n", c->title);
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_case(struct corpus_results *results, size_t index, const struct corpus_subject *subject,
                     const struct options *options, const char *directory)
{
    struct corpus_result *result = &results->items[index];
    double start = seconds_now();
    if (interrupted)
        result->text = strdup("interrupted\n");
    else
        result->verdict = corpus_judge(result->c, subject, directory, options->timeout, &result->text);
    result->seconds = seconds_now() - start;
    report_progress(NULL);
    if (options->tap)
        corpus_print_tap(stdout, results, index);
    else if (result->verdict == CORPUS_NOT_APPLICABLE)
        printf("%s: %s", result->c->id, result->text);
    else if (result->verdict != CORPUS_PASSED)
        corpus_print_failure(stdout, results, index);
    report_progress("%zu of %zu: %s", index + 1, results->count, result->c->id);
}

/* Runs the selected cases in a temporary directory that goes away again. False if there is none to be had. */
static bool run_cases(struct corpus_results *results, const struct corpus_subject *subject,
                      const struct options *options)
{
    const char *temporary = getenv("TMPDIR");
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%s/add-cow-gate.XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(directory)) {
        fprintf(stderr, "gate: no temporary directory %s: %s\n", directory, strerror(errno));
        return false;
    }
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    if (options->tap)
        printf("TAP version 13\n1..%zu\n", results->count);
    for (size_t i = 0; i < results->count; i++)
        run_case(results, i, subject, options, directory);
    report_progress(NULL);
    if (rmdir(directory))
        fprintf(stderr, "gate: cannot remove %s: %s\n", directory, strerror(errno));
    return true;
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
    return good;
}

static int judge(struct corpus_results *results, const struct options *options, const struct corpus_subject *subject)
{
    if (options->list) {
        list_cases(results);
        return results->count ? REPORT_CONFORMS : REPORT_INCOMPLETE;
    }
    if (!run_cases(results, subject, options))
        return REPORT_INCOMPLETE;
    corpus_print_summary(stdout, results, options->tap ? "# " : "");
    return write_reports(options, results) ? corpus_exit(results) : REPORT_USAGE;
}

/* A clause that the specification does not have would make a case a witness of nothing. */
static bool check_clauses(const struct corpus *corpus, const char *spec)
{
    for (size_t i = 0; spec && i < corpus->count; i++)
        for (size_t j = 0; j < corpus->cases[i].clause_count; j++) {
            char *sentence = corpus_clause_sentence(spec, corpus->cases[i].clauses[j]);
            if (!sentence) {
                fprintf(stderr, "gate: case %s: the specification has no clause %s\n", corpus->cases[i].id,
                        corpus->cases[i].clauses[j]);
                return false;
            }
            free(sentence);
        }
    return true;
}

static int gate(const struct options *options, const char *program)
{
    struct corpus_subject found;
    const struct corpus_subject *subject = &found;
    struct protocol_abilities abilities;
    char directory[PATH_MAX];
    int unusable = find_subject(options, &found, &abilities);
    if (unusable)
        return unusable;
    found.directory = getcwd(directory, sizeof directory);
    char error[1024];
    struct corpus *corpus;
    if (!corpus_load(options->corpus, &corpus, error, sizeof error)) {
        fprintf(stderr, "gate: %s\n", error);
        return REPORT_USAGE;
    }
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/../spec/add-cow.md", options->corpus);
    char repeat[PATH_MAX];
    const char *quote = subject->abilities ? "'" : "";
    snprintf(repeat, sizeof repeat, "%s --impl %s%s%s --corpus %s", program, quote, subject->name, quote,
             options->corpus);
    struct corpus_results results = {.items = report_allocate(corpus->count, sizeof *results.items),
                                     .version = corpus->version,
                                     .implementation = subject->name,
                                     .repeat = repeat,
                                     .spec = corpus_read_spec(path)};
    for (size_t i = 0; i < corpus->count; i++)
        if (is_selected(&corpus->cases[i], options, subject))
            results.items[results.count++] = (struct corpus_result){.c = &corpus->cases[i], .verdict = CORPUS_NOT_RUN};
    int code = check_clauses(corpus, results.spec) ? judge(&results, options, subject) : REPORT_USAGE;
    for (size_t i = 0; i < results.count; i++)
        free(results.items[i].text);
    free(results.items);
    free(results.spec);
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
    int code = serve(adapter);
    adapter->ops->destroy(adapter);
    return code;
}

static bool parse_timeout(const char *text, unsigned *timeout)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *timeout = (unsigned)value;
    return *text >= '1' && *text <= '9' && !*end && value <= 86400;
}

enum { IMPL, CORPUS, FILTER, CLAUSE, CASE, APPLICABLE, TIMEOUT, TAP, JSON, JUNIT, SERVE, LIST, HELP, VERSION };

static const struct option long_options[] = {{"impl", required_argument, NULL, IMPL},
                                             {"corpus", required_argument, NULL, CORPUS},
                                             {"filter", required_argument, NULL, FILTER},
                                             {"clause", required_argument, NULL, CLAUSE},
                                             {"case", required_argument, NULL, CASE},
                                             {"applicable", no_argument, NULL, APPLICABLE},
                                             {"timeout", required_argument, NULL, TIMEOUT},
                                             {"tap", no_argument, NULL, TAP},
                                             {"json", required_argument, NULL, JSON},
                                             {"junit", required_argument, NULL, JUNIT},
                                             {"serve", required_argument, NULL, SERVE},
                                             {"list", no_argument, NULL, LIST},
                                             {"help", no_argument, NULL, HELP},
                                             {"version", no_argument, NULL, VERSION},
                                             {NULL, 0, NULL, 0}};

/* Takes the options that have a text; false if this is none of them. */
static bool take_text(struct options *options, int option)
{
    const char **places[] = {
        [IMPL] = &options->implementation, [CORPUS] = &options->corpus, [FILTER] = &options->filter,
        [CLAUSE] = &options->clause,       [CASE] = &options->id,       [JSON] = &options->json,
        [JUNIT] = &options->junit,         [SERVE] = &options->serve};
    if (option < 0 || option > SERVE || !places[option])
        return false;
    *places[option] = optarg;
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.corpus = "corpus", .timeout = 30};
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == HELP)
            return fputs(usage_text, stdout) < 0 ? REPORT_USAGE : 0;
        if (option == VERSION)
            return puts("gate " ADDCOW_VERSION) < 0 ? REPORT_USAGE : 0;
        options.applicable |= option == APPLICABLE;
        options.tap |= option == TAP;
        options.list |= option == LIST;
        bool known = option == APPLICABLE || option == TAP || option == LIST || take_text(&options, option) ||
                     (option == TIMEOUT && parse_timeout(optarg, &options.timeout));
        if (!known) {
            fputs("gate: wrong usage; see gate --help\n", stderr);
            return REPORT_USAGE;
        }
    }
    if (options.serve && !options.implementation && optind == argc)
        return serve_engine(options.serve);
    if (optind < argc || !options.implementation || options.serve) {
        fputs("gate: --impl NAME is needed, and no other argument; see gate --help\n", stderr);
        return REPORT_USAGE;
    }
    return gate(&options, argv[0]);
}

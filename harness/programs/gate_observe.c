/*
 * The observer's part of gate: what is started, and how its findings are reported.
 *
 * An engine of this program is judged as any other: behind the protocol, in a process of its own.
 */
#include "programs/gate_observe.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLANS 6u        /* under which a case with requests at once is repeated */
#define DELAY_MAX 3000u /* microseconds */
#define COMMAND_BYTES 64u

/* Stores how to start this program once more. The environment may say it, for programs that the system cannot start by
 * itself, since they are for another processor. */
static const char *own_program(char program[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);
    program[length > 0 ? length : 0] = '\0';
    setenv("ADDCOW_GATE", program, 0);
    return getenv("ADDCOW_GATE");
}

/* Stores the command that starts an engine of this program, or returns the subject's own. */
static const char *command_of(const struct corpus_subject *subject, char command[COMMAND_BYTES])
{
    snprintf(command, COMMAND_BYTES, "exec \"$ADDCOW_GATE\" serve %s", subject->command != NULL ? "" : subject->name);
    return subject->command != NULL ? subject->command : command;
}

static int timeout_of(const struct corpus_subject *subject)
{
    return subject->timeout > 0 ? (int)subject->timeout * 900 : ADAPTER_EXEC_TIMEOUT;
}

bool gate_can_observe(const char *directory, char *why, size_t why_size)
{
    char program[PATH_MAX];
    const struct observed_command how = {
        .observer = own_program(program), .directory = directory, .parent = directory, .timeout = ADAPTER_EXEC_TIMEOUT};
    return observe_is_possible(&how, why, why_size);
}

/* The watch lies in the directory of the case, where only the observer knows it. */
static struct adapter *make_delayed(const struct corpus_subject *subject)
{
    static unsigned made;
    char program[PATH_MAX], command[COMMAND_BYTES], directory[WATCH_PATH_BYTES], path[WATCH_PATH_BYTES + 32];
    if (getcwd(directory, sizeof directory) == NULL) {
        return NULL;
    }
    snprintf(path, sizeof path, "%s/.watch-%u", directory, made++);
    struct watch *watch = watch_map(path, true);
    if (watch == NULL) {
        report_fatal("%s: %s", path, strerror(errno));
    }
    memcpy(watch->directory, directory, sizeof directory);
    watch->reads = true;
    watch->turns = true;
    watch->delay_seed = subject->plan;
    watch->delay_microseconds = DELAY_MAX;
    watch_unmap(watch);
    char *wrapped = observed_wrap(own_program(program), path, command_of(subject, command));
    struct adapter *adapter = adapter_make_exec(wrapped, subject->directory, timeout_of(subject));
    free(wrapped);
    return adapter;
}

void gate_delay(struct corpus_subject *subject)
{
    subject->make_delayed = make_delayed;
    subject->plans = PLANS;
}

void gate_observe_nothing(const char *why, struct gate_observation *observation)
{
    char reason[512];
    snprintf(reason, sizeof reason, "no observer here: %s", why);
    observation->asked = observation->complete = true;
    findings_pass_over(&observation->findings, observe_clauses(), reason);
}

void gate_observe(const struct corpus_subject *subject, const char *scenario, const char *directory, unsigned jobs,
                  int interruption, struct gate_observation *observation)
{
    char program[PATH_MAX], command[COMMAND_BYTES];
    struct observe_options options = {
        .how = {.observer = own_program(program),
                .command = command_of(subject, command),
                .directory = subject->directory,
                .parent = directory,
                .timeout = timeout_of(subject)},
        .abilities = subject->abilities,
        .scenario = scenario,
        .jobs = jobs,
        .interruption = interruption,
    };
    observation->asked = true;
    observation->complete = observe_judge(&options, &observation->counts, &observation->findings);
}

void gate_observe_print(FILE *out, const char *prefix, int code, const char *repeat,
                        const struct gate_observation *observation)
{
    static const char *const conclusions[] = {
        [REPORT_CONFORMS] = "conforms",       [REPORT_DIFFERS] = "does not conform", [REPORT_USAGE] = "not judged",
        [REPORT_CRASHED] = "crashed or hung", [REPORT_INCOMPLETE] = "incomplete",
    };
    if (!observation->asked) {
        return;
    }
    /* If nobody has demanded them, the summary names the claimed ones. */
    findings_print(out, prefix, repeat, observation->required, &observation->findings);
    const struct observe_counts *counts = &observation->counts;
    fprintf(out,
            "%sobserved: %" PRIu64 " scenarios, %" PRIu64 " states after power cuts, %" PRIu64 " deaths, %" PRIu64
            " faults, %" PRIu64 " delay plans%s: %s\n",
            prefix, counts->scenarios, counts->states, counts->deaths, counts->faults, counts->plans,
            observation->complete ? "" : "; not all", conclusions[code]);
}

/* What was found about one clause, as a verdict with its text. */
static enum clause_verdict verdict_on(const struct finding *finding, const char **text)
{
    if (finding->broken > 0) {
        *text = finding->story;
        return CLAUSE_BROKEN;
    }
    *text = finding->kept == 0 && finding->not_judged != NULL ? finding->not_judged : "";
    return finding->kept > 0 ? CLAUSE_KEPT : CLAUSE_NOT_JUDGED;
}

void gate_observe_state(const struct gate_observation *observation, bool applicable, struct corpus_results *results)
{
    bool judged = true;
    bool any = false;
    if (!observation->asked) {
        return;
    }
    for (size_t i = 0; i < observation->findings.count; i++) {
        const char *text;
        const struct finding *finding = &observation->findings.list[i];
        enum clause_verdict verdict = verdict_on(finding, &text);
        clauses_state(results->clauses, GATE_OBSERVER, finding->clause, verdict, NULL, text);
        judged = judged && verdict != CLAUSE_NOT_JUDGED;
        any = any || verdict == CLAUSE_KEPT;
    }
    results->clauses->power_cuts += observation->counts.states;
    results->crashed = results->crashed || observation->findings.crashed;
    bool enough = !observation->required || (applicable ? any : judged);
    results->unobserved = !observation->complete || !enough;
}

json_t *gate_observe_json(const struct gate_observation *observation)
{
    json_t *clauses = json_array();
    for (size_t i = 0; i < observation->findings.count; i++) {
        const struct finding *finding = &observation->findings.list[i];
        const char *text;
        const char *verdict = clause_verdict_name(verdict_on(finding, &text));
        json_array_append_new(clauses,
                              json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "clause", finding->clause, "verdict", verdict,
                                        "kept", (json_int_t)finding->kept, "broken", (json_int_t)finding->broken,
                                        "text", text, "scenario", finding->where));
    }
    const struct observe_counts *counts = &observation->counts;
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "complete", observation->complete, "scenarios",
                     (json_int_t)counts->scenarios, "states", (json_int_t)counts->states, "deaths",
                     (json_int_t)counts->deaths, "faults", (json_int_t)counts->faults, "plans",
                     (json_int_t)counts->plans, "clauses", clauses);
}

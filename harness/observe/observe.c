/*
 * The run of all scenarios.
 *
 * A task is one scenario and one judge. Tasks run in child processes, several at once. A child writes what it found to
 * a pipe; its findings count only if they arrive whole. They are merged in the order of the tasks, so that the report
 * does not depend on who was first.
 */
#include "observe/observe.h"

#include "adapters/adapter_exec.h"
#include "base/clock.h"
#include "base/report.h"
#include "base/scratch.h"
#include "observe/beside.h"
#include "observe/creation.h"
#include "observe/death.h"
#include "observe/faults.h"
#include "observe/held.h"
#include "observe/power_cut.h"
#include "observe/scenario.h"
#include "observe/slow.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64u
#define ORPHAN_MILLISECONDS 5000 /* time limit for the supervisors of killed children */
#define SLOW "slow"              /* the names of the judgements that need no scenario */
#define BESIDE "flushes"
#define CREATION "create"
#define HELD "held"
#define DURABLE_CLAUSES                                                                                                \
    "DUR-01 DUR-02 DUR-03 DUR-04 DUR-05 DUR-06 DUR-07 DUR-08 DUR-09 DUR-10 DUR-11 DUR-12 RSZ-04 RSZ-05 RSZ-07 CMT-03 " \
    "ERR-01 ERR-02 ERR-03 ERR-04 ERR-05"

enum judge {
    JUDGE_POWER_CUT,
    JUDGE_DEATH,
    JUDGE_FAULTS,
    JUDGES,
    JUDGE_SLOW = JUDGES,
    JUDGE_BESIDE,
    JUDGE_CREATION,
    JUDGE_HELD
};

struct task {
    unsigned scenario; /* of JUDGE_SLOW and JUDGE_BESIDE: the part */
    enum judge judge;
    pid_t process; /* 0: not started, or over */
    int pipe;      /* from which its findings are read */
    char *bytes;   /* read so far; owned */
    size_t length;
    bool done;
    struct findings findings;
    struct observe_counts counts;
};

struct session {
    const struct observe_options *options;
    struct task *tasks;
    size_t count;
    size_t next;
    unsigned running;
    bool stopped;
};

/* The name of a task, such as "grow/faults". */
static void task_name(const struct scenario *scenario, unsigned judge, char name[64])
{
    static const char *const judges[JUDGES] = {"power", "death", "faults"};
    snprintf(name, 64, "%s/%s", scenario->name, judges[judge]);
}

/* Whether a task is selected: `wanted` is its name, that of its scenario, or null. */
static bool is_wanted(const struct scenario *scenario, unsigned judge, const char *wanted)
{
    char name[64];
    task_name(scenario, judge, name);
    return wanted == NULL || strcmp(wanted, scenario->name) == 0 || strcmp(wanted, name) == 0;
}

const char *observe_clauses(void)
{
    return DURABLE_CLAUSES " CRE-04 CRE-06 CON-02 CON-04 CON-05 CON-06 CON-07 CON-08 CON-09 CON-11 CON-12 STR-01";
}

void observe_list(FILE *out)
{
    for (unsigned i = 0; i < scenario_count(); i++) {
        struct scenario *scenario = report_allocate(1, sizeof *scenario);
        scenario_make(i, scenario);
        fprintf(out, "%-20s %s\n", scenario->name, scenario->story);
        free(scenario);
    }
    fprintf(out, "%-20s %s\n", SLOW, "concurrent requests while system calls are delayed");
    fprintf(out, "%-20s %s\n", BESIDE, "power cuts beside concurrent flushes and writes, which are delayed");
    fprintf(out, "%-20s %s\n", CREATION, "power cuts and faults during a create");
    fprintf(out, "%-20s %s\n", HELD, "requests beside one whose system call is held");
}

bool observe_is_possible(const struct observed_command *how, char *why, size_t why_size)
{
    struct observed_command trial = *how;
    struct observed *observed = report_allocate(1, sizeof *observed);
    trial.command = "exit 0";
    bool possible = observed_make(&trial, observed);
    if (possible) {
        observed_start(observed, &(struct observed_manner){.records = false});
        possible = atomic_load(&observed->watch->state) == WATCH_RUNNING;
        const char *reason = observed->watch->why;
        snprintf(why, why_size, "%s", possible ? "" : reason[0] != '\0' ? reason : "it does not start");
    } else {
        snprintf(why, why_size, "%s: %s", how->parent, strerror(errno));
    }
    observed_free(observed);
    free(observed);
    return possible;
}

/* ---- In a child ---- */

/* Whether programs can be observed here. If not, all clauses are passed over. */
static bool is_possible(struct observed *observed, struct findings *findings)
{
    observed_start(observed, &(struct observed_manner){.records = false});
    bool possible = atomic_load(&observed->watch->state) != WATCH_IMPOSSIBLE;
    if (!possible) {
        findings_pass_over(findings, observe_clauses(), observed->watch->why);
    }
    observed_stop(observed);
    return possible;
}

static void judge(const struct task *task, struct observed *observed, const struct scenario *scenario,
                  struct observe_counts *counts, struct findings *findings)
{
    struct crash_counts crashes = {0};
    switch (task->judge) {
    case JUDGE_POWER_CUT:
        power_cut_judge(observed, scenario, &crashes, findings);
        counts->scenarios += crashes.sequences;
        counts->states += crashes.states;
        break;
    case JUDGE_DEATH:
        death_judge(observed, scenario, &counts->deaths, findings);
        break;
    default:
        faults_judge(observed, scenario, &counts->faults, findings);
    }
}

/* Whether a task needs a level that the adapter does not claim. Then its clauses are passed over. */
static bool is_unclaimed(const struct task *task, const struct observe_options *options, struct findings *findings)
{
    char why[128];
    if (task->judge >= JUDGES || options->abilities == NULL || options->abilities->level >= PROTOCOL_DURABLE) {
        return false;
    }
    snprintf(why, sizeof why, "the adapter claims level %s, not durable",
             protocol_level_name(options->abilities->level));
    findings_pass_over(findings, DURABLE_CLAUSES, why);
    return true;
}

/* Judges a scenario, if the adapter can do what that needs. */
static void judge_scenario(const struct task *task, const struct observe_options *options, struct observed *observed,
                           struct observe_counts *counts, struct findings *findings)
{
    struct scenario *scenario = report_allocate(1, sizeof *scenario);
    char why[256];
    scenario_make(task->scenario, scenario);
    scenario_problem(scenario, options->abilities, why, sizeof why);
    if (why[0] != '\0') {
        findings_pass_over(findings, scenario->clauses, why);
    } else {
        judge(task, observed, scenario, counts, findings);
    }
    free(scenario);
}

/* Does a task, and writes what it found to `out`. */
static void do_task(const struct task *task, const struct observe_options *options, FILE *out)
{
    struct findings findings = {.count = 0};
    struct observe_counts counts = {0};
    struct crash_counts crashes = {0};
    struct observed *observed = report_allocate(1, sizeof *observed);
    if (!observed_make(&options->how, observed)) {
        report_fatal("%s: %s", options->how.parent, strerror(errno));
    }
    if (is_unclaimed(task, options, &findings) || !is_possible(observed, &findings)) {
        /* They have said so. */
    } else if (task->judge == JUDGE_SLOW) {
        slow_judge(observed, task->scenario, &counts.plans, &findings);
    } else if (task->judge == JUDGE_BESIDE) {
        beside_judge(observed, task->scenario, &counts.plans, &crashes, &findings);
    } else if (task->judge == JUDGE_CREATION) {
        creation_judge(observed, &counts.faults, &crashes, &findings);
    } else if (task->judge == JUDGE_HELD) {
        held_judge(observed, &counts.plans, &findings);
    } else {
        judge_scenario(task, options, observed, &counts, &findings);
    }
    observed_stop(observed);
    char stray[WATCH_NAME_BYTES];
    if (observed_has_stray(observed, stray)) {
        fprintf(stderr, "gate: the implementation wrote outside of the directory of its disk: ../%s\n", stray);
        findings.crashed = true;
    }
    observed_free(observed);
    counts.states += crashes.states;
    fwrite(&counts, sizeof counts, 1, out);
    findings_write(out, &findings);
    findings_free(&findings);
    free(observed);
}

_Noreturn static void child(const struct task *task, const struct observe_options *options, int pipe_end, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    FILE *out = getppid() == parent ? fdopen(pipe_end, "w") : NULL;
    if (out == NULL) {
        _exit(1);
    }
    do_task(task, options, out);
    exit(fclose(out) == 0 ? 0 : 1);
}

/* ---- Tasks ---- */

static void start_task(struct session *session, struct task *task)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, 0) != 0) {
        report_fatal("no pipe: %s", strerror(errno));
    }
    fflush(NULL);
    task->process = fork();
    if (task->process == 0) {
        close(ends[0]);
        child(task, session->options, ends[1], parent);
    }
    close(ends[1]);
    if (task->process < 0) {
        report_fatal("no process: %s", strerror(errno));
    }
    task->pipe = ends[0];
    session->running++;
}

/* A child has closed its pipe, or is to be killed. */
static void end_task(struct session *session, struct task *task)
{
    int status = 0;
    if (session->stopped) {
        kill(-task->process, SIGKILL);
    }
    close(task->pipe);
    waitpid(task->process, &status, 0);
    task->process = 0;
    task->done = true;
    session->running--;
    FILE *in = task->length > 0 ? fmemopen(task->bytes, task->length, "r") : NULL;
    bool good = in != NULL && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                fread(&task->counts, sizeof task->counts, 1, in) == 1 && findings_read(in, &task->findings);
    if (!good && !session->stopped) {
        findings_pass_over(&task->findings, observe_clauses(), "a judge ended early");
    }
    if (in != NULL) {
        fclose(in);
    }
    free(task->bytes);
}

static void read_findings(struct session *session, struct task *task)
{
    char buffer[4096];
    ssize_t got = read(task->pipe, buffer, sizeof buffer);
    if (got <= 0) {
        end_task(session, task);
        return;
    }
    task->bytes = realloc(task->bytes, task->length + (size_t)got);
    if (task->bytes == NULL) {
        report_fatal("no memory");
    }
    memcpy(task->bytes + task->length, buffer, (size_t)got);
    task->length += (size_t)got;
}

/* The name that selects a task. */
static void name_task(const struct task *task, char name[64])
{
    static const char *const others[] = {
        [JUDGE_SLOW] = SLOW, [JUDGE_BESIDE] = BESIDE, [JUDGE_CREATION] = CREATION, [JUDGE_HELD] = HELD};
    if (task->judge >= JUDGES) {
        snprintf(name, 64, "%s", others[task->judge]);
        return;
    }
    struct scenario *scenario = report_allocate(1, sizeof *scenario);
    scenario_make(task->scenario, scenario);
    task_name(scenario, task->judge, name);
    free(scenario);
}

/* Waits until a child has written something, or the run is interrupted. */
static void wait_for_tasks(struct session *session)
{
    struct pollfd list[JOBS_MAX + 1];
    struct task *owners[JOBS_MAX];
    nfds_t count = 0;
    for (size_t i = 0; i < session->next; i++) {
        if (session->tasks[i].process > 0) {
            owners[count] = &session->tasks[i];
            list[count++] = (struct pollfd){.fd = session->tasks[i].pipe, .events = POLLIN};
        }
    }
    list[count] = (struct pollfd){.fd = session->options->interruption, .events = POLLIN};
    if (poll(list, count + 1, -1) < 0) {
        return;
    }
    session->stopped = session->stopped || list[count].revents != 0;
    for (nfds_t i = 0; i < count; i++) {
        if (session->stopped) {
            end_task(session, owners[i]);
        } else if (list[i].revents != 0) {
            read_findings(session, owners[i]);
        }
    }
}

static void run_tasks(struct session *session)
{
    unsigned jobs = session->options->jobs < JOBS_MAX ? session->options->jobs : JOBS_MAX;
    while (session->running > 0 || (session->next < session->count && !session->stopped)) {
        while (session->running < jobs && session->next < session->count && !session->stopped) {
            start_task(session, &session->tasks[session->next++]);
        }
        report_progress("observed %zu of %zu", session->next - session->running, session->count);
        wait_for_tasks(session);
    }
    report_progress(NULL);
}

/* Adds the tasks of a judgement that needs no scenario, if it is wanted. */
static void list_parts(struct session *session, enum judge judge, const char *name, unsigned parts)
{
    const char *wanted = session->options->scenario;
    for (unsigned part = 0; part < parts && (wanted == NULL || strcmp(wanted, name) == 0); part++) {
        session->tasks[session->count++] = (struct task){.scenario = part, .judge = judge};
    }
}

static void list_tasks(struct session *session)
{
    struct scenario *scenario = report_allocate(1, sizeof *scenario);
    session->tasks =
        report_allocate((uint64_t)scenario_count() * JUDGES + SLOW_PARTS + BESIDE_PARTS + 2, sizeof *session->tasks);
    for (unsigned i = 0; i < scenario_count(); i++) {
        scenario_make(i, scenario);
        for (unsigned judge = 0; judge < JUDGES; judge++) {
            if (is_wanted(scenario, judge, session->options->scenario)) {
                session->tasks[session->count++] = (struct task){.scenario = i, .judge = (enum judge)judge};
            }
        }
    }
    free(scenario);
    list_parts(session, JUDGE_SLOW, SLOW, SLOW_PARTS);
    list_parts(session, JUDGE_BESIDE, BESIDE, BESIDE_PARTS);
    list_parts(session, JUDGE_CREATION, CREATION, 1);
    list_parts(session, JUDGE_HELD, HELD, 1);
}

/* After an interruption: waits for what the killed children had started, and removes what they have left. */
static void clean_up(const char *parent)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t deadline = clock_milliseconds() + ORPHAN_MILLISECONDS;
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0 && clock_milliseconds() < deadline) {
        if (ended == 0) {
            nanosleep(&pause, NULL);
        }
    }
    DIR *list = opendir(parent);
    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
        char path[WATCH_PATH_BYTES];
        int length = snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && length < (int)sizeof path) {
            scratch_remove(path);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}

bool observe_judge(const struct observe_options *options, struct observe_counts *counts, struct findings *findings)
{
    struct session session = {.options = options};
    *findings = (struct findings){.count = 0};
    *counts = (struct observe_counts){0};
    list_tasks(&session);
    run_tasks(&session);
    for (size_t i = 0; i < session.count; i++) {
        struct task *task = &session.tasks[i];
        char name[64];
        name_task(task, name);
        findings_locate(&task->findings, name);
        findings_merge(findings, &task->findings);
        findings_free(&task->findings);
        counts->scenarios += task->counts.scenarios;
        counts->states += task->counts.states;
        counts->deaths += task->counts.deaths;
        counts->faults += task->counts.faults;
        counts->plans += task->counts.plans;
    }
    bool complete = session.count > 0 && !session.stopped;
    if (session.stopped) {
        clean_up(options->how.parent);
    }
    free(session.tasks);
    return complete;
}

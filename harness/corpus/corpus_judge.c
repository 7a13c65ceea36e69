/*
 * Judges conformance cases: each in a child process and a directory of its own, with a time limit, several at once.
 *
 * So an implementation that crashes, hangs or exits fails one case and does not end the run. The child writes its
 * result to a pipe: first a struct outcome, then the explanation. The verdict counts only if the child then exits with
 * 0, so that an error that a sanitizer reports at exit counts too. The child dies when this process dies.
 *
 * A case with requests at once is repeated under delay plans, if the subject can be delayed.
 *
 * A clock on the wall says nothing about an implementation on a busy machine. So a case that hangs is run once more:
 * the loop lets the other cases end, and runs this one alone, with twice the time.
 *
 * Each child has a slot. One loop fills free slots with the next cases, polls the pipes, and checks the deadlines. It
 * reports results in the order of the cases. If a child is killed, the supervisor of its adapter (child.h) kills what
 * the adapter has started. This process, a subreaper, waits for these supervisors before it removes the directories, so
 * that no process writes there any more.
 */
#include "corpus/corpus.h"

#include "base/clock.h"
#include "base/report.h"
#include "base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPLANATION_MAX 65536u   /* bytes; the rest is discarded */
#define ALONE_TIMES 2u           /* the time limit of a case that runs alone, in those of others */
#define POLL_MILLISECONDS 1      /* between two checks whether a child that closed its pipe has ended */
#define ORPHAN_MILLISECONDS 5000 /* time limit for the supervisors of killed children */

/* What a child tells first. */
struct outcome {
    enum corpus_verdict verdict;
    struct corpus_findings findings;
};

/* One child process that runs a case, or a free slot. */
struct slot {
    struct corpus_result *result; /* null: free */
    pid_t process;
    int pipe; /* -1: the child has closed it */
    char directory[PATH_MAX];
    char *output;
    size_t output_size;
    FILE *memory;  /* writes `output` */
    size_t total;  /* bytes received */
    int64_t start; /* milliseconds */
    int64_t deadline;
    unsigned timeout; /* seconds */
};

/* The state of a run. */
struct session {
    const struct corpus_run_options *options;
    struct corpus_result *results;
    bool *done; /* of each result */
    size_t count;
    size_t next;     /* the first case that has not started */
    size_t reported; /* the first case that is not reported */
    struct slot *slots;
    struct pollfd *polled; /* one for each slot, and the interruption */
    size_t working;
    bool *late; /* of each result: the case has hung, and is to run again alone */
    size_t late_count;
    struct corpus_result *alone; /* the case that runs again alone now; or null */
    unsigned hung;               /* cases that have hung twice */
    bool stopped;
    char **deferred; /* directories of killed children, removed at the end */
    size_t deferred_count;
};

/*
 * Runs a case with requests at once again, under each delay plan until it does not pass: on fast storage a race would
 * show by luck only. Each time it has a directory of its own.
 */
static void repeat_delayed(const struct corpus_case *c, const struct corpus_subject *subject, FILE *explanation,
                           struct outcome *outcome)
{
    struct corpus_subject delayed = *subject;
    for (delayed.plan = 1; delayed.plan <= subject->plans && outcome->verdict == CORPUS_PASSED; delayed.plan++) {
        struct corpus_findings before = outcome->findings;
        char name[32];
        snprintf(name, sizeof name, "plan-%u", delayed.plan);
        outcome->verdict = CORPUS_NOT_RUN;
        if (mkdir(name, 0777) == 0 && chdir(name) == 0 && corpus_make_files(c, explanation)) {
            outcome->verdict = corpus_run(c, &delayed, explanation, &outcome->findings);
        }
        outcome->findings.groups += before.groups;
        outcome->findings.interleaved += before.interleaved;
        if (outcome->verdict != CORPUS_PASSED) {
            fprintf(explanation, "This was under delay plan %u.\n", delayed.plan);
        }
        if (chdir("..") != 0) {
            abort();
        }
    }
}

static _Noreturn void child(const struct corpus_case *c, const struct corpus_subject *subject, const char *directory,
                            int pipe_end, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0); /* only the gate handles an interruption from the terminal */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(0);
    }
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    FILE *out = fdopen(pipe_end, "w");
    char *text = NULL;
    size_t size = 0;
    FILE *explanation = open_memstream(&text, &size);
    if (!out || !explanation) {
        abort();
    }
    struct outcome outcome = {.verdict = CORPUS_NOT_RUN};
    if (chdir(directory) == 0 && corpus_make_files(c, explanation) && corpus_drop_rights(c, explanation)) {
        outcome.verdict = corpus_run(c, subject, explanation, &outcome.findings);
        if (corpus_in_flight(c) > 1) {
            repeat_delayed(c, subject, explanation, &outcome);
        }
    }
    fclose(explanation);
    fwrite(&outcome, sizeof outcome, 1, out);
    fputs(text, out);
    free(text);
    fclose(out);
    exit(0);
}

/* ---- One case ---- */

/* Replaces control characters and non-ASCII bytes, which may come from an adapter or a file name. */
static void make_printable(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if ((*c < ' ' && *c != '\n') || *c > '~') {
            *c = '?';
        }
    }
}

static void conclude(struct session *session, struct corpus_result *result, enum corpus_verdict verdict, char *text)
{
    make_printable(text);
    result->verdict = verdict;
    result->text = text;
    session->done[result - session->results] = true;
}

static char *print_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *print_text(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) {
        abort();
    }
    va_end(arguments);
    return text;
}

/* Whether a child has told a valid outcome. An implementation in the same process may have overwritten anything. */
static bool read_outcome(const struct slot *slot, struct outcome *outcome)
{
    if (slot->output_size < sizeof *outcome) {
        return false;
    }
    memcpy(outcome, slot->output, sizeof *outcome);
    bool good = outcome->verdict < CORPUS_VERDICTS && outcome->findings.broken_count <= CORPUS_BROKEN_MAX;
    for (size_t i = 0; good && i < outcome->findings.broken_count; i++) {
        char *clause = outcome->findings.broken[i];
        good = memchr(clause, 0, CLAUSES_ID_SIZE) && protocol_is_clause(clause);
    }
    return good;
}

/* The verdict that follows from the child's output and its exit status. */
static enum corpus_verdict judge_exit(const struct slot *slot, bool in_time, int status, unsigned timeout,
                                      struct corpus_findings *findings, char **text)
{
    struct outcome outcome;
    bool has_verdict = read_outcome(slot, &outcome);
    const char *explanation = has_verdict ? slot->output + sizeof outcome : "";
    if (!in_time) {
        *text = print_text("hung: killed after %u s\n%s", timeout, explanation);
        return CORPUS_HUNG;
    }
    if (WIFSIGNALED(status)) {
        *text = print_text("crashed: %s\n%s", strsignal(WTERMSIG(status)), explanation);
    } else if (WEXITSTATUS(status) != 0 || !has_verdict) {
        *text = print_text("exited with status %d %s\n%s", WEXITSTATUS(status),
                           has_verdict ? "after the last step" : "before the last step", explanation);
    } else {
        *text = print_text("%s", explanation);
        *findings = outcome.findings;
        return outcome.verdict;
    }
    return CORPUS_CRASHED;
}

/* Starts a child. On failure returns false and sets errno. */
static bool start_child(struct slot *slot, const struct corpus_case *c, const struct corpus_subject *subject)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC)) {
        return false;
    }
    fflush(NULL);
    slot->process = fork();
    if (slot->process == 0) {
        close(ends[0]);
        child(c, subject, slot->directory, ends[1], parent);
    }
    close(ends[1]);
    if (slot->process < 0) {
        close(ends[0]);
        return false;
    }
    setpgid(slot->process, slot->process); /* in both processes: either may run first */
    slot->pipe = ends[0];
    slot->total = 0;
    slot->memory = open_memstream(&slot->output, &slot->output_size);
    if (!slot->memory) {
        abort();
    }
    return true;
}

/* Starts a case in the slot, unless the case is not applicable. */
static void begin(struct session *session, struct slot *slot, struct corpus_result *result)
{
    const struct corpus_run_options *options = session->options;
    char *missing = corpus_applies(result->c, options->subject);
    if (missing) {
        conclude(session, result, CORPUS_NOT_APPLICABLE, missing);
        return;
    }
    struct corpus_subject subject = *options->subject;
    unsigned times = session->alone == result ? ALONE_TIMES : 1;
    subject.timeout *= times;
    times *= corpus_in_flight(result->c) > 1 ? 1 + subject.plans : 1;
    bool made = scratch_make(options->directory, result->c->id, slot->directory);
    if (made && start_child(slot, result->c, &subject)) {
        slot->result = result;
        slot->start = clock_milliseconds();
        slot->timeout = options->timeout * times;
        slot->deadline = slot->start + (int64_t)slot->timeout * 1000;
        session->working++;
        return;
    }
    conclude(session, result, CORPUS_NOT_RUN,
             print_text("no %s: %s\n", made ? "process" : "directory", strerror(errno)));
    if (made) {
        rmdir(slot->directory);
    }
}

/* Believes that a case hangs if it was alone. Otherwise keeps it for later. Takes `text`. */
static void handle_hung(struct session *session, struct corpus_result *result, char *text)
{
    if (session->alone == result) {
        session->hung++;
        conclude(session, result, CORPUS_HUNG, text);
        return;
    }
    result->text = text;
    session->late[result - session->results] = true;
    session->late_count++;
}

/* Concludes the case of a child that has ended (in_time), or kills the child. Frees the slot. */
static void end(struct session *session, struct slot *slot, bool in_time)
{
    int status = 0;
    char *text;
    kill(-slot->process, SIGKILL);
    waitpid(slot->process, &status, 0);
    fclose(slot->memory);
    if (slot->pipe >= 0) {
        close(slot->pipe);
    }
    struct corpus_findings findings = {.complete = false};
    enum corpus_verdict verdict = judge_exit(slot, in_time, status, slot->timeout, &findings, &text);
    slot->result->seconds = (double)(clock_milliseconds() - slot->start) / 1000;
    slot->result->findings = findings;
    if (session->stopped && !in_time) {
        verdict = CORPUS_NOT_RUN;
        free(text);
        text = print_text("interrupted\n");
    }
    if (verdict == CORPUS_HUNG) {
        handle_hung(session, slot->result, text);
    } else {
        conclude(session, slot->result, verdict, text);
    }
    session->alone = session->alone == slot->result ? NULL : session->alone;
    free(slot->output);
    if (in_time) {
        scratch_remove(slot->directory);
    } else { /* descendants of the child may still write there */
        session->deferred[session->deferred_count++] = print_text("%s", slot->directory);
    }
    slot->result = NULL;
    session->working--;
}

/* Reads output of the child; closes the pipe at its end. */
static void read_output(struct slot *slot)
{
    char buffer[4096];
    ssize_t got = read(slot->pipe, buffer, sizeof buffer);
    if (got <= 0) {
        close(slot->pipe);
        slot->pipe = -1;
        return;
    }
    if (slot->total + (size_t)got <= EXPLANATION_MAX) {
        fwrite(buffer, 1, (size_t)got, slot->memory);
    }
    slot->total += (size_t)got;
}

static void check_slot(struct session *session, struct slot *slot, bool readable)
{
    siginfo_t info = {.si_pid = 0};
    if (slot->pipe >= 0 && readable) {
        read_output(slot);
    }
    bool ended =
        slot->pipe < 0 && waitid(P_PID, (id_t)slot->process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
    if (ended || session->stopped || clock_milliseconds() >= slot->deadline) {
        end(session, slot, ended);
    }
}

/* ---- All cases ---- */

/* Polls the pipes and the interruption until an event or the next deadline. */
static void wait_for_event(struct session *session)
{
    const struct corpus_run_options *options = session->options;
    int64_t now = clock_milliseconds();
    int64_t timeout = INT_MAX;
    for (unsigned i = 0; i < options->jobs; i++) {
        const struct slot *slot = &session->slots[i];
        session->polled[i] = (struct pollfd){.fd = slot->result ? slot->pipe : -1, .events = POLLIN};
        if (slot->result) {
            int64_t left = slot->pipe < 0 ? POLL_MILLISECONDS : slot->deadline > now ? slot->deadline - now : 0;
            timeout = left < timeout ? left : timeout;
        }
    }
    session->polled[options->jobs] = (struct pollfd){.fd = options->interruption, .events = POLLIN};
    poll(session->polled, options->jobs + 1, session->working && !session->stopped ? (int)timeout : 0);
    if (session->polled[options->jobs].revents) {
        session->stopped = true;
    }
}

/* If cases have hung, starts one of them as soon as no other case runs. True while nothing else may start. */
static bool repeat_late(struct session *session)
{
    for (size_t i = 0; session->late_count > 0 && session->working == 0 && i < session->count; i++) {
        struct corpus_result *result = &session->results[i];
        if (!session->late[i]) {
            continue;
        }
        char *text = result->text;
        session->late[i] = false;
        session->late_count--;
        if (session->stopped) {
            conclude(session, result, CORPUS_NOT_RUN, print_text("interrupted\n"));
        } else if (session->hung >= CORPUS_HUNG_MAX) {
            conclude(session, result, CORPUS_HUNG,
                     print_text("%sIt was not run again alone: %u others have hung then too.\n", text, session->hung));
        } else {
            session->alone = result;
            begin(session, &session->slots[0], result);
            session->alone = session->slots[0].result;
        }
        free(text);
    }
    return session->late_count > 0 || session->alone;
}

static void fill_slots(struct session *session)
{
    if (repeat_late(session)) {
        return;
    }
    for (unsigned i = 0; i < session->options->jobs; i++) {
        while (!session->slots[i].result && session->next < session->count && !session->stopped) {
            begin(session, &session->slots[i], &session->results[session->next++]);
        }
    }
    for (; session->stopped && session->next < session->count; session->next++) {
        conclude(session, &session->results[session->next], CORPUS_NOT_RUN, print_text("interrupted\n"));
    }
}

static void report_results(struct session *session)
{
    const struct corpus_run_options *options = session->options;
    for (; session->reported < session->count && session->done[session->reported]; session->reported++) {
        if (!options->judged(options->context, session->reported)) {
            session->stopped = true;
        }
    }
}

/* Waits for orphaned descendants of killed children; their supervisors end them. */
static void wait_for_orphans(void)
{
    const struct timespec pause = {.tv_nsec = POLL_MILLISECONDS * 1000000};
    int64_t deadline = clock_milliseconds() + ORPHAN_MILLISECONDS;
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0 && clock_milliseconds() < deadline) {
        if (ended == 0) {
            nanosleep(&pause, NULL);
        }
    }
}

void corpus_judge(struct corpus_result *results, size_t count, const struct corpus_run_options *options)
{
    struct session session = {.options = options, .results = results, .count = count};
    session.done = report_allocate(count, sizeof *session.done);
    session.late = report_allocate(count, sizeof *session.late);
    session.deferred = report_allocate(2 * count, sizeof *session.deferred);
    session.slots = report_allocate(options->jobs, sizeof *session.slots);
    session.polled = report_allocate(options->jobs + 1, sizeof *session.polled);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (session.reported < count) {
        fill_slots(&session);
        wait_for_event(&session);
        for (unsigned i = 0; i < options->jobs; i++) {
            if (session.slots[i].result) {
                check_slot(&session, &session.slots[i], session.polled[i].revents != 0);
            }
        }
        report_results(&session);
    }
    wait_for_orphans();
    for (size_t i = 0; i < session.deferred_count; i++) {
        scratch_remove(session.deferred[i]);
        free(session.deferred[i]);
    }
    free(session.deferred);
    free(session.done);
    free(session.late);
    free(session.slots);
    free(session.polled);
}

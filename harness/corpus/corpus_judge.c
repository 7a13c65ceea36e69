/*
 * Judges conformance cases: each in a child process and a directory of its own, with a time limit, several at once.
 *
 * So an implementation that crashes, hangs or exits fails one case and does not end the run. The child writes its
 * result to a pipe: the first byte is the verdict, the rest the explanation. The verdict counts only if the child then
 * exits with 0, so that an error that a sanitizer reports at exit counts too. The child dies when this process dies.
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPLANATION_MAX 65536u   /* bytes; the rest is discarded */
#define POLL_MILLISECONDS 1      /* between two checks whether a child that closed its pipe has ended */
#define ORPHAN_MILLISECONDS 5000 /* time limit for the supervisors of killed children */

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
    bool stopped;
    char **deferred; /* directories of killed children, removed at the end */
    size_t deferred_count;
};

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
    enum corpus_verdict verdict = CORPUS_NOT_RUN;
    if (chdir(directory) == 0 && corpus_make_files(c, explanation)) {
        verdict = corpus_run(c, subject, explanation);
    }
    fclose(explanation);
    fputc('0' + (int)verdict, out);
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

/* The verdict that follows from the child's output and its exit status. */
static enum corpus_verdict judge_exit(const char *output, bool in_time, int status, unsigned timeout, char **text)
{
    bool has_verdict = output[0] >= '0' && output[0] <= '0' + CORPUS_NOT_RUN;
    const char *explanation = has_verdict ? output + 1 : "";
    if (!in_time) {
        *text = print_text("hung: killed after %u s\n%s", timeout, explanation);
    } else if (WIFSIGNALED(status)) {
        *text = print_text("crashed: %s\n%s", strsignal(WTERMSIG(status)), explanation);
    } else if (WEXITSTATUS(status) != 0 || !has_verdict) {
        *text = print_text("exited with status %d %s\n%s", WEXITSTATUS(status),
                           has_verdict ? "after the last step" : "before the last step", explanation);
    } else {
        *text = print_text("%s", explanation);
        return (enum corpus_verdict)(output[0] - '0');
    }
    return CORPUS_CRASHED;
}

/* Starts a child. On failure returns false and sets errno. */
static bool start_child(struct session *session, struct slot *slot, const struct corpus_case *c)
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
        child(c, session->options->subject, slot->directory, ends[1], parent);
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
    bool made = scratch_make(options->directory, result->c->id, slot->directory);
    if (made && start_child(session, slot, result->c)) {
        slot->result = result;
        slot->start = clock_milliseconds();
        slot->deadline = slot->start + (int64_t)options->timeout * 1000;
        session->working++;
        return;
    }
    conclude(session, result, CORPUS_NOT_RUN,
             print_text("no %s: %s\n", made ? "process" : "directory", strerror(errno)));
    if (made) {
        rmdir(slot->directory);
    }
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
    enum corpus_verdict verdict = judge_exit(slot->output, in_time, status, session->options->timeout, &text);
    slot->result->seconds = (double)(clock_milliseconds() - slot->start) / 1000;
    if (session->stopped && !in_time) {
        verdict = CORPUS_NOT_RUN;
        free(text);
        text = print_text("interrupted\n");
    }
    conclude(session, slot->result, verdict, text);
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

static void fill_slots(struct session *session)
{
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
    session.deferred = report_allocate(count, sizeof *session.deferred);
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
    free(session.slots);
    free(session.polled);
}

/*
 * Judges conformance cases from a safe distance: each in a child process, in a directory of its own, with a limit on
 * time, several at once.
 *
 * So an implementation that crashes, hangs or exits is a verdict on one case and not the end of the run. The child says
 * what it found through a pipe: the first byte is the verdict, the rest the explanation. Only a child that has spoken
 * *and* then exits with 0 is believed, so that what a sanitizer finds at exit counts too. It dies when this process
 * does.
 *
 * Each child has a slot. One loop fills free slots with the next cases, polls the pipes, and looks at the clock;
 * verdicts are handed on in the order of the cases, whatever the order in which they come. What a killed child has
 * started is killed by its keeper (child.h), which is waited for: this process adopts it. So at the end there is nobody
 * who might still write where this process cleans up.
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

#define EXPLANATION_MAX 65536u /* bytes; a child that says more is cut off */
#define LOOK 1                 /* milliseconds between two looks at whether a child that has spoken has ended */
#define ORPHANS 5000           /* milliseconds in which what a killed child has started must have gone */

/* A child at work on a case, or place for one. */
struct slot {
    struct corpus_result *result; /* null: free */
    pid_t process;
    int pipe; /* -1: it has spoken */
    char directory[PATH_MAX];
    char *said;
    size_t said_size;
    FILE *memory; /* writes `said` */
    size_t total;
    int64_t start;
    int64_t deadline;
};

/* The run: who is being judged how, and how far it is. */
struct session {
    const struct corpus_run_options *manner;
    struct corpus_result *results;
    bool *done; /* of each result */
    size_t count;
    size_t next; /* the first that has no slot yet */
    size_t told; /* the first that was not handed on yet */
    struct slot *slots;
    struct pollfd *polled; /* of each slot, and of what interrupts */
    size_t working;
    bool stopped;
    char **late; /* directories of children that were killed */
    size_t late_count;
};

static _Noreturn void child(const struct corpus_case *c, const struct corpus_subject *subject, const char *directory,
                            int pipe_end, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0); /* an interruption from the terminal is for the gate */
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

/* What an adapter or a file name has put there must neither reach a terminal nor spoil a report. */
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

/* What the child's last words and the way it ended amount to. */
static enum corpus_verdict weigh(const char *said, bool in_time, int status, unsigned timeout, char **text)
{
    bool spoke = said[0] >= '0' && said[0] <= '0' + CORPUS_NOT_RUN;
    const char *explanation = spoke ? said + 1 : "";
    if (!in_time) {
        *text = print_text("hung: killed after %u s\n%s", timeout, explanation);
    } else if (WIFSIGNALED(status)) {
        *text = print_text("crashed: %s\n%s", strsignal(WTERMSIG(status)), explanation);
    } else if (WEXITSTATUS(status) != 0 || !spoke) {
        *text = print_text("exited with status %d %s\n%s", WEXITSTATUS(status),
                           spoke ? "after the last step" : "in the middle", explanation);
    } else {
        *text = print_text("%s", explanation);
        return (enum corpus_verdict)(said[0] - '0');
    }
    return CORPUS_CRASHED;
}

/* Starts a child. False, with errno, if there is none to be had. */
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
        child(c, session->manner->subject, slot->directory, ends[1], parent);
    }
    close(ends[1]);
    if (slot->process < 0) {
        close(ends[0]);
        return false;
    }
    setpgid(slot->process, slot->process); /* whichever of the two comes first */
    slot->pipe = ends[0];
    slot->total = 0;
    slot->memory = open_memstream(&slot->said, &slot->said_size);
    if (!slot->memory) {
        abort();
    }
    return true;
}

/* Gives the slot a case, unless that is judged without a child. */
static void begin(struct session *session, struct slot *slot, struct corpus_result *result)
{
    const struct corpus_run_options *manner = session->manner;
    char *missing = corpus_applies(result->c, manner->subject);
    if (missing) {
        conclude(session, result, CORPUS_NOT_APPLICABLE, missing);
        return;
    }
    bool made = scratch_make(manner->directory, result->c->id, slot->directory);
    if (made && start_child(session, slot, result->c)) {
        slot->result = result;
        slot->start = clock_milliseconds();
        slot->deadline = slot->start + (int64_t)manner->timeout * 1000;
        session->working++;
        return;
    }
    conclude(session, result, CORPUS_NOT_RUN,
             print_text("no %s: %s\n", made ? "process" : "directory", strerror(errno)));
    if (made) {
        rmdir(slot->directory);
    }
}

/* Frees the slot of a child that has ended by itself, or ends it. */
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
    enum corpus_verdict verdict = weigh(slot->said, in_time, status, session->manner->timeout, &text);
    slot->result->seconds = (double)(clock_milliseconds() - slot->start) / 1000;
    if (session->stopped && !in_time) {
        verdict = CORPUS_NOT_RUN;
        free(text);
        text = print_text("interrupted\n");
    }
    conclude(session, slot->result, verdict, text);
    free(slot->said);
    if (in_time) {
        scratch_remove(slot->directory);
    } else { /* what the child has started may still write there for a moment */
        session->late[session->late_count++] = print_text("%s", slot->directory);
    }
    slot->result = NULL;
    session->working--;
}

/* Reads what the child says until it closes the pipe. */
static void listen_to(struct slot *slot)
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

static void attend(struct session *session, struct slot *slot, bool readable)
{
    siginfo_t info = {.si_pid = 0};
    if (slot->pipe >= 0 && readable) {
        listen_to(slot);
    }
    bool ended =
        slot->pipe < 0 && waitid(P_PID, (id_t)slot->process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
    if (ended || session->stopped || clock_milliseconds() >= slot->deadline) {
        end(session, slot, ended);
    }
}

/* ---- All cases ---- */

/* Sleeps until something has happened. */
static void sleep_until_something(struct session *session)
{
    const struct corpus_run_options *manner = session->manner;
    int64_t now = clock_milliseconds();
    int64_t patience = INT_MAX;
    for (unsigned i = 0; i < manner->jobs; i++) {
        const struct slot *slot = &session->slots[i];
        session->polled[i] = (struct pollfd){.fd = slot->result ? slot->pipe : -1, .events = POLLIN};
        if (slot->result) {
            int64_t left = slot->pipe < 0 ? LOOK : slot->deadline > now ? slot->deadline - now : 0;
            patience = left < patience ? left : patience;
        }
    }
    session->polled[manner->jobs] = (struct pollfd){.fd = manner->interruption, .events = POLLIN};
    poll(session->polled, manner->jobs + 1, session->working && !session->stopped ? (int)patience : 0);
    if (session->polled[manner->jobs].revents) {
        session->stopped = true;
    }
}

static void fill_slots(struct session *session)
{
    for (unsigned i = 0; i < session->manner->jobs; i++) {
        while (!session->slots[i].result && session->next < session->count && !session->stopped) {
            begin(session, &session->slots[i], &session->results[session->next++]);
        }
    }
    for (; session->stopped && session->next < session->count; session->next++) {
        conclude(session, &session->results[session->next], CORPUS_NOT_RUN, print_text("interrupted\n"));
    }
}

static void hand_on(struct session *session)
{
    const struct corpus_run_options *manner = session->manner;
    for (; session->told < session->count && session->done[session->told]; session->told++) {
        if (!manner->judged(manner->context, session->told)) {
            session->stopped = true;
        }
    }
}

/* Waits for those who lost their parent; their own keepers end them. */
static void wait_for_orphans(void)
{
    const struct timespec pause = {.tv_nsec = LOOK * 1000000};
    int64_t deadline = clock_milliseconds() + ORPHANS;
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0 && clock_milliseconds() < deadline) {
        if (ended == 0) {
            nanosleep(&pause, NULL);
        }
    }
}

void corpus_judge(struct corpus_result *results, size_t count, const struct corpus_run_options *manner)
{
    struct session session = {.manner = manner, .results = results, .count = count};
    session.done = report_allocate(count, sizeof *session.done);
    session.late = report_allocate(count, sizeof *session.late);
    session.slots = report_allocate(manner->jobs, sizeof *session.slots);
    session.polled = report_allocate(manner->jobs + 1, sizeof *session.polled);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (session.told < count) {
        fill_slots(&session);
        sleep_until_something(&session);
        for (unsigned i = 0; i < manner->jobs; i++) {
            if (session.slots[i].result) {
                attend(&session, &session.slots[i], session.polled[i].revents != 0);
            }
        }
        hand_on(&session);
    }
    wait_for_orphans();
    for (size_t i = 0; i < session.late_count; i++) {
        scratch_remove(session.late[i]);
        free(session.late[i]);
    }
    free(session.late);
    free(session.done);
    free(session.slots);
    free(session.polled);
}

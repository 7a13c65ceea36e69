/*
 * Judges a conformance case from a safe distance: in a child process, in a directory of its own, with a limit on time.
 *
 * So an implementation that crashes, hangs or exits is a verdict on one case and not the end of the run. The child says what it found through a pipe: the
 * first byte is the verdict, the rest the explanation. Only a child that has spoken *and* then exits with 0 is believed, so that what a sanitizer finds at
 * exit counts too. The child leads a process group, which is killed as a whole.
 */
#include "corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPLANATION_MAX 65536u /* bytes; a child that says more is cut off */

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

/* The operation of an adapter that a step asks for; PROTOCOL_HELLO: none. */
static enum protocol_operation operation_of(enum corpus_op op)
{
    for (unsigned operation = PROTOCOL_OPEN; operation < PROTOCOL_OPERATIONS; operation++)
        if (!strcmp(protocol_operation_name((enum protocol_operation)operation), corpus_op_name(op)))
            return (enum protocol_operation)operation;
    return PROTOCOL_HELLO;
}

/* Whether all offsets, lengths and sizes of the requests are multiples of `granularity`. */
static bool is_granular(const struct corpus_case *c, unsigned granularity)
{
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        bool sized = step->op == CORPUS_SIZE || step->op == CORPUS_RESIZE;
        bool request = step->op >= CORPUS_READ && step->op <= CORPUS_MAP;
        if ((sized && step->size % granularity) ||
            (request && (step->offset % granularity || step->length % granularity)))
            return false;
    }
    return true;
}

/* How many requests the case has in flight at once. */
static unsigned together_of(const struct corpus_case *c)
{
    unsigned together = 0, most = 0;
    for (size_t i = 0; i < c->step_count; i++) {
        together = c->steps[i].beside ? together + 1 : 1;
        most = together > most ? together : most;
    }
    return most;
}

static unsigned level_of(const struct corpus_case *c)
{
    unsigned level = 0;
    while (strncmp(c->level, protocol_level_name((enum protocol_level)level), strcspn(c->level, " ")))
        level++;
    return level;
}

bool corpus_applies(const struct corpus_case *c, const struct corpus_subject *subject, FILE *out)
{
    const struct protocol_abilities *abilities = subject->abilities;
    unsigned unclaimed = 0;
    char list[512] = "";
    size_t used = 0;
    for (unsigned need = 1; corpus_need_name(need); need <<= 1)
        if (c->needs & subject->cannot & need)
            used += (size_t)snprintf(list + used, sizeof list - used, " %s", corpus_need_name(need));
    for (size_t i = 0; abilities && i < c->step_count; i++) {
        enum protocol_operation operation = operation_of(c->steps[i].op);
        if (operation != PROTOCOL_HELLO && !(abilities->operations & 1u << operation) &&
            !(unclaimed & 1u << operation)) {
            unclaimed |= 1u << operation;
            used += (size_t)snprintf(list + used, sizeof list - used, " %s", protocol_operation_name(operation));
        }
    }
    if (abilities && !is_granular(c, abilities->granularity))
        used += (size_t)snprintf(list + used, sizeof list - used, " granularity 1");
    if (abilities && together_of(c) > abilities->concurrency)
        used += (size_t)snprintf(list + used, sizeof list - used, " concurrency %u", together_of(c));
    if (abilities && level_of(c) > abilities->level)
        used += (size_t)snprintf(list + used, sizeof list - used, " level %s", c->level);
    if (used && out)
        fprintf(out, "not applicable to %s, which does not claim%s\n", subject->name, list);
    return !used;
}

static _Noreturn void child(const struct corpus_case *c, const struct corpus_subject *subject, const char *directory,
                            int pipe_end)
{
    setpgid(0, 0);
    FILE *out = fdopen(pipe_end, "w");
    char *text = NULL;
    size_t size = 0;
    FILE *explanation = open_memstream(&text, &size);
    if (!out || !explanation)
        abort();
    enum corpus_verdict verdict = CORPUS_NOT_RUN;
    if (chdir(directory) == 0 && corpus_make_files(c, explanation))
        verdict = corpus_run(c, subject, explanation);
    fclose(explanation);
    fputc('0' + (int)verdict, out);
    fputs(text, out);
    free(text);
    fclose(out);
    exit(0);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads what the child says until it closes the pipe; false if time runs out first. */
static bool listen_to(int pipe_end, int64_t deadline, FILE *said)
{
    for (size_t total = 0;;) {
        int64_t left = deadline - milliseconds();
        struct pollfd poller = {.fd = pipe_end, .events = POLLIN};
        int ready = left > 0 ? poll(&poller, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        char buffer[4096];
        ssize_t got = read(pipe_end, buffer, sizeof buffer);
        if (got <= 0)
            return true;
        if (total + (size_t)got <= EXPLANATION_MAX)
            fwrite(buffer, 1, (size_t)got, said);
        total += (size_t)got;
    }
}

/* Waits for the child's end until the deadline, then kills it with its group. True if it ended by itself. */
static bool wait_for(pid_t pid, int64_t deadline, int *status)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    pid_t ended;
    while ((ended = waitpid(pid, status, WNOHANG)) == 0 && milliseconds() < deadline)
        nanosleep(&pause, NULL);
    kill(-pid, SIGKILL);
    if (ended == pid)
        return true;
    kill(pid, SIGKILL);
    waitpid(pid, status, 0);
    return false;
}

/* What the child's last words and the way it ended amount to. */
static enum corpus_verdict conclude(const char *said, bool in_time, int status, unsigned timeout, FILE *out)
{
    bool spoke = said[0] >= '0' && said[0] <= '0' + CORPUS_NOT_RUN;
    if (!in_time)
        fprintf(out, "hung: killed after %u s\n", timeout);
    else if (WIFSIGNALED(status))
        fprintf(out, "crashed: %s\n", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0 || !spoke)
        fprintf(out, "exited with status %d %s\n", WEXITSTATUS(status),
                spoke ? "after the last step" : "in the middle");
    else {
        fputs(said + 1, out);
        return (enum corpus_verdict)(said[0] - '0');
    }
    if (spoke)
        fputs(said + 1, out);
    return CORPUS_CRASHED;
}

static enum corpus_verdict judge_in_child(const struct corpus_case *c, const struct corpus_subject *subject,
                                          const char *directory, unsigned timeout, FILE *out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) {
        fprintf(out, "no pipe: %s\n", strerror(errno));
        return CORPUS_NOT_RUN;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        fclose(out); /* the parent's; what the child does not need would look like a leak of the implementation */
        child(c, subject, directory, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        fprintf(out, "no process: %s\n", strerror(errno));
        return CORPUS_NOT_RUN;
    }
    char *said = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&said, &size);
    if (!memory)
        abort();
    int64_t deadline = milliseconds() + (int64_t)timeout * 1000;
    int status = 0;
    bool in_time = listen_to(ends[0], deadline, memory);
    in_time = wait_for(pid, in_time ? deadline : 0, &status) && in_time;
    fclose(memory);
    close(ends[0]);
    enum corpus_verdict verdict = conclude(said, in_time, status, timeout, out);
    free(said);
    return verdict;
}

enum corpus_verdict corpus_judge(const struct corpus_case *c, const struct corpus_subject *subject,
                                 const char *directory, unsigned timeout, char **text)
{
    size_t size = 0;
    *text = NULL;
    FILE *out = open_memstream(text, &size);
    if (!out)
        abort();
    enum corpus_verdict verdict = CORPUS_NOT_RUN;
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s.XXXXXX", directory, c->id);
    if (!corpus_applies(c, subject, out)) {
        verdict = CORPUS_NOT_APPLICABLE;
    } else if (length < 0 || length >= PATH_MAX || !mkdtemp(path)) {
        fprintf(out, "no directory below %s: %s\n", directory, strerror(errno));
    } else {
        verdict = judge_in_child(c, subject, path, timeout, out);
        nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
    fclose(out);
    return verdict;
}

/*
 * A child process that nobody trusts.
 *
 * All descriptors of this process are closed in it but the three pipes. Its standard error is read, or it would block,
 * and all but the end of it forgotten.
 *
 * It may start others, which must go when it goes, and all must go when this process does, even by SIGKILL. No process
 * can see to that for itself, so a keeper stands between: a fork of this process that waits for the end of the child or
 * for SIGTERM, which it gets from child_end, or from the system when this process dies. Then it kills the child's
 * process group; whoever has left the group becomes a child of the keeper when its own parent dies, and is killed as
 * such. When all are gone the keeper writes down how the child ended, and goes too.
 */
#include "adapters/child.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE 2 /* milliseconds between two looks at whether the process has ended */

#define ROUNDS 1000 /* in which the keeper kills those who left the group: who forks faster than that may escape */

enum { READ_END, WRITE_END };
enum { INPUT, OUTPUT, ERRORS, STATUS, PIPES };

/* After fork, in a process that may have had many threads: only async-signal-safe calls. */
_Noreturn static void become(const char *command, const char *directory, pid_t keeper, int pipes[PIPES][2])
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == keeper && chdir(directory) == 0 && dup2(pipes[INPUT][READ_END], STDIN_FILENO) >= 0 &&
        dup2(pipes[OUTPUT][WRITE_END], STDOUT_FILENO) >= 0 && dup2(pipes[ERRORS][WRITE_END], STDERR_FILENO) >= 0) {
        close_range(STDERR_FILENO + 1, ~0u, 0);
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    }
    _exit(127);
}

static bool has_ended(pid_t process)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Kills the children that this process has got. Whether there was one. */
static bool kill_children(void)
{
    char list[4096];
    int file = open("/proc/thread-self/children", O_RDONLY);
    ssize_t length = file >= 0 ? read(file, list, sizeof list) : 0;
    bool any = false;
    pid_t process = 0;
    if (file >= 0) {
        close(file);
    }
    for (ssize_t i = 0; i < length; i++) {
        if (list[i] != ' ') {
            process = process * 10 + (list[i] - '0');
        } else {
            kill(process, SIGKILL);
            waitpid(process, NULL, 0);
            process = 0;
            any = true;
        }
    }
    return any;
}

/* Waits until the child has ended or has to end, and leaves nothing of it. After fork, as above. */
_Noreturn static void keep(const char *command, const char *directory, pid_t parent, int pipes[PIPES][2])
{
    sigset_t awaited;
    sigfillset(&awaited);
    sigprocmask(SIG_SETMASK, &awaited, NULL);
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGCHLD);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t keeper = getpid();
    int status = 127 << 8;
    pid_t process = fork();
    if (process == 0) {
        become(command, directory, keeper, pipes);
    }
    dup2(pipes[STATUS][WRITE_END], STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0u, 0);
    if (process > 0) {
        setpgid(process, process); /* whichever of the two comes first */
        bool end = getppid() != parent;
        while (!end && !has_ended(process)) {
            end = sigwaitinfo(&awaited, NULL) == SIGTERM;
        }
        /* The group before the process is waited for: until then nobody else can have its number. */
        kill(-process, SIGKILL);
        waitpid(process, &status, 0);
        for (int i = 0; i < ROUNDS && kill_children(); i++) {
        }
    }
    bool written =
        write(STDIN_FILENO, &status, sizeof status) == (ssize_t)sizeof status; /* or nobody is there to read it */
    /* What looks for leaks at the end of a process must not look at half a process: so it ends as another one. */
    execl("/bin/sh", "sh", "-c", written ? ":" : "false", (char *)NULL);
    _exit(1);
}

static void close_both(const int ends[2])
{
    if (ends[READ_END] >= 0) {
        close(ends[READ_END]);
        close(ends[WRITE_END]);
    }
}

static bool make_pipes(int pipes[PIPES][2])
{
    bool good = true;
    for (int i = 0; i < PIPES; i++) {
        pipes[i][READ_END] = -1;
        good = good && pipe2(pipes[i], O_CLOEXEC) == 0;
    }
    return good;
}

bool child_start(struct child *child, const char *command, const char *directory, char *why, size_t why_size)
{
    int pipes[PIPES][2];
    pid_t parent = getpid();
    child->words_length = 0;
    child->keeper = make_pipes(pipes) ? fork() : -1;
    if (child->keeper == 0) {
        keep(command, directory, parent, pipes);
    }
    if (child->keeper < 0) {
        snprintf(why, why_size, "a process cannot be started: %s", strerror(errno));
        for (int i = 0; i < PIPES; i++) {
            close_both(pipes[i]);
        }
        return false;
    }
    close(pipes[INPUT][READ_END]);
    close(pipes[OUTPUT][WRITE_END]);
    close(pipes[ERRORS][WRITE_END]);
    close(pipes[STATUS][WRITE_END]);
    child->input = pipes[INPUT][WRITE_END];
    child->output = pipes[OUTPUT][READ_END];
    child->errors = pipes[ERRORS][READ_END];
    child->status = pipes[STATUS][READ_END];
    fcntl(child->input, F_SETFL, O_NONBLOCK);
    fcntl(child->output, F_SETFL, O_NONBLOCK);
    fcntl(child->errors, F_SETFL, O_NONBLOCK);
    return true;
}

/* Appends to the last words, forgetting as many of the first ones as it takes. */
static void keep_words(struct child *child, const char *bytes, size_t length)
{
    if (length > CHILD_WORDS_MAX) {
        bytes += length - CHILD_WORDS_MAX;
        length = CHILD_WORDS_MAX;
    }
    size_t room = CHILD_WORDS_MAX - length;
    if (child->words_length > room) {
        memmove(child->words, child->words + child->words_length - room, room);
        child->words_length = room;
    }
    memcpy(child->words + child->words_length, bytes, length);
    child->words_length += length;
}

void child_drain_errors(struct child *child)
{
    char buffer[4096];
    if (child->errors < 0) {
        return;
    }
    /* Bounded: whoever floods shall not keep the caller here. */
    for (int i = 0; i < 64; i++) {
        ssize_t count = read(child->errors, buffer, sizeof buffer);
        if (count > 0) {
            keep_words(child, buffer, (size_t)count);
        } else if (count == 0 || errno != EINTR) {
            if (count == 0 || errno != EAGAIN) {
                close(child->errors);
                child->errors = -1;
            }
            return;
        }
    }
}

void child_close_input(struct child *child)
{
    if (child->input >= 0) {
        close(child->input);
        child->input = -1;
    }
}

bool child_has_ended(const struct child *child)
{
    return has_ended(child->keeper);
}

bool child_wait(struct child *child, int milliseconds)
{
    int64_t deadline = clock_milliseconds() + milliseconds;
    char buffer[4096];
    while (!child_has_ended(child)) {
        struct pollfd list[] = {{.fd = child->output, .events = POLLIN}, {.fd = child->errors, .events = POLLIN}};
        if (clock_milliseconds() >= deadline) {
            return false;
        }
        if (poll(list, 2, PAUSE) > 0) {
            if (list[0].revents != 0 && read(child->output, buffer, sizeof buffer) == 0) {
                close(child->output);
                child->output = -1;
            }
            child_drain_errors(child);
        }
    }
    return true;
}

void child_end(struct child *child, char *how, size_t how_size)
{
    bool running = !child_has_ended(child);
    int status;
    kill(child->keeper, SIGTERM);
    while (waitpid(child->keeper, NULL, 0) < 0 && errno == EINTR) {
    }
    bool known = read(child->status, &status, sizeof status) == (ssize_t)sizeof status;
    close(child->status);
    if (running || !known) {
        snprintf(how, how_size, "%s", running ? "had to be killed" : "was killed by somebody else");
    } else if (WIFSIGNALED(status)) {
        snprintf(how, how_size, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        snprintf(how, how_size, "exited with status %d", WEXITSTATUS(status));
    }
    child_drain_errors(child);
    child_close_input(child);
    if (child->output >= 0) {
        close(child->output);
    }
    if (child->errors >= 0) {
        close(child->errors);
    }
}

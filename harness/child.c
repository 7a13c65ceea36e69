/*
 * A child process that nobody trusts.
 *
 * It leads a process group of its own, so that what it starts can be killed with it, and it is waited for, so that no
 * zombie stays. All descriptors of this process are closed in it but the three pipes. Its standard error is read, or it
 * would block, and all but the end of it forgotten.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE 2 /* milliseconds between two looks at whether the process has ended */

enum { READ_END, WRITE_END };

/* After fork, in a process that may have had many threads: only async-signal-safe calls. */
_Noreturn static void become(const char *command, const char *directory, pid_t parent, int input, int output,
                             int errors)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && chdir(directory) == 0 && dup2(input, STDIN_FILENO) >= 0 &&
        dup2(output, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0) {
        close_range(STDERR_FILENO + 1, ~0u, 0);
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    }
    _exit(127);
}

static void close_both(const int ends[2])
{
    if (ends[READ_END] >= 0) {
        close(ends[READ_END]);
        close(ends[WRITE_END]);
    }
}

static bool fork_child(struct child *child, const char *command, const char *directory, int pipes[3][2])
{
    pid_t parent = getpid();
    child->process = fork();
    if (child->process == 0) {
        become(command, directory, parent, pipes[0][READ_END], pipes[1][WRITE_END], pipes[2][WRITE_END]);
    }
    if (child->process < 0) {
        return false;
    }
    setpgid(child->process, child->process); /* whichever of the two comes first */
    return true;
}

bool child_start(struct child *child, const char *command, const char *directory, char *why, size_t why_size)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    child->words_length = 0;
    bool started = pipe2(pipes[0], O_CLOEXEC) == 0 && pipe2(pipes[1], O_CLOEXEC) == 0 &&
                   pipe2(pipes[2], O_CLOEXEC) == 0 && fork_child(child, command, directory, pipes);
    if (!started) {
        snprintf(why, why_size, "a process cannot be started: %s", strerror(errno));
        for (int i = 0; i < 3; i++) {
            close_both(pipes[i]);
        }
        return false;
    }
    close(pipes[0][READ_END]);
    close(pipes[1][WRITE_END]);
    close(pipes[2][WRITE_END]);
    child->input = pipes[0][WRITE_END];
    child->output = pipes[1][READ_END];
    child->errors = pipes[2][READ_END];
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

static long long now_in_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

bool child_has_ended(const struct child *child)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child->process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

bool child_wait(struct child *child, int milliseconds)
{
    long long deadline = now_in_milliseconds() + milliseconds;
    char buffer[4096];
    while (!child_has_ended(child)) {
        struct pollfd list[] = {{.fd = child->output, .events = POLLIN}, {.fd = child->errors, .events = POLLIN}};
        if (now_in_milliseconds() >= deadline) {
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
    int status = 0;
    /* The group before the process is waited for: until then nobody else can have its number. */
    kill(-child->process, SIGKILL);
    kill(child->process, SIGKILL);
    while (waitpid(child->process, &status, 0) < 0 && errno == EINTR) {
    }
    if (running) {
        snprintf(how, how_size, "had to be killed");
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

/*
 * An untrusted child process.
 *
 * The child inherits no descriptor except its three standard streams. Its standard error is read continuously, so that
 * it never blocks on it; only the end is kept.
 *
 * Descendants of the child must end with the child, and all must end with this process, even if SIGKILL ends it. A
 * supervisor ensures that. It is a fork of this process, which waits for the end of the child or for SIGTERM. child_end
 * sends SIGTERM, and so does the kernel when this process dies. Then the supervisor kills the child's process group. A
 * descendant that has left the group is reparented to the supervisor (PR_SET_CHILD_SUBREAPER), which kills it. At last
 * the supervisor writes the child's exit status to a pipe and exits.
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
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MILLISECONDS 2 /* between two checks whether the process has ended */

/* Bounds the killing of processes that left the group. A process that forks faster may escape. */
#define KILL_ROUNDS_MAX 1000

#define DESCRIPTORS_MAX (1 << 20)

#define SHELL_SIGNAL 128 /* a shell exits with this and the number of the signal of which its command died */

enum { READ_END, WRITE_END };
enum { INPUT, OUTPUT, ERRORS, STATUS, PIPES };

/* Closes all descriptors from `first` on. */
static void close_from(int first)
{
#ifdef SYS_close_range /* some C libraries do not have the function */
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0) {
        return;
    }
#endif
    /* An old kernel or an emulator does not know the call. Such a kernel has no more descriptors by default. */
    struct rlimit limit;
    int end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_MAX ? (int)limit.rlim_cur
                                                                                        : DESCRIPTORS_MAX;
    for (int descriptor = first; descriptor < end; descriptor++) {
        close(descriptor);
    }
}

/* After fork, in a process that may have had many threads: only async-signal-safe calls. */
_Noreturn static void exec_command(const char *command, const char *directory, pid_t supervisor, int pipes[PIPES][2])
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == supervisor && chdir(directory) == 0 && dup2(pipes[INPUT][READ_END], STDIN_FILENO) >= 0 &&
        dup2(pipes[OUTPUT][WRITE_END], STDOUT_FILENO) >= 0 && dup2(pipes[ERRORS][WRITE_END], STDERR_FILENO) >= 0) {
        close_from(STDERR_FILENO + 1);
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

/* Kills all children of this process. Returns whether there was one. */
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

/* Runs the child, then kills it and its descendants. After fork, as above. */
_Noreturn static void supervise(const char *command, const char *directory, pid_t parent, int pipes[PIPES][2])
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
    pid_t supervisor = getpid();
    int status = 127 << 8;
    pid_t process = fork();
    if (process == 0) {
        exec_command(command, directory, supervisor, pipes);
    }
    dup2(pipes[STATUS][WRITE_END], STDIN_FILENO);
    close_from(STDIN_FILENO + 1);
    if (process > 0) {
        setpgid(process, process); /* in both processes: either may run first */
        bool end = getppid() != parent;
        while (!end && !has_ended(process)) {
            end = sigwaitinfo(&awaited, NULL) == SIGTERM;
        }
        /* Kill the group before waitpid: until then its ID cannot be reused. */
        kill(-process, SIGKILL);
        waitpid(process, &status, 0);
        for (int i = 0; i < KILL_ROUNDS_MAX && kill_children(); i++) {
        }
    }
    bool written =
        write(STDIN_FILENO, &status, sizeof status) == (ssize_t)sizeof status; /* fails if the reader is gone */
    /* exec, because a leak checker at exit must not examine this forked copy of a threaded process. */
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
    child->error_tail_length = 0;
    child->supervisor = make_pipes(pipes) ? fork() : -1;
    if (child->supervisor == 0) {
        supervise(command, directory, parent, pipes);
    }
    if (child->supervisor < 0) {
        snprintf(why, why_size, "cannot start a process: %s", strerror(errno));
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

/* Appends to the kept end of standard error; drops the oldest bytes if there is no room. */
static void append_error_tail(struct child *child, const char *bytes, size_t length)
{
    if (length > CHILD_ERRORS_MAX) {
        bytes += length - CHILD_ERRORS_MAX;
        length = CHILD_ERRORS_MAX;
    }
    size_t room = CHILD_ERRORS_MAX - length;
    if (child->error_tail_length > room) {
        memmove(child->error_tail, child->error_tail + child->error_tail_length - room, room);
        child->error_tail_length = room;
    }
    memcpy(child->error_tail + child->error_tail_length, bytes, length);
    child->error_tail_length += length;
}

void child_drain_errors(struct child *child)
{
    char buffer[4096];
    if (child->errors < 0) {
        return;
    }
    /* Bounded: a child that writes without end must not block the caller. */
    for (int i = 0; i < 64; i++) {
        ssize_t count = read(child->errors, buffer, sizeof buffer);
        if (count > 0) {
            append_error_tail(child, buffer, (size_t)count);
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
    return has_ended(child->supervisor);
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
        if (poll(list, 2, POLL_MILLISECONDS) > 0) {
            if (list[0].revents != 0 && read(child->output, buffer, sizeof buffer) == 0) {
                close(child->output);
                child->output = -1;
            }
            child_drain_errors(child);
        }
    }
    return true;
}

bool child_end(struct child *child, char *how, size_t how_size)
{
    bool running = !child_has_ended(child);
    int status;
    kill(child->supervisor, SIGTERM);
    while (waitpid(child->supervisor, NULL, 0) < 0 && errno == EINTR) {
    }
    bool known = read(child->status, &status, sizeof status) == (ssize_t)sizeof status;
    close(child->status);
    if (running || !known) {
        snprintf(how, how_size, "%s", running ? "had to be killed" : "was killed from outside");
    } else if (WIFSIGNALED(status)) {
        snprintf(how, how_size, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        snprintf(how, how_size, "exited with status %d", WEXITSTATUS(status));
    }
    bool ended = !running && known;
    child_drain_errors(child);
    child_close_input(child);
    if (child->output >= 0) {
        close(child->output);
    }
    if (child->errors >= 0) {
        close(child->errors);
    }
    return ended && (WIFSIGNALED(status) || WEXITSTATUS(status) > SHELL_SIGNAL);
}

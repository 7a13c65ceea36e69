/*
 * Processes of an implementation that serves NBD.
 *
 * One thread, which stays, starts all commands: a server may want to end with its parent, and for the kernel that is
 * the thread (PR_SET_PDEATHSIG).
 *
 * This process is a subreaper: what a command leaves behind, such as a daemon, becomes its child, and is found in
 * /proc.
 *
 * Sockets are in a directory that the gate makes and removes, whoever is killed when: NBD_SOCKETS in the environment.
 * The path of a Unix socket has at most 107 bytes, and that of the directory may be longer. So the server binds
 * /proc/PID/fd/N/NAME, where N is a descriptor of this process for the directory.
 */
#include "nbd/nbd_server.h"

#include "base/clock.h"
#include "base/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_MILLISECONDS 10000 /* after which a server that was asked to end is killed */
#define DEATH_MILLISECONDS 1000 /* at most, between the end of a connection and that of the process that had it */

static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    nanosleep(&pause, NULL);
}

/* The command for the shell: "$NAME" in the place of {NAME}. The caller frees it. */
static char *expand(const char *command)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    for (const char *c = command; *c != '\0'; c++) {
        size_t length = *c == '{' ? strspn(c + 1, letters) : 0;
        if (length > 0 && c[length + 1] == '}' && (c == command || c[-1] != '$')) {
            fprintf(out, "\"$%.*s\"", (int)length, c + 1);
            c += length + 1;
        } else {
            fputc(*c, out);
        }
    }
    fclose(out);
    return text;
}

/* ---- The thread that starts commands ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const char *text; /* of the command to be started; null: none */
    pid_t process;    /* 0: not started yet */
} starter = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Starts a command that has neither our input nor our output, which are those of the protocol. */
static pid_t start_process(const char *text)
{
    pid_t process = fork();
    if (process < 0) {
        report_fatal("no process: %s", strerror(errno));
    }
    if (process == 0) {
        int nothing = open("/dev/null", O_RDWR);
        if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0) {
            execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        }
        _exit(127);
    }
    return process;
}

_Noreturn static void *start_processes(void *nothing)
{
    (void)nothing;
    pthread_mutex_lock(&starter.mutex);
    for (;;) {
        if (starter.text != NULL) {
            starter.process = start_process(starter.text);
            starter.text = NULL;
            pthread_cond_broadcast(&starter.changed);
        }
        pthread_cond_wait(&starter.changed, &starter.mutex);
    }
}

void nbd_server_prepare(void)
{
    pthread_t thread;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        report_fatal("subreaper: %s", strerror(errno));
    }
    if (pthread_create(&thread, NULL, start_processes, NULL) != 0) {
        report_fatal("cannot start a thread");
    }
    pthread_detach(thread);
}

/* Starts a command; one thread calls at a time. */
static pid_t start(const char *command)
{
    char *text = expand(command);
    pthread_mutex_lock(&starter.mutex);
    starter.text = text;
    starter.process = 0;
    pthread_cond_broadcast(&starter.changed);
    while (starter.process == 0) {
        pthread_cond_wait(&starter.changed, &starter.mutex);
    }
    pid_t process = starter.process;
    pthread_mutex_unlock(&starter.mutex);
    free(text);
    return process;
}

/* Why a command that ended with this status has failed; false if it has not. */
static bool has_failed(int status, char *why, size_t why_size)
{
    if (WIFSIGNALED(status)) {
        snprintf(why, why_size, "the command died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return true;
    }
    snprintf(why, why_size, "the command ended with status %d", WEXITSTATUS(status));
    return WEXITSTATUS(status) != 0;
}

/* ---- Sockets ---- */

static bool name_socket(struct nbd_server *server, char *why, size_t why_size)
{
    static unsigned count;
    const char *directory = getenv(NBD_SOCKETS);
    server->directory = open(directory != NULL ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server->directory < 0) {
        snprintf(why, why_size, "the directory of sockets %s: %s", directory, strerror(errno));
        return false;
    }
    snprintf(server->socket, sizeof server->socket, "/proc/%d/fd/%d/%d-%u", (int)getpid(), server->directory,
             (int)getpid(), count++);
    unlink(server->socket); /* of a process that was killed and had the same number */
    return true;
}

static void forget_socket(struct nbd_server *server)
{
    unlink(server->socket);
    close(server->directory);
    server->directory = -1;
}

/* ---- The end ---- */

/* Sends a signal to the children of one thread of this process. False if there is none. */
static bool signal_children_of(const char *thread, int number)
{
    char path[PATH_MAX];
    bool any = false;
    int child;
    snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
    FILE *list = fopen(path, "re");
    while (list != NULL && fscanf(list, "%d", &child) == 1) {
        any = true;
        kill(child, number);
    }
    if (list != NULL) {
        fclose(list);
    }
    return any;
}

/* The same for all threads. */
static bool signal_children(int number)
{
    bool any = false;
    DIR *threads = opendir("/proc/self/task");
    for (struct dirent *entry; threads != NULL && (entry = readdir(threads)) != NULL;) {
        any = (entry->d_name[0] != '.' && signal_children_of(entry->d_name, number)) || any;
    }
    if (threads != NULL) {
        closedir(threads);
    }
    return any;
}

bool nbd_server_stop(struct nbd_server *server, bool *crashed, char *why, size_t why_size)
{
    int64_t deadline = clock_milliseconds() + STOP_MILLISECONDS;
    bool good = true;
    int status;
    *crashed = false;
    for (;;) {
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended < 0) {
            break;
        }
        if (ended > 0) {
            bool asked = WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
            *crashed = *crashed || (good && !asked && WIFSIGNALED(status));
            good = good && (asked || !has_failed(status, why, why_size));
            continue;
        }
        if (clock_milliseconds() > deadline) {
            snprintf(why, why_size, "the server did not end within %d s of SIGTERM", STOP_MILLISECONDS / 1000);
            good = false;
        }
        /* Again and again, as a child that ends leaves its own children to this process. */
        signal_children(good || clock_milliseconds() <= deadline ? SIGTERM : SIGKILL);
        pause_shortly();
    }
    forget_socket(server);
    return good;
}

/* The kernel closes the descriptors of a process that dies before it tells the parent: the connection ends first. */
bool nbd_server_crashed(char *why, size_t why_size)
{
    int64_t deadline = clock_milliseconds() + DEATH_MILLISECONDS;
    int status;
    do {
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended > 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
            snprintf(why, why_size, "the server ended by itself, with %s %d", WIFEXITED(status) ? "status" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
            return true;
        }
        if (ended < 0) {
            return false;
        }
        if (ended == 0) {
            pause_shortly();
        }
    } while (clock_milliseconds() < deadline);
    return false;
}

/* ---- The start ---- */

/* Tries to connect. -1 if nobody listens yet. */
static int try_to_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection >= 0 && connect(connection, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(connection);
        connection = -1;
    }
    return connection;
}

int nbd_server_start(struct nbd_server *server, const char *command, const char *file, unsigned seconds, char *why,
                     size_t why_size)
{
    int64_t deadline = clock_milliseconds() + (int64_t)seconds * 1000;
    int status = 0;
    bool crashed;
    if (!name_socket(server, why, why_size)) {
        return -1;
    }
    setenv("file", file, 1);
    setenv("socket", server->socket, 1);
    server->process = start(command);
    for (bool ended = false; clock_milliseconds() < deadline; pause_shortly()) {
        int connection = try_to_connect(server->socket);
        if (connection >= 0) {
            return connection;
        }
        ended = ended || waitpid(server->process, &status, WNOHANG) > 0;
        if (ended && (has_failed(status, why, why_size) || !signal_children(0))) {
            nbd_server_stop(server, &crashed, why, 0);
            return -1;
        }
    }
    nbd_server_stop(server, &crashed, why, 0);
    snprintf(why, why_size, "nothing accepts a connection on the socket within %u s", seconds);
    return -1;
}

bool nbd_server_run(const char *command, char *why, size_t why_size)
{
    int status = 0;
    pid_t process = start(command);
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    return !has_failed(status, why, why_size);
}

/*
 * Sandboxes.
 *
 * The child shares the memory of the sandbox. If a signal ends the child, the signal handler stores the output of the
 * caller's `describe` there.
 */
#include "base/sandbox.h"

#include "base/report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_DESCRIBED 100 /* exit status of the child after the signal handler */
#define EXIT_RETURNED 101  /* exit status of the child: this plus what the body returned */

static struct sandbox *current;

struct sandbox *sandbox_make(bool silent, sandbox_describe *describe)
{
    struct sandbox *sandbox = mmap(NULL, sizeof *sandbox, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sandbox == MAP_FAILED) {
        report_fatal("no memory for a sandbox");
    }
    sandbox->silent = silent;
    sandbox->describe = describe;
    return sandbox;
}

void sandbox_free(struct sandbox *sandbox)
{
    munmap(sandbox, sizeof *sandbox);
}

bool sandbox_signal_is_from_outside(int signal_number)
{
    return signal_number == SIGKILL || signal_number == SIGTERM || signal_number == SIGINT || signal_number == SIGHUP ||
           signal_number == SIGQUIT;
}

static void die(int signal_number)
{
    FILE *out = current->describe != NULL ? fmemopen(current->state, sizeof current->state - 1, "w") : NULL;
    if (out != NULL) {
        current->describe(out);
        fclose(out);
    }
    printf("the engine ends with signal %d (%s)\n", signal_number, strsignal(signal_number));
    fflush(stdout);
    _exit(EXIT_DESCRIBED);
}

_Noreturn static void be_child(int (*body)(void *context), void *context)
{
    if (current->silent && (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)) {
        report_fatal("cannot open /dev/null");
    }
    signal(SIGABRT, die);
    signal(SIGSEGV, die);
    int answer = body(context);
    fflush(stdout);
    exit(EXIT_RETURNED + answer);
}

int sandbox_run(struct sandbox *sandbox, int (*body)(void *context), void *context)
{
    int status = 0;
    current = sandbox;
    sandbox->state[0] = '\0';
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        report_fatal("cannot start a process: %s", strerror(errno));
    }
    if (child == 0) {
        be_child(body, context);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) >= EXIT_RETURNED) {
        return WEXITSTATUS(status) - EXIT_RETURNED;
    }
    if (WIFEXITED(status) && (WEXITSTATUS(status) == REPORT_USAGE || WEXITSTATUS(status) == REPORT_INCOMPLETE)) {
        return WEXITSTATUS(status); /* the child has printed the reason */
    }
    if (WIFSIGNALED(status) && sandbox_signal_is_from_outside(WTERMSIG(status))) {
        printf("not judged: signal %d (%s) from outside ended the process; perhaps memory is short\n", WTERMSIG(status),
               strsignal(WTERMSIG(status)));
        return REPORT_INCOMPLETE;
    }
    if (!sandbox->silent && WIFSIGNALED(status)) {
        printf("the engine ends with signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return REPORT_CRASHED;
}

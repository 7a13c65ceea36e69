/*
 * Sandboxes.
 *
 * The memory of a sandbox is shared with the child. When a signal ends the child, its handler writes there what the
 * child was at, as the caller's `describe` prints it.
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

#define TOLD 100 /* the child's status after the handler below, and */
#define DONE 101 /* the first one of those that are what the body returned */

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

static void die(int signal_number)
{
    FILE *out = current->describe != NULL ? fmemopen(current->state, sizeof current->state - 1, "w") : NULL;
    if (out != NULL) {
        current->describe(out);
        fclose(out);
    }
    printf("the engine ends with signal %d (%s)\n", signal_number, strsignal(signal_number));
    fflush(stdout);
    _exit(TOLD);
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
    exit(DONE + answer);
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
    if (WIFEXITED(status) && WEXITSTATUS(status) >= DONE) {
        return WEXITSTATUS(status) - DONE;
    }
    if (WIFEXITED(status) && (WEXITSTATUS(status) == REPORT_USAGE || WEXITSTATUS(status) == REPORT_INCOMPLETE)) {
        return WEXITSTATUS(status); /* it has said why */
    }
    if (!sandbox->silent && WIFSIGNALED(status)) {
        printf("the engine ends with signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return REPORT_CRASHED;
}

/*
 * Signals.
 *
 * A signal that would end the process only leaves a note while there is something to put in order: a file that is not
 * complete, or work that has to be flushed. Afterwards the process dies of that signal after all, as its caller may
 * want to know: a shell ends a loop if the command in it died of SIGINT, and goes on if it just failed.
 */
#include "command.h"

#include <signal.h>
#include <stddef.h>

static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
#define STOPPING (sizeof(stopping) / sizeof(stopping[0]))

static volatile sig_atomic_t stopped_by; /* the first signal that asked to stop; 0: none */
static volatile sig_atomic_t progress_asked;

static void ask_to_stop(int signal_number)
{
    if (stopped_by == 0) {
        stopped_by = signal_number;
    }
}

static void ask_for_progress(int signal_number)
{
    (void)signal_number;
    progress_asked = 1;
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

/* Replaces one handler of the stopping signals by another, and leaves those alone that have a different one. */
static void exchange(void (*before)(int), void (*after)(int))
{
    for (size_t i = 0; i < STOPPING; i++) {
        struct sigaction current;
        if (sigaction(stopping[i], NULL, &current) == 0 && current.sa_handler == before) {
            handle(stopping[i], after);
        }
    }
}

void signals_begin(void)
{
    /* A closed pipe or a limit on file sizes is an error of the write that meets it. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    handle(SIGUSR1, ask_for_progress);
}

void signals_default(void)
{
    handle(SIGPIPE, SIG_DFL);
    handle(SIGXFSZ, SIG_DFL);
    handle(SIGUSR1, SIG_DFL);
}

void signals_catch(void)
{
    /* What nohup or a shell has set to be ignored stays ignored. */
    exchange(SIG_DFL, ask_to_stop);
}

void signals_release(void)
{
    exchange(ask_to_stop, SIG_DFL);
}

bool signals_stopped(void)
{
    return stopped_by != 0;
}

bool signals_progress(void)
{
    bool asked = progress_asked != 0;
    progress_asked = 0;
    return asked;
}

void signals_obey(void)
{
    if (stopped_by != 0) {
        handle(stopped_by, SIG_DFL);
        raise(stopped_by);
    }
}

/*
 * Progress of long work, and its orderly end.
 *
 * Stream and commit may run for hours. A signal that would end the process only sets a flag, which the engine's next
 * call of progress_step turns into a stop: what was done until then is flushed when the disk is closed, and not done
 * twice.
 */
#include "command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MILLISECONDS 1000
#define REDRAW_MILLISECONDS 100

static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_start(struct progress *progress, bool asked, bool quiet)
{
    memset(progress, 0, sizeof(*progress));
    progress->wanted = asked;
    progress->allowed = !quiet && (asked || isatty(STDERR_FILENO));
    progress->started = milliseconds();

    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction before;
        /* What nohup or a shell has set to be ignored stays ignored. */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(signals[i], &action, NULL);
        }
    }
}

static void draw(struct progress *progress, uint64_t done, uint64_t total)
{
    double percent = total == 0 ? 100 : 100 * (double)done / (double)total;
    fprintf(stderr, "\r    (%.2f/100%%)", percent);
    fflush(stderr);
    progress->shown = true;
}

bool progress_step(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    int64_t now = milliseconds();
    bool due = progress->wanted || now - progress->started >= QUIET_MILLISECONDS;
    bool stale = !progress->shown || done == total || now - progress->last >= REDRAW_MILLISECONDS;
    if (progress->allowed && due && stale) {
        draw(progress, done, total);
        progress->last = now;
    }
    return !stop_asked;
}

bool progress_end(struct progress *progress)
{
    if (progress->shown) {
        fputc('\n', stderr);
    }
    return stop_asked;
}

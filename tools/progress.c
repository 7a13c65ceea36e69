/*
 * Progress of long work.
 *
 * Stream and commit may run for hours. A signal that would end the process makes progress_step stop the engine: what
 * was done until then is flushed when the disk is closed, and not done twice. SIGUSR1 prints a line, as with qemu-img.
 */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define QUIET_MILLISECONDS 1000
#define REDRAW_MILLISECONDS 100

void progress_start(struct progress *progress, bool asked, bool quiet)
{
    memset(progress, 0, sizeof(*progress));
    progress->wanted = asked;
    progress->allowed = !quiet && (asked || isatty(STDERR_FILENO));
    progress->started = clock_milliseconds();
    signals_catch();
}

static double percent(uint64_t done, uint64_t total)
{
    return total == 0 ? 100 : 100 * (double)done / (double)total;
}

static void draw(struct progress *progress, uint64_t done, uint64_t total)
{
    fprintf(stderr, "\r    (%.2f/100%%)", percent(done, total));
    fflush(stderr);
    progress->shown = true;
}

bool progress_step(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    int64_t now = clock_milliseconds();
    bool due = progress->wanted || now - progress->started >= QUIET_MILLISECONDS;
    bool stale = !progress->shown || done == total || now - progress->last >= REDRAW_MILLISECONDS;
    if (progress->allowed && due && stale) {
        draw(progress, done, total);
        progress->last = now;
    }
    progress_answer(done, (struct size_value){.given = true, .bytes = total});
    return !signals_stopped();
}

void progress_end(struct progress *progress)
{
    if (progress->shown) {
        fputc('\n', stderr);
    }
}

void progress_answer(uint64_t done, struct size_value total)
{
    if (!signals_progress()) {
        return;
    }
    if (total.given) {
        fprintf(stderr, "    (%.2f/100%%)\n", percent(done, total.bytes));
    } else {
        fprintf(stderr, "    (%" PRIu64 " bytes)\n", done);
    }
}

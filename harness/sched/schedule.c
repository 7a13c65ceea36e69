/*
 * Schedules: how many steps each thread did, one after the other. And when the order of two steps matters.
 */
#include "sched/sched.h"

#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

/* Whether an access may name an object that the other names too. */
static bool same_object(const struct sched_access *a, const struct sched_access *b)
{
    if (a->object == NULL || b->object == NULL) {
        return false;
    }
    if (a->object == b->object) {
        return a->first <= b->last && b->first <= a->last;
    }
    return (a->second != NULL && a->second == b->object) || (b->second != NULL && b->second == a->object);
}

bool sched_dependent(const struct sched_access *a, const struct sched_access *b)
{
    return same_object(a, b) && !(a->kind == SCHED_READ && b->kind == SCHED_READ);
}

void sched_schedule_free(struct sched_schedule *schedule)
{
    free(schedule->segments);
    *schedule = (struct sched_schedule){0};
}

void sched_schedule_append(struct sched_schedule *schedule, uint32_t thread, uint64_t steps)
{
    if (schedule->count > 0 && schedule->segments[schedule->count - 1].thread == thread) {
        schedule->segments[schedule->count - 1].steps += steps;
        return;
    }
    if (schedule->count == schedule->room) {
        schedule->room = schedule->room == 0 ? 64 : 2 * schedule->room;
        schedule->segments = realloc(schedule->segments, schedule->room * sizeof *schedule->segments);
        if (schedule->segments == NULL) {
            report_fatal("no memory for a schedule");
        }
    }
    schedule->segments[schedule->count++] = (struct sched_segment){thread, steps};
}

void sched_schedule_print(FILE *out, const struct sched_schedule *schedule)
{
    for (uint32_t i = 0; i < schedule->count; i++) {
        fprintf(out, "%s%" PRIu32 "x%" PRIu64, i == 0 ? "" : ",", schedule->segments[i].thread,
                schedule->segments[i].steps);
    }
}

bool sched_schedule_parse(const char *text, struct sched_schedule *schedule)
{
    *schedule = (struct sched_schedule){0};
    for (const char *rest = text;; rest++) {
        char *end;
        unsigned long thread = strtoul(rest, &end, 10);
        if (end == rest || *end != 'x' || thread >= SCHED_THREADS_MAX) {
            return false;
        }
        rest = end + 1;
        unsigned long long steps = strtoull(rest, &end, 10);
        if (end == rest || steps == 0) {
            return false;
        }
        sched_schedule_append(schedule, (uint32_t)thread, steps);
        rest = end;
        if (*rest != ',') {
            return *rest == '\0';
        }
    }
}

/*
 * Schedules: how many steps each thread did, one after the other. And when the order of two steps matters.
 */
#include "sched/sched.h"

#include "base/number.h"
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES_MAX 48u

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

/* Parses "THREADxSTEPS" in text[0, length). */
static bool parse_segment(const char *text, size_t length, struct sched_segment *segment)
{
    char word[SEGMENT_BYTES_MAX];
    uint64_t thread;
    if (length >= sizeof word) {
        return false;
    }
    memcpy(word, text, length);
    word[length] = '\0';
    char *steps = strchr(word, 'x');
    if (steps == NULL) {
        return false;
    }
    *steps++ = '\0';
    bool good = number_parse_decimal(word, &thread) == NUMBER_OK && thread < SCHED_THREADS_MAX &&
                number_parse_decimal(steps, &segment->steps) == NUMBER_OK && segment->steps > 0;
    segment->thread = good ? (uint32_t)thread : 0;
    return good;
}

bool sched_schedule_parse(const char *text, struct sched_schedule *schedule)
{
    *schedule = (struct sched_schedule){0};
    for (;;) {
        struct sched_segment segment;
        size_t length = strcspn(text, ",");
        if (!parse_segment(text, length, &segment)) {
            return false;
        }
        sched_schedule_append(schedule, segment.thread, segment.steps);
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
    }
}

uint32_t sched_schedule_divergence(const struct sched_schedule *schedule, bool may_go_on,
                                   const struct sched_schedule *done)
{
    for (uint32_t i = 0; i < schedule->count; i++) {
        const struct sched_segment *given = &schedule->segments[i];
        bool is_last = i + 1 == schedule->count;
        if (i >= done->count || done->segments[i].thread != given->thread) {
            return i;
        }
        uint64_t steps = done->segments[i].steps;
        bool longer = is_last && may_go_on && steps > given->steps;
        if (steps != given->steps && !longer) {
            return i;
        }
    }
    return done->count > schedule->count && !may_go_on ? schedule->count : UINT32_MAX;
}

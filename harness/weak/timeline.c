/*
 * Tells an execution, a line for each event: who does what to which object, where in the code; and for a load what it
 * reads and, if that is not the last store, why it may read it still.
 */
#include "weak/parts.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define NAMES 64u
#define PLACE_BYTES 128u
#define PLACES 1021u /* that are remembered */

static FILE *told_to;

static struct {
    const char *address;
    size_t size;
    size_t item; /* 0: one object, else the size of each of several */
    const char *name;
} names[NAMES];
static unsigned name_count;

void weak_tell_to(FILE *out)
{
    told_to = out;
}

/* ---- Names ---- */

void weak_names_clear(void)
{
    name_count = 0;
}

void weak_name_items(const void *address, size_t size, size_t item, const char *name)
{
    if (name_count < NAMES) {
        names[name_count].address = address;
        names[name_count].size = size;
        names[name_count].item = item;
        names[name_count++].name = name;
    }
}

void weak_name(const void *address, size_t size, const char *name)
{
    weak_name_items(address, size, 0, name);
}

/* The smallest named object that the address lies in. */
const char *weak_name_of(const void *address, char *text, size_t size)
{
    const char *at = address;
    unsigned best = NAMES;
    for (unsigned i = 0; i < name_count; i++) {
        bool inside = at >= names[i].address && at < names[i].address + names[i].size;
        if (inside && (best == NAMES || names[i].size < names[best].size)) {
            best = i;
        }
    }
    if (best == NAMES) {
        snprintf(text, size, "%p", address);
    } else if (names[best].item != 0) {
        snprintf(text, size, "%s[%zu]", names[best].name, (size_t)(at - names[best].address) / names[best].item);
    } else if (at == names[best].address) {
        snprintf(text, size, "%s", names[best].name);
    } else {
        snprintf(text, size, "%s+%zu", names[best].name, (size_t)(at - names[best].address));
    }
    return text;
}

/* ---- Places in the code ---- */

extern const char __executable_start[];

/* Reads a line without its end; false at the end. */
static bool next_line(FILE *pipe, char line[static PLACE_BYTES])
{
    if (pipe == NULL || fgets(line, PLACE_BYTES, pipe) == NULL) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* Asks addr2line, which is there wherever this can be compiled; of inlined functions, the first that is not a wrapper.
 */
static void ask(uint64_t offset, char *text, size_t size)
{
    char command[PLACE_BYTES], function[PLACE_BYTES], line[PLACE_BYTES];
    snprintf(text, size, "at code 0x%" PRIx64, offset);
    snprintf(command, sizeof command, "addr2line -s -f -i -e /proc/%ld/exe 0x%" PRIx64 " 2>/dev/null", (long)getpid(),
             offset);
    FILE *pipe = popen(command, "r");
    while (next_line(pipe, function) && next_line(pipe, line) && function[0] != '?') {
        line[strcspn(line, " ")] = '\0';
        snprintf(text, size, "in %s, %s", function, line);
        if (strncmp(line, "addcow_sync.h", strlen("addcow_sync.h")) != 0) {
            break;
        }
    }
    if (pipe != NULL) {
        pclose(pipe);
    }
}

/* Only timelines have names: asking takes longer than an execution. */
const char *weak_place_of(const void *place, char *text, size_t size)
{
    static struct {
        uint64_t offset;
        char text[3 * PLACE_BYTES];
    } known[PLACES];
    uint64_t offset = (uint64_t)((const char *)place - __executable_start) - 1;
    if (told_to == NULL) {
        snprintf(text, size, "at code 0x%" PRIx64, offset);
        return text;
    }
    unsigned slot = (unsigned)(offset % PLACES);
    if (known[slot].offset != offset) {
        known[slot].offset = offset;
        ask(offset, known[slot].text, sizeof known[slot].text);
    }
    snprintf(text, size, "%s", known[slot].text);
    return text;
}

/* ---- Events ---- */

static const char *const orders[] = {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"};

static void tell_store(uint32_t number)
{
    const struct weak_store *store = weak_store_at(number);
    fprintf(told_to, "0x%" PRIx64, store->value);
    if (store->event == WEAK_NONE) {
        fputs(" from before the threads began", told_to);
    } else {
        fprintf(told_to, " of step %" PRIu32 " by thread %u", store->event + 1, weak_event_at(store->event)->thread);
    }
}

/* Which newer stores there are, and that nothing orders them before the load. */
static void tell_why(const struct weak_event *event)
{
    uint32_t position = weak_store_at(event->source)->position;
    unsigned told = 0;
    for (uint32_t i = 0; i < weak_event_count(); i++) {
        const struct weak_event *other = weak_event_at(i);
        bool newer = other->store != WEAK_NONE && other->location == event->location && other->store != event->store &&
                     weak_store_at(other->store)->position > position;
        if (newer) {
            fprintf(told_to, "%s ",
                    told++ == 0 ? "\n         it may: no release that it acquired orders before it" : ",");
            tell_store(other->store);
        }
    }
    if (told > 0 && event->order == WEAK_SEQ_CST) {
        fputs("; and the seq_cst operations still have an order", told_to);
    }
}

static void tell_access(const struct weak_event *event, uint64_t stored)
{
    if (event->source != WEAK_NONE) {
        fputs(" reads ", told_to);
        tell_store(event->source);
    }
    if (event->store != WEAK_NONE) {
        fprintf(told_to, "%s stores 0x%" PRIx64, event->source != WEAK_NONE ? "," : "", stored);
        if (event->store != weak_last_store(event->location)) {
            fputs(", which is older than the last store for all threads", told_to);
        }
    }
    fprintf(told_to, " (%s)", orders[event->order]);
    if (event->source != WEAK_NONE) {
        tell_why(event);
    }
}

void weak_tell(uint32_t number, uint64_t stored)
{
    static const char *const kinds[] = {"load", "store",  "update",           "fence",
                                        "lock", "unlock", "unlock and sleep", "broadcast"};
    if (told_to == NULL) {
        return;
    }
    const struct weak_event *event = weak_event_at(number);
    char name[128] = "", place[256];
    if (event->object != NULL) {
        weak_name_of(event->object, name, sizeof name);
    }
    fprintf(told_to, "%5" PRIu32 "  %*sthread %u: %s %s, %s", number + 1, (int)(4 * event->thread), "", event->thread,
            kinds[event->kind], name, weak_place_of(event->place, place, sizeof place));
    if (event->location != WEAK_NONE) {
        fputs(":", told_to);
        tell_access(event, stored);
    } else if (event->kind == WEAK_FENCE) {
        fprintf(told_to, " (%s)", orders[event->order]);
    } else if (event->kind == WEAK_BROADCAST) {
        fprintf(told_to, ": wakes %s", stored == 0 ? "nobody" : "");
        for (unsigned t = 0; t < WEAK_THREADS; t++) {
            if ((stored >> t & 1) != 0) {
                fprintf(told_to, " thread %u", t);
            }
        }
    }
    fputc('\n', told_to);
}

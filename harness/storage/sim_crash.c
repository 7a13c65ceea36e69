/*
 * The states that a crash may leave.
 *
 * A state starts from the files as they were kept. The log is read up to the moment of the crash. What a sync covers is
 * applied. Of what no sync covers, each sector gets one of its versions, and the file one of its lengths; the choices
 * decide which.
 */
#include "storage/sim_crash.h"

#include "base/report.h"
#include "storage/sim_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The changes of one file that no sync has covered, in order, as numbers of events. */
struct unsynced {
    const struct sim_event **list;
    bool *loose; /* no later sync covers it: one has failed */
    uint32_t count;
};

static void apply(const struct sim *from, const struct sim_event *event, struct sim_content *content)
{
    if (event->kind == SIM_EVENT_LENGTH) {
        sim_content_set_length(content, event->number);
        return;
    }
    uint64_t count = sim_content_sector_bytes(content, event->number);
    if (count > 0) {
        memcpy(content->bytes + event->number * SIM_SECTOR, from->pool + event->data, (size_t)count);
    }
}

/* Whether a sync is about a change. */
static bool is_synced(const struct sim_event *sync, const struct sim_event *event)
{
    return sync->sectors == 0 || event->kind != SIM_EVENT_SECTOR ||
           (event->number >= sync->number && event->number - sync->number < sync->sectors);
}

/* Applies a sync: all writes are on the disk now, except those that an earlier sync failed on. */
static void cover(const struct sim *from, const struct sim_event *sync, struct unsynced *unsynced,
                  struct sim_content *content)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < unsynced->count; i++) {
        const struct sim_event *event = unsynced->list[i];
        if (unsynced->loose[i] || !is_synced(sync, event)) {
            unsynced->loose[kept] = unsynced->loose[i];
            unsynced->list[kept++] = event;
            continue;
        }
        apply(from, event, content);
        uint32_t others = 0;
        for (uint32_t j = 0; j < kept; j++) {
            if (unsynced->list[j]->kind != event->kind ||
                (event->kind == SIM_EVENT_SECTOR && unsynced->list[j]->number != event->number)) {
                unsynced->loose[others] = unsynced->loose[j];
                unsynced->list[others++] = unsynced->list[j];
            }
        }
        kept = others;
    }
    unsynced->count = kept;
}

/*
 * The length of a file after the crash: that on the disk or any later one. *cut is the number of changes that came
 * before it was set.
 */
static void choose_length(const struct unsynced *unsynced, struct choices *choices, struct sim_content *content,
                          uint32_t *cut)
{
    uint32_t lengths = 1;
    for (uint32_t i = 0; i < unsynced->count; i++) {
        lengths += unsynced->list[i]->kind == SIM_EVENT_LENGTH;
    }
    uint32_t chosen = choices_make(choices, lengths);
    *cut = 0;
    for (uint32_t i = 0; i < unsynced->count && chosen > 0; i++) {
        if (unsynced->list[i]->kind == SIM_EVENT_LENGTH) {
            sim_content_set_length(content, unsynced->list[i]->number);
            chosen--;
            *cut = i + 1;
        }
    }
}

/* Whether the chosen length cuts off the data of change number `i`. */
static bool is_cut_off(const struct unsynced *unsynced, uint32_t i, uint32_t cut)
{
    for (uint32_t j = i + 1; j < cut; j++) {
        if (unsynced->list[j]->kind == SIM_EVENT_LENGTH &&
            unsynced->list[j]->number <= unsynced->list[i]->number * SIM_SECTOR) {
            return true;
        }
    }
    return false;
}

/* Mixes old and new bytes of a sector: new ones up to a byte that differs, or from it on, or any. */
static void tear(struct choices *choices, uint8_t *bytes, const uint8_t *newer, uint64_t count)
{
    uint32_t differing = 0;
    for (uint64_t i = 0; i < count; i++) {
        differing += bytes[i] != newer[i];
    }
    uint32_t pattern = differing < 2 ? 1 : choices_make(choices, 3);
    uint32_t limit = differing < 2 || pattern == 2 ? differing : choices_make(choices, differing + 1);
    uint32_t seen = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (bytes[i] == newer[i]) {
            continue;
        }
        bool take = pattern == 0 ? seen < limit : pattern == 1 ? seen >= limit || differing < 2 : true;
        if (pattern == 2 && choices->random != NULL) {
            take = random_once_in(choices->random, 2);
        }
        bytes[i] = take ? newer[i] : bytes[i];
        seen++;
    }
}

struct crash {
    const struct sim *from;
    const struct sim_crash_options *options;
    struct choices *choices;
    const struct unsynced *unsynced;
    uint32_t cut;
    bool uniform;
    uint64_t torn_from; /* bytes of the file from which on sectors tear */
    uint32_t version;   /* of every sector, if uniform */
};

/* The next version of a sector after change number `i`, or from `first` on; UINT32_MAX if there is none. */
static uint32_t next_version(const struct crash *crash, uint32_t i, uint64_t sector)
{
    for (; i < crash->unsynced->count; i++) {
        const struct sim_event *event = crash->unsynced->list[i];
        if (event->kind == SIM_EVENT_SECTOR && event->number == sector && !is_cut_off(crash->unsynced, i, crash->cut)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* How many different versions a sector has, one after the other, that on the disk included. */
static uint32_t count_versions(const struct crash *crash, uint32_t first, const struct sim_content *content)
{
    uint64_t sector = crash->unsynced->list[first]->number;
    uint64_t count = sim_content_sector_bytes(content, sector);
    const uint8_t *last = content->bytes + sector * SIM_SECTOR;
    uint32_t versions = 1;
    for (uint32_t i = next_version(crash, first, sector); i != UINT32_MAX; i = next_version(crash, i + 1, sector)) {
        const uint8_t *bytes = crash->from->pool + crash->unsynced->list[i]->data;
        versions += count > 0 && memcmp(bytes, last, (size_t)count) != 0;
        last = bytes;
    }
    return versions;
}

/* Gives a sector, whose first unsynced change is number `first`, one of its versions. */
static void choose_sector(const struct crash *crash, uint32_t first, struct sim_content *content)
{
    const struct unsynced *unsynced = crash->unsynced;
    uint64_t sector = unsynced->list[first]->number;
    uint64_t count = sim_content_sector_bytes(content, sector);
    uint8_t *bytes = content->bytes + sector * SIM_SECTOR;
    uint32_t versions = count_versions(crash, first, content);
    uint32_t chosen = crash->version < versions ? crash->version : versions - 1;
    if (!crash->uniform) {
        chosen = choices_make(crash->choices, versions);
    }
    for (uint32_t i = next_version(crash, first, sector); chosen > 0; i = next_version(crash, i + 1, sector)) {
        const struct sim_event *event = unsynced->list[i];
        if (memcmp(bytes, crash->from->pool + event->data, (size_t)count) == 0) {
            continue; /* no version of its own */
        }
        if (--chosen == 0 && sector * SIM_SECTOR >= crash->torn_from) {
            tear(crash->choices, bytes, crash->from->pool + event->data, count);
        } else {
            apply(crash->from, event, content);
        }
    }
}

static bool is_first_of_sector(const struct unsynced *unsynced, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (unsynced->list[j]->kind == SIM_EVENT_SECTOR && unsynced->list[j]->number == unsynced->list[i]->number) {
            return false;
        }
    }
    return unsynced->list[i]->kind == SIM_EVENT_SECTOR;
}

static uint32_t most_versions(const struct unsynced *unsynced)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < unsynced->count; i++) {
        uint32_t versions = 1;
        for (uint32_t j = i; j < unsynced->count && is_first_of_sector(unsynced, i); j++) {
            versions +=
                unsynced->list[j]->kind == SIM_EVENT_SECTOR && unsynced->list[j]->number == unsynced->list[i]->number;
        }
        most = versions > most ? versions : most;
    }
    return most;
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t torn_from(const struct sim_crash_options *options, const char *name)
{
    for (size_t i = 0; i < sizeof options->torn / sizeof options->torn[0]; i++) {
        if (options->torn[i].name != NULL && strcmp(options->torn[i].name, name) == 0) {
            return options->torn[i].from;
        }
    }
    return UINT64_MAX;
}

/* *content is the file `inode` as it was kept; makes it what is on the disk after the crash. */
static void crash_file(struct crash *crash, uint64_t moment, uint32_t inode, const char *name,
                       struct sim_content *content)
{
    const struct sim *from = crash->from;
    struct unsynced unsynced = {
        .list = report_allocate(moment, sizeof *unsynced.list),
        .loose = report_allocate(moment, sizeof *unsynced.loose),
    };
    for (uint64_t i = 0; i < moment; i++) {
        const struct sim_event *event = &from->events[i];
        if (event->inode != inode) {
            continue;
        }
        if (event->kind == SIM_EVENT_SYNC) {
            cover(from, event, &unsynced, content);
        } else if (event->kind == SIM_EVENT_SYNC_FAILED) {
            memset(unsynced.loose, 1, unsynced.count * sizeof *unsynced.loose);
        } else if (event->kind == SIM_EVENT_SECTOR || event->kind == SIM_EVENT_LENGTH) {
            unsynced.loose[unsynced.count] = false;
            unsynced.list[unsynced.count++] = event;
        }
    }
    crash->unsynced = &unsynced;
    crash->uniform = is_listed(crash->options->uniform, name) && crash->choices->random == NULL;
    crash->torn_from = torn_from(crash->options, name);
    choose_length(&unsynced, crash->choices, content, &crash->cut);
    if (crash->uniform) {
        crash->version = choices_make(crash->choices, most_versions(&unsynced));
    }
    for (uint32_t i = 0; i < unsynced.count; i++) {
        if (is_first_of_sector(&unsynced, i)) {
            choose_sector(crash, i, content);
        }
    }
    free(unsynced.list);
    free(unsynced.loose);
}

/* Whether an event makes the names before it durable. */
static bool syncs_names(const struct sim *from, const struct sim_event *event)
{
    return event->kind == SIM_EVENT_SYNC_NAMES || (event->kind == SIM_EVENT_RENAME && !from->names_loose);
}

/* The names after the crash. */
static void crash_names(const struct sim *from, uint64_t moment, struct choices *choices, struct sim_entry *names)
{
    memcpy(names, from->names_kept, sizeof from->names_kept);
    uint64_t durable = 0; /* events up to the last one that made names durable */
    for (uint64_t i = 0; i < moment; i++) {
        durable = syncs_names(from, &from->events[i]) ? i + 1 : durable;
    }
    for (uint64_t i = 0; i < moment; i++) {
        const struct sim_event *event = &from->events[i];
        bool changes = event->kind == SIM_EVENT_CREATE || event->kind == SIM_EVENT_LINK ||
                       event->kind == SIM_EVENT_REMOVE || event->kind == SIM_EVENT_RENAME;
        if (!changes || (i >= durable && choices_make(choices, 2) == 0)) {
            continue;
        }
        if (event->kind == SIM_EVENT_RENAME) {
            sim_remove_entry(names, event->from);
        }
        if (event->kind == SIM_EVENT_REMOVE) {
            sim_remove_entry(names, event->name);
        } else {
            sim_set_entry(names, event->name, event->inode);
        }
    }
}

void sim_crash(const struct sim *from, uint64_t moment, const struct sim_crash_options *options,
               struct choices *choices, struct sim *to)
{
    struct crash crash = {.from = from, .options = options, .choices = choices};
    assert(moment <= from->event_count);
    sim_restore(to);
    crash_names(from, moment, choices, to->names);
    to->inodes = from->inodes;
    for (uint32_t i = 0; i < from->inodes; i++) {
        const char *name = "";
        for (uint32_t k = 0; k < SIM_FILES_MAX; k++) {
            if (to->names[k].text[0] != '\0' && to->names[k].inode == i) {
                name = to->names[k].text;
            }
        }
        struct sim_content *content = &to->list[i].now;
        if (i < from->inodes_kept) {
            sim_content_copy(content, &from->list[i].kept);
        } else {
            sim_content_set_length(content, 0);
        }
        if (name[0] != '\0') {
            crash_file(&crash, moment, i, name, content);
        }
        to->list[i].readers = 0;
        to->list[i].writer = false;
    }
}
